//! The words that documents 000 and 003 have for where a run or a task of it stands.

use backstitch_core::summary::RunStatus;

/// Where a run stands, to whoever knows five words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl Word {
    pub(super) const ALL: [(Self, &str); 5] = [
        (Self::Pending, "pending"),
        (Self::Running, "running"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
    ];

    /// The word of a status; one that is being undone is cancelled already if a cancel stopped it.
    pub(super) fn of(status: RunStatus, cancelled: bool) -> Self {
        match status {
            RunStatus::Pending => Self::Pending,
            RunStatus::Compensating if cancelled => Self::Cancelled,
            RunStatus::Running | RunStatus::Suspended | RunStatus::Compensating => Self::Running,
            RunStatus::Completed => Self::Completed,
            RunStatus::Failed | RunStatus::Compensated | RunStatus::CompensationFailed => {
                Self::Failed
            }
            RunStatus::Cancelled => Self::Cancelled,
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, own)| *own == word).map(|(own, _)| own)
    }

    pub(super) fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(own, _)| *own == self).map_or("", |(_, word)| word)
    }

    /// The only status of that word, if there is only one.
    pub(super) fn only_status(self) -> Option<RunStatus> {
        match self {
            Self::Pending => Some(RunStatus::Pending),
            Self::Completed => Some(RunStatus::Completed),
            Self::Running | Self::Failed | Self::Cancelled => None,
        }
    }
}

/// The word for a task whose step has the engine's word; `failed` if it is about to be undone, or
/// was, without having succeeded.
pub(super) fn of_task(engine: &str, failed: bool) -> &'static str {
    match engine {
        "pending" | "ready" => "pending",
        "running" | "retrying" | "waiting" => "running",
        "succeeded" => "completed",
        "skipped" | "pruned" => "skipped",
        "cancelled" => "cancelled",
        "undone" | "undoing" | "undo_failed" if !failed => "completed",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_of_five_words() {
        let words = |cancelled| RunStatus::ALL.map(|status| Word::of(status, cancelled).word());
        let [pending, running, completed, failed, cancelled] = Word::ALL.map(|(_, word)| word);
        let of_failures = [failed, failed, failed];
        let before = [pending, running, running];
        assert_eq!(words(false), {
            let [a, b, c] = before;
            let [d, e, f] = of_failures;
            [a, b, c, running, completed, d, e, f, cancelled]
        });
        assert_eq!(words(true)[3], cancelled);
        for status in RunStatus::ALL {
            let word = Word::of(status, false);
            assert!(word.only_status().is_none_or(|only| only == status), "{status:?}");
        }
    }
}
