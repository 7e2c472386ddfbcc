//! Roll-outs of workflows: which revision new runs get.

use std::sync::Arc;

use backstitch_core::definition::problem::Problem;
use backstitch_core::event::{RolloutEvent, WorkflowEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::rollout::{self, InForce, RolloutWish};
use backstitch_core::time::{Moment, Timestamp};
use backstitch_core::workflow::WorkflowState;

use super::definitions::Workflows;
use super::stage::{Release, Stage};
use super::{Abandon, Answer, Partition};
use crate::catalog::Name;

/// A wish about a workflow's roll-out.
#[derive(Debug, Clone)]
pub struct RolloutOrder {
    /// Whose.
    pub name: Name,
    /// What.
    pub act: RolloutAct,
}

/// What can be done to a roll-out.
#[derive(Debug, Clone)]
pub enum RolloutAct {
    /// Spread new runs over revisions.
    Set(RolloutWish),
    /// Give every new run the stable revision.
    Kill {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Give new runs the newest revision again.
    End {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}

impl RolloutAct {
    fn decide(&self, own: &WorkflowState) -> Result<Vec<RolloutEvent>, Vec<Problem>> {
        let known = own.rollout.as_ref();
        let newest = own.latest().map_or(0, |revision| revision.number);
        match self {
            Self::Set(wish) => wish.decide(known, newest),
            Self::Kill { reason, actor } => Ok(rollout::kill(known, reason, actor)),
            Self::End { reason, actor } => Ok(rollout::end(known, reason, actor)),
        }
    }
}

impl Workflows {
    /// What is in force, by workflow.
    pub(super) fn rollouts(&self) -> Vec<(Name, Arc<InForce>)> {
        let own = self.each().filter_map(|(name, state)| {
            let rollout = state.rollout.clone()?;
            Some((name, Arc::new(rollout)))
        });
        own.collect()
    }

    fn roll_out(&mut self, order: &RolloutOrder, now: Timestamp, stage: &mut Stage) -> Answer {
        let (namespace, workflow) = order.name.clone();
        let stream = StreamId::Workflow { namespace, workflow };
        let defined = self.state(&stream).filter(|own| own.latest().is_some());
        let Some(own) = defined else { return Answer::NotFound };
        if matches!(order.act, RolloutAct::Kill { .. }) && own.rollout.is_none() {
            return Answer::NoRollout;
        }
        let events = match order.act.decide(own) {
            Ok(events) => events,
            Err(problems) => return Answer::RolloutRefused(problems),
        };
        let changed = !events.is_empty();
        let events = events.into_iter().map(WorkflowEvent::Rollout).collect();
        if let Err(answer) = self.append(&stream, events, now, stage) {
            return answer;
        }
        let rollout = self.state(&stream).and_then(|own| own.rollout.clone()).map(Arc::new);
        Answer::RolledOut { rollout, changed }
    }
}

impl<T: Abandon> Partition<T> {
    /// What is in force for new runs, by workflow.
    #[must_use]
    pub fn rollouts(&self) -> Vec<(Name, Arc<InForce>)> {
        self.workflows.rollouts()
    }

    pub(super) fn roll_out(&mut self, order: RolloutOrder, ticket: T, moment: Moment) {
        let answer = self.workflows.roll_out(&order, moment.stamp, &mut self.open);
        if let Answer::RolledOut { rollout, changed: true } = &answer {
            self.releases.push(Release::PublishRollout(order.name, rollout.clone()));
        }
        self.answer(ticket, answer);
    }
}
