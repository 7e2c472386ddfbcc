//! The rules of loops: how many chunks and items at a time, and what undoes them in which order.

use std::collections::BTreeSet;

use backstitch_core::arrows::{StepStatus as S, UndoStatus as U};
use backstitch_core::event::{Items, LinkEvent, Message};
use backstitch_core::ids::StepIndex;
use backstitch_core::plan::Plan;
use std::sync::Arc;

use super::{Model, Verdict, rule};

/// One loop that goes through its items.
#[derive(Default)]
pub(super) struct Loop {
    items: u64,
    chunk_items: u32,
    /// The first item that no chunk has.
    next: u64,
    under_way: bool,
    failed: bool,
    counted: u64,
}

impl Model {
    /// What ties the run to others, as far as it has rules of its own.
    pub(super) fn linked(&mut self, event: &LinkEvent) -> Verdict {
        match event {
            LinkEvent::Origin(origin) => {
                let chunk = origin.parent.as_ref().and_then(|own| Some((own.step, own.items?)));
                if let Some((step, items)) = chunk {
                    *self = Self::new(Arc::new(Plan::chunk(&self.plan, step, items)?));
                }
                Ok(())
            }
            LinkEvent::MessagePosted { body, .. } => match **body {
                Message::Start { step, items: Some(items), .. } => self.begins_chunk(step, items),
                _ => Ok(()),
            },
            LinkEvent::LoopBegun { step, attempt, items, chunk_items } => {
                rule(*attempt == self.own(*step).attempt, "an old attempt counts for nothing")?;
                rule(self.status(*step) == S::Running, "a loop begins that does not run")?;
                let (items, chunk_items) = (*items, *chunk_items);
                self.loops.insert(*step, Loop { items, chunk_items, ..Loop::default() });
                Ok(())
            }
            LinkEvent::ChunkEnded { step, counts, failure, .. } => {
                let own = self.loops.get_mut(step).ok_or("a chunk of no loop ended")?;
                rule(own.under_way, "a chunk ended twice")?;
                own.under_way = false;
                own.failed |= failure.is_some();
                let all = counts.succeeded + counts.failed + counts.skipped;
                own.counted += u64::from(all);
                let whole = own.counted == own.next || failure.is_some() || own.failed;
                rule(whole, "an item of a chunk is not accounted for")
            }
            LinkEvent::Keyed { .. }
            | LinkEvent::Traced(_)
            | LinkEvent::ChunkUndone { .. }
            | LinkEvent::MessageAcknowledged { .. }
            | LinkEvent::MessageReceived { .. } => Ok(()),
        }
    }

    /// One chunk at a time, in order, none after a failure, and none of a run that stops.
    fn begins_chunk(&mut self, step: StepIndex, items: Items) -> Verdict {
        self.goes_forward()?;
        let own = self.loops.get_mut(&step).ok_or("a chunk of no loop begins")?;
        rule(!own.under_way && !own.failed, "a chunk begins beside another or after a failure")?;
        rule(items.first == own.next && items.count <= own.chunk_items, "items left out")?;
        own.next += u64::from(items.count);
        own.under_way = true;
        rule(own.next <= own.items, "more items than there are")
    }

    /// A loop succeeds with all its items behind it.
    pub(super) fn all_items_ended(&self, step: StepIndex) -> Verdict {
        match self.loops.get(&step).filter(|_| self.status(step) == S::Running) {
            Some(own) => {
                rule(!own.under_way && own.next == own.items, "a loop ends before its items")
            }
            None => Ok(()),
        }
    }

    /// Of a chunk, only so many items are under way at a time.
    pub(super) fn has_window(&self, step: StepIndex) -> Verdict {
        let Some(part) = &self.plan.part else { return Ok(()) };
        let open = [S::Ready, S::Waiting, S::Running, S::Faulted, S::Retrying];
        let under_way = self.steps.iter().filter(|own| open.contains(&own.status)).count();
        rule(under_way < part.max_parallel, "too many items at a time")?;
        let earlier = self.places().take(step.at());
        let pending: BTreeSet<_> = earlier.filter(|own| self.status(*own) == S::Pending).collect();
        // A layer readies items in order; what is left out before this one was skipped.
        rule(pending.is_empty(), "an item begins before an earlier one")
    }

    /// What began last is undone first, and no more at a time than began together.
    pub(super) fn has_undo_window(&self, step: StepIndex) -> Verdict {
        let Some(part) = &self.plan.part else { return Ok(()) };
        let status = |own: StepIndex| self.steps[own.at()].undo.as_ref().map(|undo| undo.status);
        let open = [U::Ready, U::Running, U::Faulted, U::Retrying];
        let under_way = self.places().filter(|own| status(*own).is_some_and(|u| open.contains(&u)));
        rule(under_way.count() < part.max_parallel, "too many undos at a time")?;
        let mut later = self.places().skip(step.at() + 1);
        let waits = later.any(|own| status(own) == Some(U::Pending));
        rule(!waits, "an item is undone before a later one")
    }
}
