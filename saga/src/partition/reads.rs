//! Answering what a run looks like, now or at its end.

use std::sync::Arc;

use backstitch_core::ids::ExecutionId;
use backstitch_core::report::execution_json;

use super::{Abandon, Answer, Partition};

impl<T: Abandon> Partition<T> {
    pub(super) fn show(&mut self, id: ExecutionId, ticket: T) {
        let answer = match self.resident_run(id) {
            Ok(Some(run)) => Answer::Shown(Arc::new(execution_json(&run.state))),
            Ok(None) => Answer::NotFound,
            Err(why) => Answer::Quarantined(why),
        };
        self.evict(id);
        self.answer(ticket, answer);
    }

    pub(super) fn wait_for_end(&mut self, id: ExecutionId, ticket: T) {
        match self.resident_run(id) {
            Ok(Some(run)) if run.state.status().is_ended() => self.show(id, ticket),
            Ok(Some(run)) => {
                run.waiting.retain(|waiting| !waiting.is_abandoned());
                run.waiting.push(ticket);
            }
            Ok(None) => self.answer(ticket, Answer::NotFound),
            Err(why) => self.answer(ticket, Answer::Quarantined(why)),
        }
    }
}
