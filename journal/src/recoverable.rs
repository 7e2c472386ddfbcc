//! What a run's state is recovered from: its checkpoint and the events after it.

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::ids::{ExecutionId, StreamId};

use crate::error::Error;
use crate::journal::Journal;
use crate::record::Record;

/// What a run's state is recovered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recoverable {
    /// A checkpoint to begin with, if there is one that the history reaches.
    pub checkpoint: Option<Box<Checkpoint>>,
    /// The events after it, or all, in order.
    pub records: Vec<Record>,
}

impl Journal {
    /// What a run's state is recovered from: its checkpoint and what came after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn recoverable(&self, run: &ExecutionId) -> Result<Option<Recoverable>, Error> {
        let stream = StreamId::Execution(*run);
        // One of a life that was removed would fit the versions of the next, and be wrong.
        let removed_at = self.removed_run(run)?.map(|removed| removed.at);
        if let Some(mut checkpoint) = self.parts().checkpoints.get(run)?
            && removed_at.is_none_or(|at| checkpoint.submitted_at() > at)
        {
            let after = self.parts().store.history_after(&stream, checkpoint.version())?;
            let whole = self.parts().blobs.give_back_to_checkpoint(&mut checkpoint)?;
            if let Some(mut records) = after.filter(|_| whole) {
                self.parts().blobs.give_back(&mut records)?;
                return Ok(Some(Recoverable { checkpoint: Some(Box::new(checkpoint)), records }));
            }
        }
        let whole = self.history(&stream)?;
        Ok(whole.map(|records| Recoverable { checkpoint: None, records }))
    }

    /// Takes checkpoints of runs, each of a version that is durable. They are written in the
    /// background and shorten the next start.
    pub fn checkpoint(&self, made: Vec<(ExecutionId, Box<Checkpoint>)>) {
        self.parts().checkpoints.put(made);
    }
}
