//! The log: order and durability, in one contract with several forms.
//!
//! Knows commits and nothing of what their records mean. The same conformance suite runs
//! against every form (`tests/conformance.rs`).

pub mod memory;
pub mod wal;

use std::ops::ControlFlow;
use std::sync::Arc;

use backstitch_core::ids::PartitionId;

use crate::commit::{Commit, Head};
use crate::error::Error;
use crate::latency::Latency;
use crate::record::Record;

/// Takes the answer to one append, on the log's own thread: it must be quick and must not
/// wait for another append.
pub type Done = Box<dyn FnOnce(Result<&Commit, AppendError>) + Send>;

/// Why a commit is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// It does not follow the partition's last commit: somebody else wrote, or an earlier
    /// commit it builds on was refused.
    #[error("commit {given} of partition {partition} does not follow commit {last}: {detail}")]
    Conflict {
        /// Which partition.
        partition: u16,
        /// The last commit there is.
        last: u64,
        /// The commit that was to be appended.
        given: u64,
        /// What does not fit.
        detail: &'static str,
    },
    /// An earlier write or sync failed, so nothing more is taken. Whether this commit is
    /// durable is unknown until the journal is opened again.
    #[error("the log is poisoned: {reason}; stop the process and start it again")]
    Poisoned {
        /// The failure that did it.
        reason: Arc<str>,
    },
    /// The log was closed before.
    #[error("the log is closed")]
    Closed,
}

/// What a log has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct LogStats {
    /// Groups of commits written.
    pub groups: u64,
    /// Syncs that made groups durable. Equal to `groups` when every commit is synced.
    pub group_syncs: u64,
    /// Empty groups written to prove that those before them were whole.
    pub markers: u64,
    /// Commits written.
    pub commits: u64,
    /// Bytes of groups written, padding and markers included.
    pub written_bytes: u64,
    /// How long the syncs took that made groups durable.
    pub sync: Latency,
}

/// How far the files of a log hold what is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableEnd {
    /// The durable end of every partition.
    pub heads: Vec<Head>,
    /// Number of the last segment file that was begun.
    pub segment: u64,
    /// Where in it the last whole group ends.
    pub offset: u64,
}

/// A log of several partitions.
///
/// Laws:
/// 1. A commit is taken only if its sequence is the partition's last + 1, its positions
///    follow, its time does not go back and it carries the last commit's hash; else the
///    answer is [`AppendError::Conflict`] and the log is unchanged.
/// 2. `Ok` is answered only when the commit is durable (by the sync policy in force). An
///    answered commit is there after any crash, whole and with everything before it.
/// 3. Answers of one partition come in the order of its appends, each exactly once, except
///    that a crash takes the answers still owed with it.
/// 4. A commit may be appended before the one it follows is durable. If that one is refused,
///    so are all that build on it.
/// 5. After a failed write or sync nothing more is taken: every append that is owed an
///    answer, and every later one, gets [`AppendError::Poisoned`].
/// 6. What was once readable never changes or goes missing.
pub trait Log: Send + Sync {
    /// Appends a commit; `done` takes the answer. Waits while the queue is full.
    fn append(&self, commit: Commit, done: Done);

    /// The durable end of every partition.
    fn heads(&self) -> Vec<Head>;

    /// How far the files hold what is acknowledged; `None` for a log without files.
    fn durable_end(&self) -> Option<DurableEnd> {
        None
    }

    /// Visits the durable commits of a partition that hold records behind a position, in
    /// order, until `visit` breaks off. Commits answered meanwhile may be left out.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the log is not whole; what was visited before is right.
    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// Visits the durable commits of all partitions that hold records behind these positions, in
    /// the order of writing, until `visit` breaks off. Commits answered meanwhile may be left out.
    ///
    /// # Errors
    /// As [`Log::commits_after`].
    fn commits_behind(
        &self,
        positions: &[u64],
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error>;

    /// Where the log begins: each partition's last commit that was cut; zeros if none was.
    ///
    /// # Errors
    /// If that cannot be read.
    fn beginning(&self) -> Result<Vec<Head>, Error>;

    /// Visits what is kept of the commits that were cut.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not whole; what was visited before is right.
    fn for_each_kept(&self, visit: &mut dyn FnMut(&Record)) -> Result<(), Error>;

    /// Waits until every commit answered before this call is on the disk, whatever the
    /// policy.
    ///
    /// # Errors
    /// If the log is or becomes poisoned, or is closed.
    fn sync(&self) -> Result<(), AppendError>;

    /// Takes no more commits, for a failure found elsewhere.
    fn poison(&self, reason: &str);

    /// Why the log takes no more commits, if so.
    fn poisoned(&self) -> Option<String>;

    /// Answers everything queued, then stops. Later appends get [`AppendError::Closed`].
    fn close(&self);

    /// Counters since opening.
    fn stats(&self) -> LogStats;
}
