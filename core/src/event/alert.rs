//! Alerts that operators want of runs, as they are pinned; part of the format.

use serde::{Deserialize, Serialize};

use super::{CallbackEvent, CallbackForm};

/// What one rule wants told to one channel of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Which rule, which channel.
    pub of: AlertOf,
    /// What raises it.
    pub events: Vec<CallbackEvent>,
    /// Where it goes.
    pub url: String,
    /// How it is written.
    pub form: CallbackForm,
}

/// Which alert of a run a callback is about: a run has each at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertOf {
    /// The rule's name.
    pub rule: String,
    /// The channel's name.
    pub channel: String,
    /// How much it matters; as what raises it does if unsaid.
    pub severity: Option<Severity>,
}

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Good to know.
    Info,
    /// To be looked at some time.
    Warning,
    /// To be looked at soon.
    Error,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// Every severity and its word.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("info", Self::Info),
        ("warning", Self::Warning),
        ("error", Self::Error),
        ("critical", Self::Critical),
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(word, _)| word)
    }
}

impl CallbackEvent {
    /// What ends the alerts of a run: nobody waits for anything of it any more.
    pub const ENDS_ALERTS: [Self; 2] = [Self::Completed, Self::Cancelled];
}
