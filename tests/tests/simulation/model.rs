//! The plain reference model: the rules of a run once more, as simple as they can be said.
//!
//! It knows the plan and the events, and nothing of the engine's state: no sets, no counters.
//! Every rule looks at all steps each time. An event that a rule forbids is an error, and where
//! the model says that everything stands must be where the fold says so.

mod flow;
mod forks;
mod loops;
mod migrations;
mod moves;
mod partial;
mod services;
pub mod slots;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::arrows::{DeliveryStatus, Phase, StepStatus, UndoStatus};
use backstitch_core::event::{LetterSubject, Number, Recourse, RunEvent, UnwindEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::plan::Plan;
use backstitch_core::time::Timestamp;

use super::arrows::Standing;

/// What the rules forbid, in words.
pub type Verdict = Result<(), String>;

/// One run as the rules see it.
pub struct Model {
    plan: Arc<Plan>,
    phase: Phase,
    steps: Vec<Step>,
    paused: bool,
    recourse: Option<Recourse>,
    /// The part of the run that is being undone.
    part: Option<BTreeSet<StepIndex>>,
    /// The step that it is rolled back to.
    back_to: Option<StepIndex>,
    /// Whether its last ending was that it completed.
    completed: bool,
    /// Whether outstanding undos may be given up.
    undos_forced: bool,
    /// Since when its undos have their time.
    unwinds_since: Option<Timestamp>,
    deliveries: Vec<DeliveryStatus>,
    letters: Vec<(LetterSubject, bool)>,
    /// Where routers led that have chosen.
    routes: BTreeMap<StepIndex, Vec<StepIndex>>,
    forks: forks::Forks,
    /// Numbers that templates came to.
    numbers: BTreeMap<Option<StepIndex>, BTreeMap<Number, u64>>,
    /// Steps that go through the items of a list.
    loops: BTreeMap<StepIndex, loops::Loop>,
    /// Handlers that a failure called.
    called: BTreeSet<StepIndex>,
    /// Failures that a handler made good.
    handled: BTreeSet<StepIndex>,
    /// Failures that nobody makes good.
    standing: BTreeSet<StepIndex>,
}

/// One step as the rules see it.
struct Step {
    status: StepStatus,
    attempt: u16,
    /// Attempts that count against the policy.
    tries: u16,
    due_at: Option<Timestamp>,
    ready_at: Option<Timestamp>,
    unsure: bool,
    /// Whether a person said what came of it.
    by_hand: bool,
    undo: Option<Undo>,
}

/// Its undo.
struct Undo {
    status: UndoStatus,
    attempt: u16,
    tries: u16,
    due_at: Option<Timestamp>,
    /// Whether it ever had a result: it holds nothing back from then on.
    had_result: bool,
    /// Whether it failed and a person settled that before the whole run was undone.
    stands: bool,
    /// Whether its attempts ask whether there is anything to undo.
    asks: bool,
    /// What the service said to that, if it said it.
    said: Option<bool>,
    /// Whether it is known by that that there is.
    found: bool,
}

impl Undo {
    fn pending() -> Self {
        let status = UndoStatus::Pending;
        let (attempt, tries, due_at, said) = (0, 0, None, None);
        let (had_result, stands, asks, found) = (false, false, false, false);
        Self { status, attempt, tries, due_at, had_result, stands, asks, said, found }
    }
}

impl Step {
    fn pending() -> Self {
        Self {
            status: StepStatus::Pending,
            attempt: 0,
            tries: 0,
            due_at: None,
            ready_at: None,
            unsure: false,
            by_hand: false,
            undo: None,
        }
    }
}

fn rule(holds: bool, says: &str) -> Verdict {
    if holds { Ok(()) } else { Err(says.to_owned()) }
}

impl Model {
    /// A run just submitted.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            steps: plan.steps.iter().map(|_| Step::pending()).collect(),
            plan,
            phase: Phase::Forward,
            paused: false,
            recourse: None,
            part: None,
            back_to: None,
            completed: false,
            undos_forced: false,
            unwinds_since: None,
            deliveries: Vec::new(),
            letters: Vec::new(),
            routes: BTreeMap::new(),
            forks: forks::Forks::default(),
            numbers: BTreeMap::new(),
            loops: BTreeMap::new(),
            called: BTreeSet::new(),
            handled: BTreeSet::new(),
            standing: BTreeSet::new(),
        }
    }

    /// Where everything stands.
    pub fn standing(&self) -> Standing {
        let undo = |own: &Step| own.undo.as_ref().map(|undo| undo.status);
        Standing {
            phase: self.phase,
            steps: self.steps.iter().map(|own| (own.status, undo(own))).collect(),
            deliveries: self.deliveries.clone(),
        }
    }

    /// Whether the run's steps may start: a fork waits until all is told that it keeps.
    pub fn is_told(&self) -> bool {
        !self.forks.waits()
    }

    /// What a letter is about.
    pub fn subject(&self, letter: u32) -> Option<LetterSubject> {
        self.letters.get(letter as usize).map(|own| own.0)
    }

    fn places(&self) -> impl Iterator<Item = StepIndex> + use<> {
        (0..).map(StepIndex).take(self.steps.len())
    }

    fn own(&mut self, step: StepIndex) -> &mut Step {
        &mut self.steps[step.at()]
    }

    fn status(&self, step: StepIndex) -> StepStatus {
        self.steps[step.at()].status
    }

    /// What a template of a number came to.
    fn number(&self, step: Option<StepIndex>, number: Number) -> Option<u64> {
        self.numbers.get(&step)?.get(&number).copied()
    }

    fn allowed(&self, step: StepIndex) -> bool {
        self.plan.steps[step.at()].allow_failure
    }

    /// The step has its place in the outcome.
    fn settled(&self, step: StepIndex) -> bool {
        let made_good = self.handled.contains(&step) && self.status(step) == StepStatus::Failed;
        self.done(step) || self.status(step) == StepStatus::Pruned || made_good
    }

    /// What needs it may run.
    fn done(&self, step: StepIndex) -> bool {
        match self.status(step) {
            StepStatus::Succeeded | StepStatus::Skipped => true,
            StepStatus::Failed => self.allowed(step),
            _ => false,
        }
    }

    /// It failed, and the run does not go on without it.
    fn fatal(&self, step: StepIndex) -> bool {
        self.status(step) == StepStatus::Failed && self.standing.contains(&step)
    }

    /// Every need is settled and, if there are any, one is done. A handler is called, too.
    fn may_open(&self, step: StepIndex) -> bool {
        let needs = self.needs(step);
        let called = self.is_called(step);
        let free = needs.is_empty() || called == Some(true);
        needs.iter().all(|need| self.settled(*need))
            && called != Some(false)
            && (free || needs.iter().any(|need| self.done(*need)))
            && !self.is_ruled_out(step)
    }

    /// No need is left that could let it run, or one it builds on failed.
    fn may_be_pruned(&self, step: StepIndex) -> bool {
        let needs = self.needs(step);
        let hopeless = needs.iter().all(|need| self.settled(*need) && !self.done(*need));
        (!needs.is_empty() && hopeless && self.is_called(step) != Some(true))
            || self.is_ruled_out(step)
            || self.above(step).into_iter().any(|need| self.fatal(need))
    }

    /// Everything the step needs, and what that needs.
    fn above(&self, step: StepIndex) -> Vec<StepIndex> {
        self.reach(step, |at| &self.plan.steps[at.at()].needs)
    }

    /// Everything that needs the step, and what needs that.
    fn below(&self, step: StepIndex) -> Vec<StepIndex> {
        self.reach(step, |at| &self.plan.steps[at.at()].dependants)
    }

    fn reach<'a>(
        &'a self,
        step: StepIndex,
        next: impl Fn(StepIndex) -> &'a Vec<StepIndex>,
    ) -> Vec<StepIndex> {
        let (mut found, mut from) = (Vec::new(), vec![step]);
        while let Some(at) = from.pop() {
            for &other in next(at) {
                if !found.contains(&other) {
                    found.push(other);
                    from.push(other);
                }
            }
        }
        found
    }

    /// Steps start only in a run that goes forward.
    fn goes_forward(&self) -> Verdict {
        let goes_on = !self.paused && !self.forks.waits();
        rule(self.phase == Phase::Forward && goes_on, "the run does not go forward")
    }

    fn move_step(&mut self, step: StepIndex, from: &[StepStatus], to: StepStatus) -> Verdict {
        let status = self.status(step);
        rule(from.contains(&status), &format!("step {} was {status:?}", step.0))?;
        self.own(step).status = to;
        Ok(())
    }

    fn move_run(&mut self, from: &[Phase], to: Phase) -> Verdict {
        rule(from.contains(&self.phase), &format!("the run was {:?}", self.phase))?;
        self.phase = to;
        Ok(())
    }

    /// One event, as the rules have it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn happened(&mut self, event: &RunEvent, at: Timestamp) -> Verdict {
        if matches!(
            event,
            RunEvent::UnwindingStarted
                | RunEvent::LetterRetried { .. }
                | RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { .. })
        ) {
            self.unwinds_since = Some(at);
        }
        self.follow(event, at)?;
        self.judge();
        Ok(())
    }

    fn follow(&mut self, event: &RunEvent, at: Timestamp) -> Verdict {
        match event {
            RunEvent::Control(event) => self.controlled(event),
            RunEvent::Graph(event) => self.branched(event, at),
            RunEvent::Fork(event) => self.forked(event),
            RunEvent::Link(event) => self.linked(event),
            RunEvent::Service(event) => self.served(event, at),
            RunEvent::Letter(_) => Ok(()),
            RunEvent::Unwind(event) => self.helped(event, at),
            RunEvent::UnwindingStarted
            | RunEvent::UndoReady { .. }
            | RunEvent::UndoStarted { .. }
            | RunEvent::UndoSucceeded { .. }
            | RunEvent::UndoAttemptFailed { .. }
            | RunEvent::UndoRetryScheduled { .. }
            | RunEvent::UndoFailed { .. } => self.unwound(event, at),
            RunEvent::RunFailing { .. }
            | RunEvent::RunSuspended { .. }
            | RunEvent::RunEnded { .. } => self.turned(event),
            RunEvent::LetterOpened { .. }
            | RunEvent::LetterRetried { .. }
            | RunEvent::LetterDiscarded { .. } => self.lettered(event),
            RunEvent::CallbackScheduled { .. }
            | RunEvent::CallbackDelivered { .. }
            | RunEvent::CallbackAttemptFailed { .. }
            | RunEvent::CallbackFailed { .. }
            | RunEvent::Delivery(_) => self.told(event),
            RunEvent::Submitted(_)
            | RunEvent::Tagged { .. }
            | RunEvent::CancelRequested { .. }
            | RunEvent::DeadlinePassed => Ok(()),
            _ => self.stepped(event, at),
        }
    }
}
