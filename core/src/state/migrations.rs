//! Which revisions a run was pinned to.

use serde::{Deserialize, Serialize};

use super::State;
use crate::ids::Digest;
use crate::time::Timestamp;

/// Which revisions a migrated run was pinned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrations {
    /// The number of the revision it was submitted with.
    pub first_revision: u32,
    /// Its content.
    pub first: Digest,
    /// What came after, in order; the last one counts.
    pub made: Vec<Migration>,
}

/// A run went on with another revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// The revision's number.
    pub revision: u32,
    /// Its content.
    pub digest: Digest,
    /// In their words.
    pub reason: String,
    /// Who had it so.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

impl Migrations {
    /// The contents, the present one last.
    #[must_use]
    pub fn lineage(&self) -> Vec<Digest> {
        std::iter::once(self.first).chain(self.made.iter().map(|own| own.digest)).collect()
    }
}

impl State {
    /// The revisions that the run was pinned to, by number and content, the present one last.
    #[must_use]
    pub fn pins(&self) -> Vec<(u32, Digest)> {
        let Some(own) = &self.migrations else {
            return vec![(self.submitted.revision, self.submitted.digest)];
        };
        let later = own.made.iter().map(|own| (own.revision, own.digest));
        std::iter::once((own.first_revision, own.first)).chain(later).collect()
    }

    /// The contents that the run was pinned to, the present one last.
    #[must_use]
    pub fn lineage(&self) -> Vec<Digest> {
        let migrated = self.migrations.as_ref().map(|own| own.lineage());
        migrated.unwrap_or_else(|| vec![self.submitted.digest])
    }
}
