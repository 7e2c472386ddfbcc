//! How many dead letters there are of a cause, kept by adding and taking away rows.

use serde::{Deserialize, Serialize};

use crate::summary::{LetterStatus, LetterSummary};

/// Dead letters by status. As a share of a whole, counts may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LetterCounts {
    /// In the order of [`LetterStatus::ALL`].
    by_status: [i64; LetterStatus::COUNT],
}

impl LetterCounts {
    /// Adds a letter.
    pub fn add(&mut self, row: &LetterSummary) {
        self.by_status[place(row.status)] += 1;
    }

    /// Takes a letter away that was added, here or in another share of the whole.
    pub fn take_away(&mut self, row: &LetterSummary) {
        self.by_status[place(row.status)] -= 1;
    }

    /// Adds another share.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.by_status.iter_mut().zip(&other.by_status) {
            *own += more;
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Letters with a status.
    #[must_use]
    pub fn of_status(&self, status: LetterStatus) -> u64 {
        u64::try_from(self.by_status[place(status)]).unwrap_or(0)
    }

    /// All letters.
    #[must_use]
    pub fn total(&self) -> u64 {
        LetterStatus::ALL.into_iter().map(|status| self.of_status(status)).sum()
    }
}

fn place(status: LetterStatus) -> usize {
    match status {
        LetterStatus::Open => 0,
        LetterStatus::Retried => 1,
        LetterStatus::Discarded => 2,
        LetterStatus::Resolved => 3,
    }
}
