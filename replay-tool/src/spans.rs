//! What every step and undo of a run did from when to when, read off its events.
//!
//! Needs no fold, so it also tells of runs that do not fold. Knows nothing of drawing.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::failure::{Failure, codes};
use backstitch_core::ids::StepIndex;
use backstitch_core::time::Timestamp;
use backstitch_journal::Record;

/// A run over time.
#[derive(Debug)]
pub struct Timeline {
    /// When it was submitted.
    pub start: Timestamp,
    /// When the last thing happened to the run itself; what becomes of its callbacks and
    /// letters may come later.
    pub end: Timestamp,
    /// Each step and undo that something was recorded of: steps, then undos, by their beginning.
    pub lanes: Vec<Lane>,
    /// Places in the records: what happened to the run as a whole.
    pub marks: Vec<usize>,
}

/// A step's way forward, or its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The step itself.
    Forward,
    /// Its undo.
    Back,
}

/// One step or undo over time.
#[derive(Debug)]
pub struct Lane {
    /// Which of a step's two ways.
    pub way: Way,
    /// Which step.
    pub step: StepIndex,
    /// Where it got to.
    pub word: &'static str,
    /// In order; they do not overlap.
    pub spans: Vec<Span>,
    ready_at: Timestamp,
}

/// Some time that a step or undo spent on one thing.
#[derive(Debug)]
pub struct Span {
    /// On what.
    pub doing: Doing,
    /// Since when.
    pub from: Timestamp,
    /// Until when; unsaid if it goes on.
    pub to: Option<Timestamp>,
}

/// What time is spent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    /// An executor works on it.
    Attempt {
        /// Counted from 1; 0 for what the engine works out by itself.
        number: u16,
        /// How it ended.
        ended: Ended,
    },
    /// It waits for its next attempt.
    RetryWait,
    /// A `wait` step sleeps.
    Sleep,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has not.
    Running,
    /// It took effect.
    Succeeded,
    /// With this error code.
    Failed(String),
    /// It ran past its timeout.
    TimedOut,
    /// Its process went away.
    Lost,
}

impl Timeline {
    /// Reads a run's records, which begin with its submission.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let start = records.first().map_or(Timestamp(0), |record| record.recorded_at);
        let mut reading = Reading { lanes: Vec::new(), places: BTreeMap::new() };
        let (mut end, mut marks) = (start, Vec::new());
        for (place, record) in records.iter().enumerate() {
            let Event::Run(event) = &record.event else { continue };
            if !is_around(event) {
                end = end.max(record.recorded_at);
            }
            if !reading.take(event, record.recorded_at) && place > 0 {
                marks.push(place);
            }
        }
        let mut lanes = reading.lanes;
        lanes.sort_by_key(|lane| lane.way);
        Self { start, end, lanes, marks }
    }

    /// Adds the steps that nothing was recorded of, with what became of them, behind the others.
    pub fn add_untouched(&mut self, steps: impl Iterator<Item = (StepIndex, &'static str)>) {
        let forward = self.lanes.iter().filter(|lane| lane.way == Way::Forward);
        let touched: BTreeSet<_> = forward.map(|lane| lane.step).collect();
        let untouched = steps.filter(|(step, _)| !touched.contains(step));
        let lanes = untouched.map(|(step, word)| Lane {
            way: Way::Forward,
            step,
            word,
            spans: Vec::new(),
            ready_at: self.start,
        });
        self.lanes.extend(lanes);
        self.lanes.sort_by_key(|lane| lane.way);
    }
}

impl Lane {
    /// From its first beginning to its last end, or to now; `None` if it never began.
    #[must_use]
    pub fn extent(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = (self.spans.first()?, self.spans.last()?);
        Some((first.from, last.to.unwrap_or(now)))
    }

    /// Its attempts, how each ended.
    pub fn attempts(&self) -> impl Iterator<Item = &Ended> {
        self.spans.iter().filter_map(|span| match &span.doing {
            Doing::Attempt { ended, .. } => Some(ended),
            Doing::RetryWait | Doing::Sleep => None,
        })
    }

    fn begin(&mut self, doing: Doing, at: Timestamp, word: &'static str) {
        self.close(at, Ended::Lost);
        self.spans.push(Span { doing, from: at, to: None });
        self.word = word;
    }

    /// Ends what goes on, if something does.
    fn close(&mut self, at: Timestamp, how: Ended) {
        let Some(span) = self.spans.last_mut().filter(|span| span.to.is_none()) else { return };
        span.to = Some(at);
        if let Doing::Attempt { ended, .. } = &mut span.doing {
            *ended = how;
        }
    }

    /// Ends it for good; what the engine worked out by itself had no beginning of its own.
    fn settle(&mut self, at: Timestamp, how: Ended, word: &'static str) {
        if self.spans.last().is_none_or(|span| span.to.is_some()) && how == Ended::Succeeded
            || self.spans.is_empty()
        {
            let doing = Doing::Attempt { number: 0, ended: Ended::Running };
            self.spans.push(Span { doing, from: self.ready_at, to: None });
        }
        self.close(at, how);
        self.word = word;
    }
}

/// The lanes met so far, and where each is.
struct Reading {
    lanes: Vec<Lane>,
    places: BTreeMap<(Way, StepIndex), usize>,
}

impl Reading {
    fn lane(&mut self, way: Way, step: StepIndex, at: Timestamp) -> &mut Lane {
        let place = *self.places.entry((way, step)).or_insert_with(|| {
            self.lanes.push(Lane { way, step, word: "pending", spans: Vec::new(), ready_at: at });
            self.lanes.len() - 1
        });
        &mut self.lanes[place]
    }

    /// Answers whether the event is about a step or an undo.
    fn take(&mut self, event: &RunEvent, at: Timestamp) -> bool {
        use Way::{Back, Forward};
        match event {
            RunEvent::StepReady { step, .. } => self.ready(Forward, *step, at),
            RunEvent::StepWaiting { step, .. } => {
                self.lane(Forward, *step, at).begin(Doing::Sleep, at, "waiting");
            }
            RunEvent::StepStarted { step, attempt } => self.start(Forward, *step, *attempt, at),
            RunEvent::StepSucceeded { step, .. } => {
                self.lane(Forward, *step, at).settle(at, Ended::Succeeded, "succeeded");
            }
            RunEvent::StepAttemptFailed { step, failure, .. } => {
                self.fault(Forward, *step, at, ended(failure));
            }
            RunEvent::StepTimedOut { step, .. } => self.fault(Forward, *step, at, Ended::TimedOut),
            RunEvent::StepAttemptLost { step, .. } => self.fault(Forward, *step, at, Ended::Lost),
            RunEvent::StepRetryScheduled { step, .. } => {
                self.lane(Forward, *step, at).begin(Doing::RetryWait, at, "retrying");
            }
            RunEvent::StepFailed { step, failure } => {
                self.lane(Forward, *step, at).settle(at, ended(failure), "failed");
            }
            RunEvent::StepSkipped { step } => self.lane(Forward, *step, at).word = "skipped",
            RunEvent::StepsPruned { steps } => {
                steps.iter().for_each(|&step| self.lane(Forward, step, at).word = "pruned");
            }
            RunEvent::StepCancelled { step } => {
                let lane = self.lane(Forward, *step, at);
                lane.close(at, Ended::Lost);
                lane.word = "cancelled";
            }
            RunEvent::UndoReady { step, .. } => self.ready(Back, *step, at),
            RunEvent::UndoStarted { step, attempt } => self.start(Back, *step, *attempt, at),
            RunEvent::UndoSucceeded { step, .. } => {
                self.lane(Back, *step, at).settle(at, Ended::Succeeded, "succeeded");
            }
            RunEvent::UndoAttemptFailed { step, failure, .. } => {
                self.fault(Back, *step, at, ended(failure));
            }
            RunEvent::UndoRetryScheduled { step, .. } => {
                self.lane(Back, *step, at).begin(Doing::RetryWait, at, "retrying");
            }
            RunEvent::UndoFailed { step, failure } => {
                self.lane(Back, *step, at).settle(at, ended(failure), "failed");
            }
            _ => return false,
        }
        true
    }

    fn ready(&mut self, way: Way, step: StepIndex, at: Timestamp) {
        let lane = self.lane(way, step, at);
        (lane.word, lane.ready_at) = ("ready", at);
    }

    fn start(&mut self, way: Way, step: StepIndex, number: u16, at: Timestamp) {
        let doing = Doing::Attempt { number, ended: Ended::Running };
        let lane = self.lane(way, step, at);
        lane.begin(doing, at, "running");
    }

    fn fault(&mut self, way: Way, step: StepIndex, at: Timestamp, how: Ended) {
        let lane = self.lane(way, step, at);
        lane.close(at, how);
        lane.word = "retrying";
    }
}

fn ended(failure: &Failure) -> Ended {
    match failure.code.as_str() {
        codes::TASK_TIMEOUT => Ended::TimedOut,
        codes::ATTEMPT_LOST => Ended::Lost,
        code => Ended::Failed(code.to_owned()),
    }
}

/// Whether the event is about a run's letters and callbacks rather than the run.
fn is_around(event: &RunEvent) -> bool {
    matches!(
        event,
        RunEvent::LetterOpened { .. }
            | RunEvent::LetterRetried { .. }
            | RunEvent::LetterDiscarded { .. }
            | RunEvent::CallbackScheduled { .. }
            | RunEvent::CallbackDelivered { .. }
            | RunEvent::CallbackAttemptFailed { .. }
            | RunEvent::CallbackFailed { .. }
    )
}
