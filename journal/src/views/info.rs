//! What views tell about themselves: how far behind their trees are, and how a rebuild goes.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Views;
use super::row::{FORMAT, Row};
use super::view::View;
use crate::locks::lock;

/// Which view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewName {
    /// Lists and statistics of runs.
    Runs,
    /// Lists of dead letters.
    Letters,
    /// Who did what.
    Audit,
}

impl ViewName {
    /// Every view.
    pub const ALL: [Self; 3] = [Self::Runs, Self::Letters, Self::Audit];

    /// The word the API prints; also its directory.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Letters => "letters",
            Self::Audit => "audit",
        }
    }

    /// The view of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }

    pub(super) fn place(self) -> usize {
        self as usize
    }
}

/// How a view stands. Lists always show every durable commit: what lags is the tree on disk,
/// whose rows are laid under those in memory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ViewInfo {
    /// Which one.
    pub view: ViewName,
    /// The format of its rows and keys.
    pub format: u16,
    /// Which of its trees is in force; counts up with each rebuild.
    pub tree: u64,
    /// Rows not yet in the tree.
    pub pending_rows: u64,
    /// Durable commits that the tree has not applied, of all partitions.
    pub lag_commits: u64,
    /// How long the tree has been behind.
    pub lag_ms: u64,
    /// The rebuild that is under way.
    pub rebuild: Option<RebuildInfo>,
    /// Rebuilds done since the journal was opened.
    pub rebuilds: u64,
    /// Rebuilds that failed since then.
    pub rebuilds_failed: u64,
    /// Why the last rebuild failed, if it did; the old tree stayed in force.
    pub rebuild_error: Option<String>,
}

/// How far a rebuild has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct RebuildInfo {
    /// Histories read.
    pub visited: u64,
    /// Histories to read.
    pub total: u64,
}

impl Views {
    /// Notes that the trees have what was there when `since` was taken.
    pub(super) fn caught_up(&self, since: Instant) {
        let applied = self.applied();
        let mut progress = lock(&self.progress);
        for name in ViewName::ALL {
            let done = applied[name.place()] == progress.sequences;
            let behind = &mut progress.behind[name.place()];
            *behind = if done { None } else { behind.map(|known| known.max(since)) };
        }
    }

    /// How every view stands.
    pub(crate) fn info(&self) -> Vec<ViewInfo> {
        let (sequences, behind) = {
            let progress = lock(&self.progress);
            (progress.sequences.clone(), progress.behind)
        };
        let of = |name: ViewName| behind[name.place()];
        vec![
            info_of(ViewName::Runs, &self.runs, &sequences, of(ViewName::Runs)),
            info_of(ViewName::Letters, &self.letters, &sequences, of(ViewName::Letters)),
            info_of(ViewName::Audit, &self.audit, &sequences, of(ViewName::Audit)),
        ]
    }
}

fn info_of<R: Row>(
    name: ViewName,
    view: &View<R>,
    sequences: &[u64],
    behind: Option<Instant>,
) -> ViewInfo {
    let applied = view.applied();
    let lag = sequences.iter().zip(&applied).map(|(last, own)| last.saturating_sub(*own)).sum();
    let elapsed = behind.map_or(0, |since| since.elapsed().as_millis());
    let rebuilds = lock(&view.rebuilds).clone();
    let gauge = &view.gauge;
    ViewInfo {
        view: name,
        format: FORMAT,
        tree: view.number(),
        pending_rows: view.table().changed_count() as u64,
        lag_commits: lag,
        lag_ms: if lag == 0 { 0 } else { u64::try_from(elapsed).unwrap_or(u64::MAX) },
        rebuild: view.is_rebuilding().then(|| RebuildInfo {
            visited: gauge.visited.load(Ordering::SeqCst),
            total: gauge.total.load(Ordering::SeqCst),
        }),
        rebuilds: rebuilds.done,
        rebuilds_failed: rebuilds.failed,
        rebuild_error: rebuilds.error,
    }
}
