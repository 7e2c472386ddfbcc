//! How far a long piece of work has come, and whether it should go on.
//!
//! Knows no work.

use std::ops::ControlFlow;

use crate::error::Error;

/// How far a long piece of work has come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// What is being done, in a word or two.
    pub phase: &'static str,
    /// Bytes gone through in this phase.
    pub bytes_done: u64,
    /// Bytes of this phase as far as known; 0 if not.
    pub bytes_total: u64,
}

/// Hears of progress now and then; breaking off cancels the work with [`Error::Cancelled`].
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// One who does not listen.
pub fn unheard() -> impl FnMut(Progress) -> ControlFlow<()> {
    |_| ControlFlow::Continue(())
}

/// Counts a phase's bytes for somebody who listens.
pub(crate) struct Meter<'a, 'b> {
    heard: &'a mut OnProgress<'b>,
    progress: Progress,
}

impl<'a, 'b> Meter<'a, 'b> {
    pub(crate) fn of(heard: &'a mut OnProgress<'b>, phase: &'static str, total: u64) -> Self {
        Self { heard, progress: Progress { phase, bytes_done: 0, bytes_total: total } }
    }

    /// So many bytes more are done.
    pub(crate) fn add(&mut self, bytes: u64) -> Result<(), Error> {
        self.progress.bytes_done += bytes;
        self.tell()
    }

    fn tell(&mut self) -> Result<(), Error> {
        match (self.heard)(self.progress.clone()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
