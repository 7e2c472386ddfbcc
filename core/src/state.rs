//! Where a run stands: the fold of its events, with the sets that keep deciding linear.
//!
//! Only `evolve` changes a state. The sets (`open`, `ready`, `running`, ...) are derived: a
//! property test compares them with their naive definition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::advance::scheduled;
use crate::arrows::{DeliveryStatus, Phase, StepStatus, UndoStatus};
use crate::event::{CallbackEvent, Compensation, LetterSubject, Outcome, Recourse, Submitted};
use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::plan::{Plan, PlanStep};
use crate::summary::{LetterStatus, RunStatus};
use crate::time::Timestamp;

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
    /// Events folded so far.
    pub version: u64,
    /// Where the run as a whole stands.
    pub phase: Phase,
    /// Each step, in the plan's order.
    pub steps: Vec<StepState>,
    /// Why the run fails or failed, and what is done about it.
    pub failing: Option<Failing>,
    /// The cancel that was asked for, if one was.
    pub cancel: Option<Cancel>,
    /// Whether the run's timeout was recorded; it counts once.
    pub deadline_passed: bool,
    /// The final word.
    pub ending: Option<Ending>,
    /// Every callback delivery, by number.
    pub deliveries: Vec<Delivery>,
    /// Every dead letter, by number.
    pub letters: Vec<Letter>,
    /// When the last event happened.
    pub updated_at: Timestamp,
    pub(crate) sets: Sets,
}

/// What is outstanding, kept up to date so that no decision looks at every step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sets {
    /// Pending steps whose needs are all settled.
    pub open: BTreeSet<StepIndex>,
    /// Steps with status `Ready`.
    pub ready: BTreeSet<StepIndex>,
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
    /// What changed since the shell last looked.
    pub touched: Vec<Subject>,
}

/// The first subject in order, for ranges over instants.
const FIRST: Subject = Subject::Step(StepIndex(0));

/// What an effect or a timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A step's forward way.
    Step(StepIndex),
    /// A step's undo.
    Undo(StepIndex),
    /// A callback's delivery.
    Delivery(u32),
    /// The run's own timeout.
    Deadline,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct StepState {
    /// On its way forward.
    pub status: StepStatus,
    /// Which deliberate run of the step this is, from 1.
    pub round: u16,
    /// Attempts over all rounds.
    pub attempt: u16,
    /// Attempts that count against the retry policy since the step was last readied.
    pub tries: u16,
    /// Attempts that a crash took, since the step was last readied.
    pub lost: u16,
    /// Whether some attempt may have taken effect without anybody knowing.
    pub unsure: bool,
    /// Needs that are not settled yet.
    pub open_needs: u32,
    /// Needs that are done (succeeded, skipped, or failed where that is allowed).
    pub done_needs: u32,
    /// When its wait or its next attempt is due.
    pub due_at: Option<Timestamp>,
    /// The wait drawn for the next attempt.
    pub retry_delay_ms: u64,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it was settled.
    pub completed_at: Option<Timestamp>,
    /// Rendered when it became ready.
    pub input: Option<Payload>,
    /// What it answered.
    pub output: Option<Payload>,
    /// Its last failure.
    pub failure: Option<Box<Failure>>,
    /// Its undo, once the run unwinds and it needs one.
    pub undo: Option<Box<UndoState>>,
    /// While unwinding: dependants that are not unwound yet.
    pub(crate) unwind_open: u32,
}

/// One step's undo.
#[derive(Debug, Clone)]
pub struct UndoState {
    /// Where it stands.
    pub status: UndoStatus,
    /// Attempts made.
    pub attempt: u16,
    /// Attempts that count against its retry policy since it was last opened.
    pub tries: u16,
    /// When its next attempt is due.
    pub due_at: Option<Timestamp>,
    /// The wait drawn for the next attempt.
    pub retry_delay_ms: u64,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it got its result.
    pub completed_at: Option<Timestamp>,
    /// Rendered when it became ready.
    pub input: Option<Payload>,
    /// What it answered.
    pub output: Option<Payload>,
    /// Its last failure.
    pub failure: Option<Box<Failure>>,
    /// Whether what the step needs has been let go: once, at the first result.
    pub(crate) released: bool,
}

/// Why a run fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// What went wrong.
    pub failure: Failure,
    /// The step at fault.
    pub step: Option<StepIndex>,
    /// What is done about it.
    pub recourse: Recourse,
}

/// A cancel that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// In the caller's words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Whether to undo what was done.
    pub compensate: bool,
    /// Whether it stopped the run; one that came during unwinding did not.
    pub in_force: bool,
    /// When.
    pub at: Timestamp,
}

/// The final word on a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The word.
    pub outcome: Outcome,
    /// What became of the undos.
    pub compensation: Compensation,
    /// The run's output.
    pub output: Option<Payload>,
    /// When.
    pub at: Timestamp,
}

/// One callback's delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What it reports.
    pub event: CallbackEvent,
    /// Where it goes.
    pub url: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made.
    pub attempt: u16,
    /// Attempts since it was last opened.
    pub tries: u16,
    /// When the next attempt is due; at once if unsaid.
    pub due_at: Option<Timestamp>,
    /// The status of the last answer.
    pub answered: Option<u16>,
    /// The last failure.
    pub failure: Option<Box<Failure>>,
    /// When it was scheduled.
    pub scheduled_at: Timestamp,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which operation.
    pub subject: LetterSubject,
    /// Where it stands.
    pub status: LetterStatus,
    /// The operation's last failure.
    pub failure: Failure,
    /// Attempts before it was opened.
    pub attempts: u16,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was retried or discarded, by whom, and why.
    pub settled: Option<LetterSettled>,
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterSettled {
    /// Who settled it.
    pub actor: String,
    /// Why, for a discarded one.
    pub reason: Option<String>,
    /// The new run, where the retry started one.
    pub linked: Option<ExecutionId>,
    /// When.
    pub at: Timestamp,
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
        Self {
            id,
            plan,
            submitted,
            submitted_at: at,
            version: 1,
            phase: Phase::Forward,
            steps,
            failing: None,
            cancel: None,
            deadline_passed: false,
            ending: None,
            deliveries: Vec::new(),
            letters: Vec::new(),
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
            (Phase::Forward, _) if self.version == 1 => RunStatus::Pending,
            _ => RunStatus::Running,
        }
    }

    /// Whether the run has its final word and nothing is outstanding that the shell must do:
    /// it may leave memory, and comes back when somebody acts on one of its letters.
    #[must_use]
    pub fn is_quiescent(&self) -> bool {
        self.phase == Phase::Ended
            && self.sets.owed_deliveries.is_empty()
            && self.sets.faulted_deliveries.is_empty()
            && self.sets.unlettered.is_empty()
            && self.ending_event().is_none_or(|event| scheduled(self, event).is_empty())
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
            Subject::Undo(_) => self.phase == Phase::Unwinding,
            Subject::Delivery(_) => true,
            Subject::Deadline => matches!(self.phase, Phase::Forward | Phase::Suspended),
        }
    }

    /// What is due by `now` and heeded, earliest first.
    pub(crate) fn due_by(&self, now: Timestamp) -> impl Iterator<Item = Subject> + '_ {
        let due = self.sets.due.iter().take_while(move |&&(at, _)| at <= now);
        due.map(|&(_, subject)| subject).filter(|&subject| self.heeds(subject))
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

    /// The key an effect of the step carries, the same for all attempts of a round:
    /// `execution/step/round`, for its undo with `/undo`.
    #[must_use]
    pub fn idempotency_key(&self, subject: Subject) -> String {
        let (step, suffix) = match subject {
            Subject::Step(step) => (step, ""),
            Subject::Undo(step) => (step, "/undo"),
            Subject::Delivery(number) => return format!("{}/callback/{number}", self.id),
            Subject::Deadline => return format!("{}/deadline", self.id),
        };
        let (plan, state) = (&self.plan.steps[step.at()], self.step(step));
        format!("{}/{}/{}{suffix}", self.id, plan.id, state.round)
    }

    /// Whether undoing the step is called for when the run unwinds: it has an undo, and it
    /// took effect or may have.
    pub(crate) fn needs_undo(&self, step: StepIndex) -> bool {
        let state = self.step(step);
        self.plan.steps[step.at()].undo.is_some()
            && (state.status == StepStatus::Succeeded || state.unsure)
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

impl StepState {
    fn begin(plan: &PlanStep) -> Self {
        Self {
            status: StepStatus::Pending,
            round: 1,
            attempt: 0,
            tries: 0,
            lost: 0,
            unsure: false,
            open_needs: u32::try_from(plan.needs.len()).expect("needs are bounded by the steps"),
            done_needs: 0,
            due_at: None,
            retry_delay_ms: 0,
            started_at: None,
            completed_at: None,
            input: None,
            output: None,
            failure: None,
            undo: None,
            unwind_open: 0,
        }
    }

    /// The status word that is shown: the undo's, once there is one.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.undo.as_ref().map(|undo| undo.status) {
            Some(UndoStatus::Succeeded) => "undone",
            Some(UndoStatus::Failed) => "undo_failed",
            Some(UndoStatus::Pending) | None => self.forward_word(),
            Some(_) => "undoing",
        }
    }

    fn forward_word(&self) -> &'static str {
        match self.status {
            StepStatus::Pending => "pending",
            StepStatus::Ready => "ready",
            StepStatus::Waiting => "waiting",
            StepStatus::Running => "running",
            StepStatus::Faulted | StepStatus::Retrying => "retrying",
            StepStatus::Succeeded => "succeeded",
            StepStatus::Failed => "failed",
            StepStatus::Skipped => "skipped",
            StepStatus::Pruned => "pruned",
            StepStatus::Cancelled => "cancelled",
        }
    }
}

impl UndoState {
    pub(crate) fn pending() -> Self {
        Self {
            status: UndoStatus::Pending,
            attempt: 0,
            tries: 0,
            due_at: None,
            retry_delay_ms: 0,
            started_at: None,
            completed_at: None,
            input: None,
            output: None,
            failure: None,
            released: false,
        }
    }

    /// The status word that is shown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.status {
            UndoStatus::Pending => "pending",
            UndoStatus::Ready => "ready",
            UndoStatus::Running => "running",
            UndoStatus::Faulted | UndoStatus::Retrying => "retrying",
            UndoStatus::Succeeded => "succeeded",
            UndoStatus::Failed => "failed",
        }
    }
}
