//! Orders to the shell: what a state owes the world now.
//!
//! The shell performs what is owed minus what is in flight; so recovery after a crash is the
//! normal path. `owed` looks at everything, `owed_by` at one subject: the shell asks it for
//! what [`State::take_touched`] names, which keeps wide runs linear.

use crate::arrows::{DeliveryStatus, StepStatus, UndoStatus};
use crate::ids::StepIndex;
use crate::plan::TaskKind;
use crate::state::{State, Subject};
use crate::time::Timestamp;

/// An order to the shell. Its outcome comes back as a command that names the same attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Hand the step's attempt to its executor.
    RunStep {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
    },
    /// Hand the undo's attempt to its executor.
    UndoStep {
        /// Which step.
        step: StepIndex,
        /// Which attempt.
        attempt: u16,
    },
    /// Send the callback.
    DeliverCallback {
        /// Which delivery.
        delivery: u32,
        /// Which attempt.
        attempt: u16,
    },
    /// Send the message to another run, and again until it is acknowledged.
    Send {
        /// Which message.
        message: u32,
    },
}

impl Effect {
    /// Which attempt it is; a message has none.
    #[must_use]
    pub fn attempt(self) -> u16 {
        match self {
            Self::RunStep { attempt, .. }
            | Self::UndoStep { attempt, .. }
            | Self::DeliverCallback { attempt, .. } => attempt,
            Self::Send { .. } => 0,
        }
    }

    /// What the effect is about.
    #[must_use]
    pub fn subject(self) -> Subject {
        match self {
            Self::RunStep { step, .. } => Subject::Step(step),
            Self::UndoStep { step, .. } => Subject::Undo(step),
            Self::DeliverCallback { delivery, .. } => Subject::Delivery(delivery),
            Self::Send { message } => Subject::Message(message),
        }
    }
}

/// Everything the state owes at `now`, in order.
#[must_use]
pub fn owed(state: &State, now: Timestamp) -> Vec<Effect> {
    let steps = (0..).map(StepIndex).take(state.steps.len());
    let deliveries = (0..).take(state.deliveries.len());
    let messages = state.links.iter().flat_map(|links| links.outbox.keys().copied());
    steps
        .flat_map(|step| [Subject::Step(step), Subject::Undo(step)])
        .chain(deliveries.map(Subject::Delivery))
        .chain(messages.map(Subject::Message))
        .filter_map(|subject| owed_by(state, subject, now))
        .collect()
}

/// What the state owes at `now` concerning one subject.
#[must_use]
pub fn owed_by(state: &State, subject: Subject, now: Timestamp) -> Option<Effect> {
    match subject {
        Subject::Step(step) => {
            let own = state.steps.get(step.at())?;
            if !matches!(state.plan.steps[step.at()].task, TaskKind::Effect(_)) {
                return None;
            }
            let attempt = own.attempt;
            (own.status == StepStatus::Running).then_some(Effect::RunStep { step, attempt })
        }
        Subject::Undo(step) => {
            let own = state.steps.get(step.at())?.undo.as_ref()?;
            if state.plan.steps[step.at()].undo.as_ref()?.rolls_back() {
                return None;
            }
            let attempt = own.attempt;
            (own.status == UndoStatus::Running).then_some(Effect::UndoStep { step, attempt })
        }
        Subject::Delivery(delivery) => {
            let own = state.deliveries.get(delivery as usize)?;
            let due = own.due_at.is_none_or(|at| at <= now);
            let attempt = own.attempt.saturating_add(1);
            (own.status == DeliveryStatus::Owed && due)
                .then_some(Effect::DeliverCallback { delivery, attempt })
        }
        Subject::Message(message) => {
            let links = state.links.as_ref()?;
            links.outbox.contains_key(&message).then_some(Effect::Send { message })
        }
        Subject::Deadline
        | Subject::StepLimit(_)
        | Subject::StepSla(_)
        | Subject::Sla
        | Subject::Compensation => None,
    }
}

impl State {
    /// What changed since this was last asked, and what has fallen due by `now`: the only
    /// subjects that can owe something new.
    pub fn take_touched(&mut self, now: Timestamp) -> Vec<Subject> {
        let mut touched = std::mem::take(&mut self.sets.touched);
        let due = self.due_by(now).filter(|subject| matches!(subject, Subject::Delivery(_)));
        touched.extend(due.collect::<Vec<_>>());
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Has every owed delivery and message looked at again: after a start none is in flight.
    pub fn touch_deliveries(&mut self) {
        let owed = self.sets.owed_deliveries.iter().copied().map(Subject::Delivery);
        self.sets.touched.extend(owed);
        let outbox = self.links.iter().flat_map(|links| links.outbox.keys());
        self.sets.touched.extend(outbox.copied().map(Subject::Message));
    }
}
