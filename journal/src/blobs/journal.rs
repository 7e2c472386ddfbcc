//! What a journal does with contents kept beside its records: find, erase, collect.

use std::collections::HashMap;
use std::ops::ControlFlow;

use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};

use super::check::{Collected, Named};
use super::files::now;
use super::{Blobs, erased_by};
use crate::commit::Commit;
use crate::error::Error;
use crate::journal::{Journal, Parts};
use crate::open;
use crate::record::Record;
use crate::store::Store;

impl Journal {
    /// Waits until every erasure whose record was acknowledged before this call has taken
    /// place.
    pub fn finish_erasures(&self) {
        if self.parts().directory.is_some() {
            self.parts().queue.settle();
        }
    }

    /// Bytes of a content that is kept beside the records, `None` if it is not.
    #[must_use]
    pub fn kept_beside(&self, digest: &Digest) -> Option<u64> {
        self.parts().blobs.kept_bytes(digest)
    }

    /// How many contents are kept beside the records, and their bytes: counted in the
    /// background after opening.
    #[must_use]
    pub fn kept_beside_all(&self) -> (u64, u64) {
        self.parts().blobs.counted()
    }

    /// Runs whose histories name a content, by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn runs_naming(&self, digest: &Digest) -> Result<Vec<ExecutionId>, Error> {
        let mut runs = Vec::new();
        for stream in self.parts().store.all_executions()? {
            let StreamId::Execution(run) = stream else { continue };
            let Some(records) = self.parts().store.history(&stream)? else { continue };
            let mut names = false;
            for record in &records {
                record.event.for_each_payload(&mut |payload| {
                    names |= payload.reference().is_some_and(|(named, _)| named == *digest);
                });
            }
            if names {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// Removes contents that no commit and no history names, wherever those are kept, and that
    /// were older than [`BLOB_AGE_MIN`](crate::BLOB_AGE_MIN) as this was called; with `dry_run` only says how many.
    ///
    /// # Errors
    /// If the chain is not whole or cannot be read: then nothing is removed.
    pub fn collect_blobs(&self, dry_run: bool) -> Result<Collected, Error> {
        let since = now();
        let mut named = loop {
            match self.named_by_chain() {
                // The chain was cut meanwhile, and begins somewhere else.
                Err(Error::Cut { .. }) => {}
                named => break named?,
            }
        };
        // A cut chain no longer has every commit of the runs that are still kept.
        for stream in self.parts().store.all_streams()? {
            for record in self.parts().store.history(&stream)?.unwrap_or_default() {
                record.event.for_each_payload(&mut |payload| named.extend(payload.reference()));
            }
        }
        self.parts().blobs.collect(&named, since, dry_run)
    }

    /// Contents that the base names, or a commit behind it: a run that was removed since has
    /// its records there still, for going back to before that.
    fn named_by_chain(&self) -> Result<Named, Error> {
        let mut named = Named::new();
        let beginning = self.beginning()?;
        self.parts().log.for_each_kept(&mut |record| {
            record.event.for_each_payload(&mut |payload| named.extend(payload.reference()));
        })?;
        for (partition, head) in (0..).map(PartitionId).zip(&beginning) {
            self.commits_after(partition, head.position, &mut |commit| {
                named.extend(commit.named());
                ControlFlow::Continue(())
            })?;
        }
        Ok(named)
    }

    /// Gives records that were read off a commit the payloads back that are kept beside them;
    /// one that cannot be had stays absent and says why.
    ///
    /// # Errors
    /// If the system refuses to read for a reason that may pass.
    pub fn give_back(&self, records: &mut [Record]) -> Result<(), Error> {
        self.parts().blobs.give_back(records)
    }
}

impl Blobs {
    /// Erases what some record says is erased: a crash may have come between the two.
    pub(crate) fn erase_again(&self, store: &Store, partitions: u16) -> Result<(), Error> {
        let mut recorded = HashMap::<_, u64>::new();
        for partition in (0..partitions).map(PartitionId) {
            let records = store.history(&StreamId::Partition(partition))?;
            for digest in erased_by(records.iter().flatten()) {
                *recorded.entry(digest).or_default() += 1;
            }
        }
        for (digest, count) in recorded {
            self.erase_up_to(&digest, count)?;
            self.note_erased([digest]);
        }
        Ok(())
    }
}

impl Parts {
    /// A record that says a content is erased is durable: now it is.
    pub(crate) fn erase_what_is_named_by(&self, commit: &Commit) {
        if !commit.entries.iter().any(|own| matches!(own.stream, StreamId::Partition(_))) {
            return;
        }
        for digest in erased_by(&commit.records()) {
            self.blobs.note_erased([digest]);
            if self.directory.is_some() {
                self.queue.erase(digest);
            } else if let Err(error) = self.blobs.erase(&digest) {
                self.log.poison(&open::with_source(&error));
            }
        }
    }
}
