//! Whether runs of workflows begin: what operators say of it, recorded and let out.

use backstitch_core::availability::{self, Availability, AvailabilityAct, NotDone, Unavailable};
use backstitch_core::event::WorkflowEvent;
use backstitch_core::ids::StreamId;
use backstitch_core::time::{Moment, Timestamp};

use super::definitions::Workflows;
use super::stage::{Release, Stage};
use super::{Abandon, Answer, Partition};
use crate::catalog::Name;

/// A wish about a workflow as a whole.
#[derive(Debug, Clone)]
pub struct AvailabilityOrder {
    /// Whose.
    pub name: Name,
    /// What.
    pub act: AvailabilityAct,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

impl Workflows {
    /// Workflows of which no run begins.
    pub(super) fn unavailable(&self) -> Vec<(Name, Availability)> {
        let closed = self.each().filter(|(_, own)| own.availability.unavailable().is_some());
        closed.map(|(name, own)| (name, own.availability.clone())).collect()
    }

    fn avail(&mut self, order: &AvailabilityOrder, now: Timestamp, stage: &mut Stage) -> Answer {
        let (namespace, workflow) = order.name.clone();
        let stream = StreamId::Workflow { namespace, workflow: workflow.clone() };
        let defined = self.state(&stream).filter(|own| own.latest().is_some());
        let Some(own) = defined else { return Answer::NotFound };
        let AvailabilityOrder { act, reason, actor, name: _ } = order;
        let event = match availability::decide(&own.availability, *act, reason, actor) {
            Ok(event) => event,
            Err(NotDone::Archived) => {
                return Answer::Unavailable(workflow, Unavailable::Archived);
            }
            Err(NotDone::NotArchived) => return Answer::NotArchived,
        };
        let changed = event.is_some();
        let events = event.map(WorkflowEvent::Availability).into_iter().collect();
        if let Err(answer) = self.append(&stream, events, now, stage) {
            return answer;
        }
        let availability = self.state(&stream).map(|own| own.availability.clone());
        Answer::Availability { availability: availability.unwrap_or_default().into(), changed }
    }
}

impl<T: Abandon> Partition<T> {
    /// Workflows of which no run begins, and why.
    #[must_use]
    pub fn unavailable(&self) -> Vec<(Name, Availability)> {
        self.workflows.unavailable()
    }

    pub(super) fn avail(&mut self, order: AvailabilityOrder, ticket: T, moment: Moment) {
        let answer = self.workflows.avail(&order, moment.stamp, &mut self.open);
        if let Answer::Availability { availability, changed: true } = &answer {
            let publish = Release::PublishAvailability(order.name, availability.clone());
            self.releases.push(publish);
        }
        self.answer(ticket, answer);
    }
}
