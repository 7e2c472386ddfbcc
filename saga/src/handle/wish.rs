//! What a partition is asked through a handle, the request that asks, and where the answer goes.

use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::ids::PartitionId;
use tokio::sync::oneshot;

use super::Handle;
use crate::error::Error;
use crate::partition::{Abandon, Answer, Input};

/// Where an answer goes.
#[derive(Debug)]
pub struct Ticket(oneshot::Sender<Answer>);

impl Ticket {
    pub(crate) fn answer(self, answer: Answer) {
        // Whoever asked may have gone; the answer is then nobody's.
        drop(self.0.send(answer));
    }
}

impl Abandon for Ticket {
    fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// An input, and the request it comes of, if it comes of one.
pub(crate) struct Wish {
    pub(crate) input: Input<Ticket>,
    pub(crate) mark: Option<Arc<Mark>>,
}

impl Wish {
    /// What the engine itself asks for.
    pub(crate) fn own(input: Input<Ticket>) -> Self {
        Self { input, mark: None }
    }
}

impl Handle {
    /// The same handle for a request: what is done through it, also after the request, is recorded
    /// as done by it, where the audit shows it.
    #[must_use]
    pub fn marked(&self, mark: Mark) -> Self {
        Self { shared: self.shared.clone(), mark: Some(Arc::new(mark)) }
    }

    /// Has a partition take an input; answers what it answers.
    pub(crate) async fn ask(
        &self,
        partition: PartitionId,
        input: impl FnOnce(Ticket) -> Input<Ticket>,
    ) -> Result<Answer, Error> {
        let (ticket, answer) = oneshot::channel();
        let Some(mailbox) = self.shared.mailboxes.get(usize::from(partition.0)) else {
            // An id made for more partitions than there are names no run.
            return Ok(Answer::NotFound);
        };
        let wish = Wish { input: input(Ticket(ticket)), mark: self.mark.clone() };
        mailbox.send(wish).await.map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)
    }
}
