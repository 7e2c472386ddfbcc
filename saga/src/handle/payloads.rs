//! Payloads kept beside the records: who names one, erasing it, collecting what nobody names.

use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, StreamId};
use backstitch_journal::{Collected, Journal};

use super::{Handle, blocking, unexpected};
use crate::error::Error;
use crate::partition::{Answer, Input};

/// The partition whose stream says what was erased.
const ERASURES_PARTITION: PartitionId = PartitionId(0);

/// A content kept beside the records, and who names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPayload {
    /// blake3 of its text.
    pub digest: Digest,
    /// Bytes that are kept; nothing if they are erased or missing.
    pub kept_bytes: Option<u64>,
    /// Runs whose histories name it, by id.
    pub runs: Vec<ExecutionId>,
}

impl Handle {
    /// Who names a content. Reads every history.
    ///
    /// # Errors
    /// [`Error::PayloadNotFound`], [`Error::Journal`].
    pub async fn payload(&self, digest: Digest) -> Result<KeptPayload, Error> {
        let journal = self.shared.journal.clone();
        let find = move || Ok((journal.kept_beside(&digest), journal.runs_naming(&digest)?));
        let found: Result<_, backstitch_journal::Error> = blocking(find).await?;
        let (kept_bytes, runs) = found?;
        if kept_bytes.is_none() && runs.is_empty() {
            return Err(Error::PayloadNotFound(digest));
        }
        Ok(KeptPayload { digest, kept_bytes, runs })
    }

    /// Erases a content for good: recorded, then gone from the disk and from the memory of
    /// runs. Answers what it was. The same text given anew later is new data; what is erased
    /// already is not recorded once more.
    ///
    /// # Errors
    /// As [`Handle::payload`], and [`Error::Draining`].
    pub async fn erase_payload(
        &self,
        digest: Digest,
        reason: String,
        actor: String,
    ) -> Result<KeptPayload, Error> {
        self.to_its_end(move |handle| async move { handle.erase(digest, reason, actor).await })
            .await
    }

    async fn erase(
        &self,
        digest: Digest,
        reason: String,
        actor: String,
    ) -> Result<KeptPayload, Error> {
        // Two at a time would both record it.
        let _turn = self.shared.erasing.lock().await;
        let known = self.payload(digest).await?;
        let journal = self.shared.journal.clone();
        let repeated = blocking(move || is_erased(&journal, &digest)).await??;
        if known.kept_bytes.is_none() && repeated {
            return Ok(known);
        }
        let erased = Box::new(PartitionEvent::PayloadErased { digest, reason, actor });
        let record = |ticket| Input::Record(erased, ticket);
        match self.ask(ERASURES_PARTITION, record).await? {
            Answer::Recorded { .. } => {}
            answer => return Err(unexpected(answer, None)),
        }
        let journal = self.shared.journal.clone();
        blocking(move || journal.finish_erasures()).await?;
        for partition in (0..).map(PartitionId).take(self.shared.mailboxes.len()) {
            match self.ask(partition, |ticket| Input::Forget(digest, ticket)).await? {
                Answer::Forgotten => {}
                answer => return Err(unexpected(answer, None)),
            }
        }
        self.shared.cache.forget(&digest);
        Ok(known)
    }

    /// Removes contents that no commit names any more; with `dry_run` only says how many.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn collect_payloads(&self, dry_run: bool) -> Result<Collected, Error> {
        let journal = self.shared.journal.clone();
        Ok(blocking(move || journal.collect_blobs(dry_run)).await??)
    }
}

/// Whether a content's erasure is recorded.
fn is_erased(journal: &Journal, digest: &Digest) -> Result<bool, Error> {
    let own = journal.history(&StreamId::Partition(ERASURES_PARTITION))?.unwrap_or_default();
    Ok(own.iter().any(|record| {
        matches!(&record.event,
            Event::Partition(PartitionEvent::PayloadErased { digest: erased, .. })
                if erased == digest)
    }))
}
