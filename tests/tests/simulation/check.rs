//! The invariants, each against the durable records and the services' books.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::arrows::{StepStatus, UndoStatus};
use backstitch_core::effect::owed;
use backstitch_core::event::{
    Compensation, ControlEvent, Event, GraphEvent, LetterSubject, Outcome, RunEvent, UnwindEvent,
};
use backstitch_core::ids::StepIndex;
use backstitch_core::lineage::Plans as _;
use backstitch_core::plan::Plan;
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::{State, Subject};
use backstitch_core::summary::{LetterStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;

use super::clients::own_tags;
use super::world::World;
use super::{cached, forks, links, rollouts};

/// The end of time: whatever could fall due has.
const LATE: Timestamp = Timestamp(i64::MAX);

pub fn all(world: &World) {
    let seed = world.seed;
    let runs: Vec<_> = world.disk.lock().expect("no panic").runs.keys().copied().collect();
    for ticket in world.asked_before_crash..world.answered.len() {
        let asked = &world.asked[ticket];
        assert!(world.answered[ticket], "seed {seed}: {asked:?} was never answered");
    }
    for run in &world.accepted {
        let removed = world.disk.lock().expect("no thread panicked").own_removed(*run);
        assert!(removed || runs.contains(run), "seed {seed}: {run} was accepted and is lost");
    }
    removed_runs_leave_no_trace(world);
    links::messages_take_effect_once(world);
    for run in runs {
        let state = world.live_state(run);
        let records = world.disk.lock().expect("no thread panicked").runs[&run].clone();
        let events: Vec<RunEvent> = records
            .into_iter()
            .map(|record| match record.event {
                Event::Run(event) => event,
                _ => panic!("only runs here"),
            })
            .collect();
        let run = Run { world, state: &state, events: &events };
        run.ended();
        run.nothing_is_owed();
        run.successes_are_single();
        run.no_start_while_failing();
        if let Some(why) = super::undos::out_of_order(&state, run.events) {
            run.fail(why);
        }
        run.every_failure_has_its_letter();
        run.books_agree();
        if let Some(why) = super::retries::wrong_way(&state, run.events) {
            run.fail(why);
        }
        cached::hits_name_who_answered(world, &state);
        run.signals_are_taken_once();
        let books = &world.books.callbacks;
        let received = |number| books.contains_key(&run.key(Subject::Delivery(number)));
        if let Some(why) = super::told::wrong(&state, run.events, &received) {
            run.fail(why);
        }
        run.rows_are_the_fold();
        run.tags_are_whole();
        links::children_agree(world, &state);
        forks::forks_agree(world, &state);
        rollouts::runs_fell_where_they_should(world, &state);
    }
}

/// No row shows a run that was removed and did not begin again, and it was closed.
fn removed_runs_leave_no_trace(world: &World) {
    let disk = world.disk.lock().expect("no thread panicked");
    for row in world.rows.values() {
        let run = match row {
            ViewChange::Run(own) => own.execution,
            ViewChange::Letter(own) => own.letter.execution,
        };
        assert!(disk.runs.contains_key(&run), "seed {}: a row shows {run}", world.seed);
    }
    for (run, records) in &disk.removed {
        let events = super::disk::events_of(records);
        let events = events.iter().map(|(event, at)| (event, *at));
        let state = backstitch_core::machine::replay(*run, &*disk, events).expect("it was whole");
        let may_go = state.is_closed() || state.is_unstarted_fork();
        assert!(may_go, "seed {}: {run} was removed and is not closed", world.seed);
    }
}

struct Run<'a> {
    world: &'a World,
    state: &'a State,
    events: &'a [RunEvent],
}

impl Run<'_> {
    fn fail(&self, why: &str) -> ! {
        let id = self.state.id;
        for (version, event) in (1..).zip(self.events) {
            eprintln!("{version:4} {event:?}");
        }
        self.world.tell_around(self.state);
        panic!("seed {}: {id}: {why}", self.world.seed)
    }

    fn check(&self, holds: bool, why: &str) {
        if !holds {
            self.fail(why);
        }
    }

    fn plan(&self) -> &Plan {
        &self.state.plan
    }

    fn steps(&self) -> impl Iterator<Item = StepIndex> + use<> {
        (0..).map(StepIndex).take(self.state.steps.len())
    }

    fn key(&self, subject: Subject) -> String {
        self.state.idempotency_key(subject)
    }

    fn ended(&self) {
        self.check(self.state.status().is_ended(), "has not ended");
        self.check(self.state.is_quiescent(), "is not quiescent");
    }

    fn nothing_is_owed(&self) {
        self.check(owed(self.state, LATE).is_empty(), "owes something");
        self.check(self.state.next_due(Timestamp(0)).is_none(), "waits for an instant");
        let advanced = backstitch_core::advance::advance(self.state, LATE);
        self.check(advanced.is_empty(), "something still follows");
    }

    fn successes_are_single(&self) {
        let mut done = BTreeSet::new();
        for event in self.events {
            let settled = match event {
                RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                    done.retain(|step| !steps.contains(step));
                    continue;
                }
                RunEvent::StepSucceeded { step, .. }
                | RunEvent::Graph(
                    GraphEvent::StepSignalled { step, .. }
                    | GraphEvent::RouteChosen { step, .. }
                    | GraphEvent::StepCacheHit { step, .. },
                )
                | RunEvent::Control(ControlEvent::StepOverridden { step, .. }) => step,
                _ => continue,
            };
            self.check(done.insert(*settled), "a step succeeded twice in its round");
        }
        let mut undone = BTreeSet::new();
        for event in self.events {
            match event {
                RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                    undone.retain(|step| !steps.contains(step));
                }
                RunEvent::UndoSucceeded { step, .. } => {
                    self.check(undone.insert(*step), "a step was undone twice in its round");
                }
                _ => {}
            }
        }
    }

    /// From failing to the end no step starts, and unwinding begins with nothing in flight.
    fn no_start_while_failing(&self) {
        let (mut failing, mut paused, mut part) = (false, false, false);
        let mut running = BTreeSet::new();
        for event in self.events {
            match event {
                RunEvent::RunFailing { .. } => (failing, paused, part) = (true, false, false),
                RunEvent::RunSuspended { .. } => failing = true,
                RunEvent::LetterRetried { linked: None, .. } => failing = paused || part,
                RunEvent::Control(ControlEvent::RollbackRequested { to: Some(_), .. }) => {
                    (failing, part) = (true, true);
                }
                RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { .. }) => {
                    (failing, part) = (paused, false);
                }
                RunEvent::Control(ControlEvent::Paused { .. }) => (failing, paused) = (true, true),
                RunEvent::Control(ControlEvent::Resumed { .. }) => {
                    (failing, paused) = (part, false);
                }
                RunEvent::StepStarted { step, .. } => {
                    self.check(!failing, "a step started in a failing run");
                    running.insert(*step);
                }
                RunEvent::StepSucceeded { step, .. }
                | RunEvent::StepAttemptFailed { step, .. }
                | RunEvent::StepTimedOut { step, .. }
                | RunEvent::StepAttemptLost { step, .. }
                | RunEvent::Graph(GraphEvent::StepLimitPassed { step, .. }) => {
                    running.remove(step);
                }
                RunEvent::UnwindingStarted => {
                    self.check(running.is_empty(), "unwinding began with a step in flight");
                }
                RunEvent::Unwind(UnwindEvent::PartialUnwindingStarted { steps }) => {
                    // Runs beside it go on.
                    let flies = |own| super::undos::calls(self.state, own) || steps.contains(&own);
                    let idle = !running.iter().any(|own| flies(*own));
                    self.check(idle, "a part unwinds with a step in flight");
                }
                _ => {}
            }
        }
    }

    fn every_failure_has_its_letter(&self) {
        let mut failed: BTreeMap<Operation, u32> = BTreeMap::new();
        let mut lettered: BTreeMap<Operation, u32> = BTreeMap::new();
        for event in self.events {
            match event {
                RunEvent::StepFailed { step, .. }
                    if !self.plan().steps[step.at()].allow_failure && !self.state.is_chunk() =>
                {
                    *failed.entry((0, step.0)).or_default() += 1;
                }
                RunEvent::UndoFailed { step, .. } => {
                    *failed.entry((1, step.0)).or_default() += 1;
                }
                RunEvent::CallbackFailed { delivery, .. } => {
                    *failed.entry((2, *delivery)).or_default() += 1;
                }
                RunEvent::LetterOpened { subject, .. } => {
                    let key = match subject {
                        LetterSubject::Step(step) => (0, step.0),
                        LetterSubject::Undo(step) => (1, step.0),
                        LetterSubject::Callback(n) => (2, *n),
                    };
                    *lettered.entry(key).or_default() += 1;
                }
                RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                    for step in steps {
                        // What a handler made good before the step was undone had no letter.
                        let told = lettered.get(&(0, step.0)).copied().unwrap_or(0);
                        failed.insert((0, step.0), told);
                    }
                }
                _ => {}
            }
        }
        for step in self.steps() {
            let handled = self.state.is_handled(step) || self.state.has_called(step);
            if handled && let Some(failures) = failed.get_mut(&(0, step.0)) {
                // The last failure went to the step's handlers.
                *failures -= 1;
            }
        }
        failed.retain(|_, failures| *failures > 0);
        self.check(failed == lettered, "failures and letters differ");
    }

    /// The services' books against the run's own word.
    fn books_agree(&self) {
        let ending = self.state.ending.as_ref().expect("checked to have ended");
        if !links::keys_are_its_own(self.world, self.state) {
            return;
        }
        super::undos::agree(self.world, self.state, self.events);
        for step in self.steps().filter(|step| super::undos::calls(self.state, *step)) {
            let (plan, own) = (&self.plan().steps[step.at()], self.state.step(step));
            let kept = forks::is_kept(self.state, step);
            let applied = |subject| self.world.books.applied.get(&self.key(subject));
            let undone = applied(Subject::Undo(step));
            let applied = applied(Subject::Step(step)).filter(|_| !kept);
            let asked = self.state.cache_source(step).is_none() && !own.by_hand && !kept;
            if own.status == StepStatus::Succeeded && asked {
                self.check(applied.is_some(), "a step succeeded and the service knows nothing");
            }
            let undo = own.undo.as_ref().map(|undo| undo.status);
            let by_hand = super::undos::is_by_hand(self.state, step);
            if undo == Some(UndoStatus::Succeeded) && !by_hand {
                self.check(undone.is_some(), "a step is undone and the service knows nothing");
            }
            if undone.is_some() {
                self.check(undo.is_some(), "the service undid what the run did not");
            }
            let unwound = super::undos::is_unwound(self.state, ending);
            let elsewhere = self.state.is_undone_elsewhere(step);
            let done = applied.is_some() || (kept && own.status == StepStatus::Succeeded);
            if unwound && plan.undo.is_some() && done && !elsewhere && !by_hand {
                self.check(undone.is_some(), "something done was not undone");
            }
            let due = undo.is_some() || !super::undos::leaves_the_rest(self.state);
            if ending.compensation == Compensation::Failed
                && due
                && plan.undo.is_some()
                && applied.is_some()
                && undone.is_none()
                && !elsewhere
            {
                let lettered = self
                    .state
                    .letters
                    .iter()
                    .any(|letter| letter.subject == LetterSubject::Undo(step));
                self.check(lettered, "something is left undone and nobody is told");
            }
            if ending.outcome == Outcome::Completed {
                let failed = own.status != StepStatus::Succeeded && own.unsure;
                self.check(failed || undone.is_none(), "a completed run undid what succeeded");
                let vain = failed && applied.is_some() && plan.undo.is_some();
                let settled = own.by_hand || undo == Some(UndoStatus::Failed) || by_hand;
                let balanced = !vain || undone.is_some() || settled || elsewhere || kept;
                self.check(balanced, "what was done in vain stands in a completed run");
            }
        }
    }

    /// Every signal is taken at most once, by a step that waited for its name, in order.
    fn signals_are_taken_once(&self) {
        let (mut names, mut waiting, mut taken) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        let mut ids = BTreeSet::new();
        for event in self.events {
            match event {
                RunEvent::Control(ControlEvent::SignalReceived { name, id, .. }) => {
                    names.push(name);
                    let fresh = id.as_ref().is_none_or(|id| ids.insert(id));
                    self.check(fresh, "a signal was recorded twice");
                }
                RunEvent::Graph(GraphEvent::StepAwaitsSignal { step, name, .. }) => {
                    waiting.insert(*step, name);
                }
                RunEvent::Graph(GraphEvent::StepSignalled { step, signal, .. }) => {
                    let name = names.get(*signal as usize);
                    self.check(name == waiting.get(step), "a step took another's signal");
                    self.check(taken.insert(*signal), "a signal was taken twice");
                    let older = (0..*signal).filter(|own| names.get(*own as usize) == name);
                    let in_order = older.into_iter().all(|own| taken.contains(&own));
                    self.check(in_order, "a signal was taken before an older one");
                }
                _ => {}
            }
        }
    }

    /// The tags of the definition it began with and the submission's, whatever crashed in between.
    fn tags_are_whole(&self) {
        let child = self.state.parent().is_some();
        let mut tags = if child { Vec::new() } else { own_tags(self.state.id) };
        let disk = self.world.disk.lock().expect("no thread panicked");
        let plan = disk.plan_of(&self.state.lineage()[..1]).expect("every content is there");
        // A chunk of a loop is a part of its parent, which has them.
        tags.extend(plan.tags.iter().filter(|_| !self.state.is_chunk()).cloned());
        let tags: BTreeSet<_> = tags.into_iter().collect();
        self.check(tags.iter().eq(self.state.tags.iter()), "tags are missing or too many");
    }

    fn rows_are_the_fold(&self) {
        let own = run_summary(self.state);
        match self.world.rows.get(&self.state.id.to_string()) {
            Some(ViewChange::Run(row)) => {
                // A row is written when the status changes, so its version may be behind.
                let row = RunSummary { version: own.version, ..row.clone() };
                self.check(row == own, "the row of the run is not its fold");
            }
            _ => self.fail("the run has no row"),
        }
        for letter in letter_summaries(self.state) {
            match self.world.rows.get(&letter.letter.to_string()) {
                Some(ViewChange::Letter(row)) => {
                    self.check(row.status == letter.status, "a letter's row is not its fold");
                    let open = letter.status == LetterStatus::Open;
                    self.check(!open, "the operator left a letter");
                }
                _ => self.fail("a letter has no row"),
            }
        }
    }
}

type Operation = (u8, u32);
