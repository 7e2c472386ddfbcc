//! One run in a partition's memory, with what the shell knows of it beyond its events.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::{Effect, owed, owed_by};
use backstitch_core::event::{ControlEvent, LetterSubject, RunEvent, UnwindEvent};
use backstitch_core::ids::StepIndex;
use backstitch_core::links::parcel;
use backstitch_core::report::{letter_summary, run_summary};
use backstitch_core::state::{State, Subject};
use backstitch_core::summary::{RunStatus, ViewChange};
use backstitch_core::time::Timestamp;

use super::Post;
use super::order::order;
use super::stage::{Release, Stage};
use super::turns::{SlotOf, Standing};
use crate::slots::Claim;

/// A place in the partition's table.
pub(super) enum Cell {
    Run(Box<Run>),
    Quarantined(Box<Aside>),
}

/// A run that is not worked on: what is still known of it.
pub(super) struct Aside {
    /// Why.
    pub(super) why: String,
    /// Attempts that were under way; each has its turn until it reports.
    pub(super) in_flight: BTreeSet<Effect>,
    /// The slot that it has until the last of them reports.
    pub(super) slot: Option<Claim>,
    /// Steps whose attempts hold places of keyed limits.
    pub(super) keys: BTreeSet<StepIndex>,
}

impl Aside {
    /// A run of which nothing is under way.
    pub(super) fn of(why: String) -> Box<Self> {
        Box::new(Self { why, in_flight: BTreeSet::new(), slot: None, keys: BTreeSet::new() })
    }
}

impl Cell {
    /// Effects that are performed outside; messages are not.
    pub(super) fn effects_in_flight(&self) -> usize {
        match self {
            Self::Run(run) => {
                let own = run.in_flight.iter();
                own.filter(|effect| !matches!(effect, Effect::Send { .. })).count()
            }
            Self::Quarantined(_) => 0,
        }
    }

    pub(super) fn attempts(&self) -> usize {
        match self {
            Self::Run(run) => run.attempts(),
            Self::Quarantined(aside) => aside.in_flight.len(),
        }
    }
}

/// A run and what is under way for it.
pub(super) struct Run {
    pub(super) state: State,
    pub(super) timer: Option<Timestamp>,
    /// Stages that must be committed before every record of the run is durable.
    pub(super) stages: u64,
    /// The version of its last checkpoint.
    pub(super) checkpointed: u64,
    pub(super) standing: Standing,
    pub(super) slot: SlotOf,
    /// Whether its last decision was cut, and goes on of itself.
    pub(super) is_cut: bool,
    /// When it was last decided on.
    pub(super) active_at: Timestamp,
    /// Whether it stands among those that may go to rest.
    pub(super) noted_idle: bool,
    in_flight: BTreeSet<Effect>,
    /// What its row says that may change.
    shown: Option<Shown>,
}

/// What a row says that may change: the status, when it ended, and the revision.
type Shown = (RunStatus, Option<Timestamp>, u32);

fn shown(state: &State) -> Shown {
    let ended_at = state.ending.as_ref().map(|ending| ending.at);
    (state.status(), ended_at, state.submitted.revision)
}

/// Every attempt that a subject may have in flight; there is at most one.
fn attempts(subject: Subject) -> Option<RangeInclusive<Effect>> {
    let (first, last) = (0, u16::MAX);
    Some(match subject {
        Subject::Step(step) => {
            Effect::RunStep { step, attempt: first }..=Effect::RunStep { step, attempt: last }
        }
        Subject::Undo(step) => {
            Effect::UndoStep { step, attempt: first }..=Effect::UndoStep { step, attempt: last }
        }
        Subject::Delivery(delivery) => {
            Effect::DeliverCallback { delivery, attempt: first }..=Effect::DeliverCallback {
                delivery,
                attempt: last,
            }
        }
        Subject::Message(message) => Effect::Send { message }..=Effect::Send { message },
        Subject::Deadline
        | Subject::StepLimit(_)
        | Subject::StepSla(_)
        | Subject::Sla
        | Subject::Compensation => return None,
    })
}

/// The effect whose end a command reports.
pub(super) fn reported(command: &Command) -> Option<Effect> {
    Some(match *command {
        Command::ReportStep { step, attempt, .. } => Effect::RunStep { step, attempt },
        Command::ReportUndo { step, attempt, .. } => Effect::UndoStep { step, attempt },
        Command::ReportCallback { delivery, attempt, .. } => {
            Effect::DeliverCallback { delivery, attempt }
        }
        Command::Acknowledge { message, .. } => Effect::Send { message },
        _ => return None,
    })
}

impl Run {
    pub(super) fn new(state: State) -> Self {
        let in_flight = BTreeSet::new();
        Self {
            state,
            timer: None,
            stages: 0,
            checkpointed: 0,
            standing: Standing::default(),
            slot: SlotOf::default(),
            is_cut: false,
            active_at: Timestamp::default(),
            noted_idle: false,
            in_flight,
            shown: None,
        }
    }

    /// A run as it was when it went to rest: nothing was owed, and its rows were as it is.
    pub(super) fn back(mut state: State, checkpointed: u64, now: Timestamp) -> Self {
        state.take_touched(now);
        let shown = Some(shown(&state));
        Self { checkpointed, shown, ..Self::new(state) }
    }

    /// Whether nothing is under way for the run: what it waits for is not the shell's to bring.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.standing.is_idle() && !self.is_cut
    }

    /// Attempts under way: each has a turn.
    pub(super) fn attempts(&self) -> usize {
        let callbacks = Effect::DeliverCallback { delivery: 0, attempt: 0 };
        self.in_flight.range(..callbacks).count()
    }

    /// Turns that the run holds and does not use.
    pub(super) fn spare_turns(&self) -> usize {
        self.standing.held.saturating_sub(self.attempts())
    }

    /// Takes from the run the turns of attempts that are to be stopped.
    pub(super) fn stopped_turns<T>(&mut self, releases: &[Release<T>]) -> usize {
        let stops = |release: &&Release<T>| match release {
            Release::Abort(_, effect) => !matches!(effect, Effect::DeliverCallback { .. }),
            _ => false,
        };
        let stopped = releases.iter().filter(stops).count().min(self.standing.held);
        self.standing.held -= stopped;
        stopped
    }

    /// Whether nothing of the run is outstanding: no effect and no timer.
    pub(super) fn may_leave(&self) -> bool {
        self.state.is_quiescent() && self.in_flight.is_empty()
    }

    /// A report ends what was in flight; answers whether it was.
    pub(super) fn settle_effect(&mut self, command: &Command) -> bool {
        reported(command).is_some_and(|effect| self.in_flight.remove(&effect))
    }

    /// Whether an attempt is in flight.
    pub(super) fn flies(&self, subject: Subject) -> bool {
        attempts(subject).is_some_and(|own| self.in_flight.range(own).next().is_some())
    }

    /// An attempt that was ordered is not made; what follows of that is about to be decided.
    pub(super) fn ground(&mut self, effect: Effect) {
        self.in_flight.remove(&effect);
        self.is_cut = true;
    }

    /// The attempts under way, of a run that is set aside.
    pub(super) fn into_attempts(mut self) -> BTreeSet<Effect> {
        let callbacks = Effect::DeliverCallback { delivery: 0, attempt: 0 };
        drop(self.in_flight.split_off(&callbacks));
        self.in_flight
    }

    /// After a start nothing is in flight: every attempt the journal knows as begun is lost.
    pub(super) fn lost(&mut self, now: Timestamp) -> Vec<Command> {
        self.state.take_touched(now);
        let (result, retry_delay_ms) = (AttemptResult::Lost, 0);
        let lost = owed(&self.state, now).into_iter().filter_map(|effect| match effect {
            Effect::RunStep { step, attempt } => {
                let result = result.clone();
                Some(Command::ReportStep { step, attempt, result, retry_delay_ms })
            }
            Effect::UndoStep { step, attempt } => {
                let result = result.clone();
                Some(Command::ReportUndo { step, attempt, result, retry_delay_ms })
            }
            Effect::DeliverCallback { .. } | Effect::Send { .. } => None,
        });
        let lost = lost.collect();
        self.state.touch_deliveries();
        lost
    }

    /// What the run owes now and is not in flight: owed minus in flight, looking only at what
    /// changed; and what is in flight there and no longer owed is given up.
    pub(super) fn newly_owed<T>(&mut self, now: Timestamp) -> Vec<Release<T>> {
        let (mut fresh, mut stale) = (Vec::new(), Vec::new());
        for subject in self.state.take_touched(now) {
            let owed = owed_by(&self.state, subject, now);
            let flying = attempts(subject).and_then(|own| self.in_flight.range(own).next());
            let flying = flying.copied();
            if let Subject::Step(step) = subject {
                self.standing.keys.touch(step);
            }
            stale.extend(flying.filter(|flying| owed.is_none_or(|owed| owed != *flying)));
            fresh.extend(owed.filter(|owed| flying.is_none_or(|flying| flying != *owed)));
        }
        for effect in &stale {
            self.in_flight.remove(effect);
        }
        self.in_flight.extend(&fresh);
        let sent = |effect: &Effect| matches!(effect, Effect::Send { .. });
        let id = self.state.id;
        let given_up = stale.into_iter().filter(|effect| !sent(effect));
        let given_up = given_up.map(|effect| Release::Abort(id, effect));
        let release = |effect| match effect {
            Effect::Send { message } => {
                let parcel = parcel(&self.state, message)?;
                Some(Release::Post(Post::Deliver(Box::new(parcel))))
            }
            _ => Some(Release::Perform(Box::new(order(&self.state, effect)?))),
        };
        given_up.chain(fresh.into_iter().filter_map(release)).collect()
    }

    /// The rows that a decision changes: the run's, when its status does, and its letters'.
    pub(super) fn stage_rows(&mut self, events: &[RunEvent], stage: &mut Stage) {
        // Without an event there is nothing new, and a row alone could outlive its run: a late
        // report brings a run back to memory that is removed with the very next stage.
        if events.is_empty() {
            return;
        }
        let shown = Some(shown(&self.state));
        if self.shown != shown {
            self.shown = shown;
            stage.changes.push(ViewChange::Run(run_summary(&self.state)));
        }
        let numbers = events.iter().flat_map(|event| match event {
            RunEvent::LetterOpened { letter, .. }
            | RunEvent::LetterRetried { letter, .. }
            | RunEvent::LetterDiscarded { letter, .. } => vec![*letter],
            RunEvent::Letter(event) => vec![event.letter()],
            RunEvent::Unwind(UnwindEvent::UndosSettled { steps, .. }) => {
                let own = steps.iter().map(|step| LetterSubject::Undo(*step));
                own.flat_map(|own| self.state.letters_of(own)).collect()
            }
            RunEvent::Unwind(UnwindEvent::PartialUnwindingEnded { steps }) => {
                self.state.letters_of_part(steps)
            }
            RunEvent::Control(ControlEvent::StepOverridden { step, .. }) => {
                self.state.letters_of(LetterSubject::Step(*step)).collect()
            }
            _ => Vec::new(),
        });
        let letters = numbers.filter_map(|number| letter_summary(&self.state, number));
        stage.changes.extend(letters.map(ViewChange::Letter));
    }
}
