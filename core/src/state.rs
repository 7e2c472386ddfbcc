//! Where a run stands: the fold of its events, with the sets that keep deciding linear.
//!
//! Only `evolve` changes a state. The sets (`open`, `ready`, `running`, ...) are derived: a
//! property test compares them with their naive definition.

mod around;
mod calls;
mod checks;
mod controls;
mod flow;
mod forks;
mod keyed;
mod keys;
mod links;
mod migrations;
mod notices;
mod numbers;
mod partial;
pub(crate) mod payloads;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::advance::owed_callbacks;
use crate::arrows::{Phase, StepStatus, UndoStatus};
use crate::event::{CallbackEvent, LetterSubject, Outcome, Submitted};
use crate::ids::{ExecutionId, StepIndex};
use crate::items::ChunkValues;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::summary::{LetterStatus, RunStatus};
use crate::time::Timestamp;
use crate::trace::TraceContext;

pub use around::{Cancel, Delivery, Edit, Ending, Failing, Handling, Letter, LetterSettled};
pub use calls::{Calls, HeldCall};
pub use controls::{Controls, Said, Signal, Signals};
pub(crate) use flow::StepLimits;
pub use flow::{Breach, FlowState};
pub use forks::Forks;
pub use keyed::{Keyed, RunKeys, Wanted};
pub use links::{Child, ChunkUndo, Links, Loop, Outgoing};
pub use migrations::{Migration, Migrations};
pub use notices::{Notices, Told, Untold};
pub(crate) use numbers::find_number;
pub use numbers::number_problems;
pub use partial::{BackTo, Partial};
pub use step::{CheckState, CheckVerdict, StepState, UndoByHand, UndoState};

/// One run.
#[derive(Debug, Clone)]
pub struct State {
    /// The run.
    pub id: ExecutionId,
    /// The revision it is pinned to.
    pub plan: Arc<Plan>,
    /// What it was submitted with.
    pub submitted: Box<Submitted>,
    /// When.
    pub submitted_at: Timestamp,
    /// Its tags, ascending.
    pub tags: Arc<[Arc<str>]>,
    /// Events folded so far.
    pub version: u64,
    /// Where the run as a whole stands.
    pub phase: Phase,
    /// When a step was first looked at, or the ended run was reopened; until the former it holds
    /// no slot.
    pub begun_at: Option<Timestamp>,
    /// Each step, in the plan's order.
    pub steps: Vec<StepState>,
    /// Why the run fails or failed, and what is done about it.
    pub failing: Option<Failing>,
    /// The cancel that was asked for, if one was.
    pub cancel: Option<Cancel>,
    /// What people and signals did to it beyond cancelling, if they did anything.
    pub controls: Option<Box<Controls>>,
    /// What its routers and handlers brought about, if its plan has any.
    pub flow: Option<Box<FlowState>>,
    /// What its steps need of keyed limits, if any does.
    pub keyed: Option<Box<Keyed>>,
    /// Its calls that wait until their services may be called, if there are any.
    pub calls: Option<Box<Calls>>,
    /// The limits of runs with the same key that it counts against, if there is any.
    pub(crate) run_keys: Option<Box<RunKeys>>,
    /// The trace that it belongs to, if that does not follow from what it is.
    pub(crate) traced: Option<Box<TraceContext>>,
    /// Whether the run's timeout was recorded; it counts once.
    pub deadline_passed: bool,
    /// The final word.
    pub ending: Option<Ending>,
    /// Who is told in forms of their own, and what nobody was told of, if there is any of that.
    pub(crate) notices: Option<Box<Notices>>,
    /// Every callback delivery, by number.
    pub deliveries: Vec<Delivery>,
    /// Every dead letter, by number.
    pub letters: Vec<Letter>,
    /// What ties it to other runs, if anything does.
    pub links: Option<Box<Links>>,
    /// What the items of a chunk read, once one of them has.
    pub(crate) chunk: Option<Arc<ChunkValues>>,
    /// What it keeps of another run, and its forks of it, if there is any of that.
    pub forks: Option<Box<Forks>>,
    /// Which revisions it was pinned to, if it was migrated.
    pub migrations: Option<Box<Migrations>>,
    /// Bytes of all payloads of its events.
    pub payload_bytes: usize,
    /// When the last event happened.
    pub updated_at: Timestamp,
    pub(crate) sets: Sets,
}

/// What is outstanding, kept up to date so that no decision looks at every step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sets {
    /// Pending steps whose needs are all settled.
    pub open: BTreeSet<StepIndex>,
    /// Steps with status `Ready` that need no turn.
    pub ready: BTreeSet<StepIndex>,
    /// Steps with status `Ready` that wait for a turn.
    pub queued: BTreeSet<StepIndex>,
    /// Steps with status `Running`.
    pub running: BTreeSet<StepIndex>,
    /// Steps with status `Faulted`.
    pub faulted: BTreeSet<StepIndex>,
    /// Failed steps that are not allowed to.
    pub failed: BTreeSet<StepIndex>,
    /// Steps that are not settled: the run completes at 0.
    pub unsettled: usize,
    /// Everything that waits for an instant.
    pub due: BTreeSet<(Timestamp, Subject)>,
    /// While unwinding: undos with status `Pending` that nothing holds back any more.
    pub undo_open: BTreeSet<StepIndex>,
    /// Undos with status `Ready`.
    pub undo_ready: BTreeSet<StepIndex>,
    /// Undos with status `Faulted`.
    pub undo_faulted: BTreeSet<StepIndex>,
    /// Undos with status `Answered`.
    pub undo_answered: BTreeSet<StepIndex>,
    /// Undos that have no result yet.
    pub undo_unfinished: usize,
    /// Deliveries with status `Owed`.
    pub owed_deliveries: BTreeSet<u32>,
    /// Deliveries with status `Faulted`.
    pub faulted_deliveries: BTreeSet<u32>,
    /// The run passed its timeout and what follows is not decided yet.
    pub overdue: bool,
    /// A step of the suspended run that an operator gave up.
    pub given_up: Option<StepIndex>,
    /// Failed operations that have no letter yet.
    pub unlettered: Vec<LetterSubject>,
    /// What changed since the shell last looked; no checkpoint keeps it.
    #[serde(skip)]
    pub touched: Vec<Subject>,
}

/// The first subject in order, for ranges over instants.
const FIRST: Subject = Subject::Step(StepIndex(0));

/// What an effect or a timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// A step's forward way.
    Step(StepIndex),
    /// A step's undo.
    Undo(StepIndex),
    /// A callback's delivery.
    Delivery(u32),
    /// The run's own timeout.
    Deadline,
    /// A message to another run.
    Message(u32),
    /// A step's limit over all its attempts.
    StepLimit(StepIndex),
    /// What was agreed for a step.
    StepSla(StepIndex),
    /// What was agreed for the run.
    Sla,
    /// The limit of all undos together.
    Compensation,
}

impl State {
    /// A run just submitted: the fold of its first event.
    #[must_use]
    pub fn begin(
        id: ExecutionId,
        plan: Arc<Plan>,
        submitted: Box<Submitted>,
        at: Timestamp,
    ) -> Self {
        let steps: Vec<_> = plan.steps.iter().map(StepState::begin).collect();
        let mut sets = Sets { unsettled: steps.len(), ..Sets::default() };
        for (index, step) in (0..).map(StepIndex).zip(&steps) {
            if step.open_needs == 0 {
                sets.open.insert(index);
            }
        }
        if let Some(deadline_at) = submitted.deadline_at {
            sets.due.insert((deadline_at, Subject::Deadline));
        }
        sets.due.extend(plan.sla_ms.map(|sla_ms| (at.plus_ms(sla_ms), Subject::Sla)));
        let payload_bytes = submitted.input.length_bytes() + submitted.variables.length_bytes();
        let flow = FlowState::begin(&plan).map(Box::new);
        Self {
            id,
            plan,
            submitted,
            submitted_at: at,
            tags: Arc::default(),
            version: 1,
            phase: Phase::Forward,
            begun_at: None,
            steps,
            failing: None,
            cancel: None,
            controls: None,
            flow,
            keyed: None,
            calls: None,
            run_keys: None,
            traced: None,
            deadline_passed: false,
            ending: None,
            notices: None,
            deliveries: Vec::new(),
            letters: Vec::new(),
            links: None,
            chunk: None,
            forks: None,
            migrations: None,
            payload_bytes,
            updated_at: at,
            sets,
        }
    }

    /// The step's state.
    #[must_use]
    pub fn step(&self, step: StepIndex) -> &StepState {
        &self.steps[step.at()]
    }

    /// The run's status word.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        match (self.phase, &self.ending) {
            (Phase::Ended, Some(ending)) => match ending.outcome {
                Outcome::Completed => RunStatus::Completed,
                Outcome::Failed => RunStatus::Failed,
                Outcome::Compensated => RunStatus::Compensated,
                Outcome::CompensationFailed => RunStatus::CompensationFailed,
                Outcome::Cancelled => RunStatus::Cancelled,
            },
            (Phase::Unwinding, _) => RunStatus::Compensating,
            (Phase::Suspended, _) => RunStatus::Suspended,
            (Phase::Forward, _) if !self.has_begun() => RunStatus::Pending,
            _ => RunStatus::Running,
        }
    }

    /// How many events begin the run, before anything of it starts.
    pub(crate) fn beginning(&self) -> u64 {
        let origin = self.links.as_ref().is_some_and(|links| links.origin.is_some());
        let forked = self.fork_origin().map_or(0, |fork| 2 + u64::from(fork.kept));
        let keyed = self.run_keys.is_some();
        let targeted = !self.targets().is_empty();
        let alerted = !self.alerts().is_empty();
        let faulty = !self.faults().is_empty();
        let traced = self.traced.is_some();
        let told = [!self.tags.is_empty(), origin, keyed, targeted, alerted, faulty, traced];
        1 + told.into_iter().map(u64::from).sum::<u64>() + forked
    }

    /// Whether the run has its final word and nothing is outstanding that the shell must do:
    /// it may leave memory, and comes back when somebody acts on one of its letters.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        self.phase == Phase::Ended
            && self.sets.owed_deliveries.is_empty()
            && self.sets.faulted_deliveries.is_empty()
            && self.sets.unlettered.is_empty()
            && self.links.as_ref().is_none_or(|links| links.at_rest())
            && owed_callbacks(self).is_empty()
    }

    /// Whether the run is over for good: nothing is owed and no letter waits for a person, so
    /// that nothing but its history is left to keep.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_quiescent() && self.letters.iter().all(|letter| letter.status != LetterStatus::Open)
    }

    /// The next instant after `now` at which something is due, if anything waits for one.
    /// What is due by `now` was seen to by the decision made then.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let after = self.sets.due.range((Timestamp(now.0.saturating_add(1)), FIRST)..);
        after.map(|&(at, subject)| (at, subject)).find(|&(_, s)| self.heeds(s)).map(|(at, _)| at)
    }

    /// Whether something that falls due concerns the run in its present phase.
    pub(crate) fn heeds(&self, subject: Subject) -> bool {
        match subject {
            Subject::Step(_) => self.phase == Phase::Forward,
            Subject::Undo(_) | Subject::Compensation => self.phase == Phase::Unwinding,
            Subject::Delivery(_) => true,
            Subject::Deadline => {
                matches!(self.phase, Phase::Forward | Phase::Suspended) && self.partial().is_none()
            }
            Subject::Message(_) => false,
            Subject::StepLimit(_) => self.phase == Phase::Forward,
            Subject::StepSla(_) | Subject::Sla => self.phase != Phase::Ended,
        }
    }

    /// What is due by `now` and heeded, earliest first.
    pub(crate) fn due_by(&self, now: Timestamp) -> impl Iterator<Item = Subject> + '_ {
        let due = self.sets.due.iter().take_while(move |&&(at, _)| at <= now);
        due.map(|&(_, subject)| subject).filter(|&subject| self.heeds(subject))
    }

    /// Until when the run can be rolled back and is kept for that, if its workflow says so and it
    /// has ended with something to undo.
    #[must_use]
    pub fn rollback_until(&self) -> Option<Timestamp> {
        let (ending, window_ms) = (self.ending.as_ref()?, self.plan.rollback_window_ms?);
        self.anything_stands().then(|| ending.at.plus_ms(window_ms))
    }

    /// What happened to the run that callbacks report once, in any phase.
    pub(crate) fn happened(&self) -> impl Iterator<Item = CallbackEvent> {
        let begun = self.has_begun().then_some(CallbackEvent::Started);
        let unwinds = self.phase == Phase::Unwinding && self.partial().is_none();
        let unwinds = unwinds.then_some(CallbackEvent::Compensating);
        let breached = (!self.breaches().is_empty()).then_some(CallbackEvent::SlaBreached);
        let ended = self.ending_event().filter(|_| self.phase == Phase::Ended);
        let failed_undo = |own: &&Ending| own.outcome == Outcome::CompensationFailed;
        let stuck = self.ending.as_ref().filter(failed_undo).filter(|_| ended.is_some());
        let stuck = stuck.map(|_| CallbackEvent::CompensationFailed);
        [begun, breached, unwinds, ended, stuck].into_iter().flatten()
    }

    /// Which callback a run's ending calls for.
    #[must_use]
    pub fn ending_event(&self) -> Option<CallbackEvent> {
        self.ending.as_ref().map(|ending| match ending.outcome {
            Outcome::Completed => CallbackEvent::Completed,
            Outcome::Cancelled => CallbackEvent::Cancelled,
            Outcome::Failed | Outcome::Compensated | Outcome::CompensationFailed => {
                CallbackEvent::Failed
            }
        })
    }

    /// Whether undoing the step is called for when the run unwinds: it has an undo, or a person
    /// is to say what becomes of it, and it took effect or may have.
    pub(crate) fn needs_undo(&self, step: StepIndex) -> bool {
        let state = self.step(step);
        let plan = &self.plan.steps[step.at()];
        (plan.undo.is_some() || plan.holds_unwinding)
            && (state.status == StepStatus::Succeeded || state.unsure)
            && !self.is_undone_elsewhere(step)
    }

    /// The numbers of an operation's letters, the newest last.
    pub fn letters_of(&self, subject: LetterSubject) -> impl Iterator<Item = u32> + '_ {
        let letters = (0..).zip(&self.letters);
        letters.filter(move |(_, own)| own.subject == subject).map(|(number, _)| number)
    }

    /// The input that a person gave the step with the newest letter that has one and was
    /// retried, and the round it is run in.
    #[must_use]
    pub fn edited_input(&self, step: StepIndex) -> Option<(&Payload, u16)> {
        let retried = |own: &&Letter| {
            own.subject == LetterSubject::Step(step) && own.status == LetterStatus::Retried
        };
        let letters = self.letters.iter().rev().filter(retried);
        let edit = letters.filter_map(|own| own.handling.as_ref()?.edit.as_ref()).next()?;
        let now = self.step(step).round;
        let round = edit.round.unwrap_or(now.saturating_add(1));
        // What was given for an earlier round is rendered anew.
        (round >= now).then_some((&edit.input, round))
    }

    /// How many undos there are, by status.
    #[must_use]
    pub fn undo_counts(&self) -> BTreeMap<UndoStatus, usize> {
        let mut counts = BTreeMap::new();
        for undo in self.steps.iter().filter_map(|step| step.undo.as_ref()) {
            *counts.entry(undo.status).or_default() += 1;
        }
        counts
    }
}
