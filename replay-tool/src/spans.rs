//! What every step and undo of a run did from when to when, read off its events.
//!
//! Needs no fold, so it also tells of runs that do not fold. Knows nothing of drawing.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::failure::codes;
use backstitch_core::time::Timestamp;
use serde_json::Value;

use crate::facts::{Fact, facts, text};

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
    /// Versions: what happened to the run as a whole, and what people or limits did to a step.
    pub marks: Vec<u64>,
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
#[derive(Debug, Clone)]
pub struct Lane {
    /// Which of a step's two ways.
    pub way: Way,
    /// Which step: its id, or its number where the definition is not known.
    pub step: Value,
    /// Where it got to.
    pub word: String,
    /// In order; they do not overlap.
    pub spans: Vec<Span>,
    ready_at: Timestamp,
}

/// Some time that a step or undo spent on one thing.
#[derive(Debug, Clone)]
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
        number: u64,
        /// How it ended.
        ended: Ended,
    },
    /// It waits for its next attempt.
    RetryWait,
    /// A `wait` step sleeps.
    Sleep,
    /// It waits for the signal of that name.
    SignalWait(String),
    /// It waits for a service: for the circuit breaker of that key.
    Held(String),
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
    /// Reads a run's events, which begin with its submission.
    #[must_use]
    pub fn of(events: &[Value]) -> Self {
        let start = facts(events).next().map_or(Timestamp(0), |fact| fact.at);
        let mut reading = Reading { lanes: Vec::new(), places: BTreeMap::new() };
        let (mut end, mut marks) = (start, Vec::new());
        for fact in facts(events) {
            if !is_around(fact.kind) {
                end = end.max(fact.at);
            }
            let drawn = reading.take(&fact);
            if (!drawn || is_remarkable(fact.kind)) && fact.version > 1 {
                marks.push(fact.version);
            }
        }
        let mut lanes = reading.lanes;
        lanes.sort_by_key(|lane| lane.way);
        Self { start, end, lanes, marks }
    }

    /// Has a run that goes on last until an instant, unless something was recorded later.
    pub fn extend_to(&mut self, now: Timestamp) {
        self.end = self.end.max(now);
    }

    /// Says where each step and undo stands: `words` has it of a step and of its undo, where the
    /// run is known to have them.
    pub fn set_words<'a>(&mut self, words: impl Fn(Way, &str) -> Option<&'a str>) {
        for lane in &mut self.lanes {
            let word = words(lane.way, text(&lane.step));
            if let Some(word) = word {
                lane.word = word.to_owned();
            }
        }
    }

    /// Adds the steps that nothing was recorded of, with what became of them, behind the others.
    pub fn add_untouched<'a>(&mut self, steps: impl Iterator<Item = (&'a str, &'a str)>) {
        let forward = self.lanes.iter().filter(|lane| lane.way == Way::Forward);
        let touched: BTreeSet<_> = forward.map(|lane| text(&lane.step).to_owned()).collect();
        let untouched = steps.filter(|(step, _)| !touched.contains(*step));
        let lanes = untouched.map(|(step, word)| Lane {
            way: Way::Forward,
            step: step.into(),
            word: word.to_owned(),
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
        let first = self.spans.first()?;
        let last = self.spans.iter().map(|span| span.to.unwrap_or(now)).max()?;
        Some((first.from, last))
    }

    /// Its attempts, how each ended.
    pub fn attempts(&self) -> impl Iterator<Item = &Ended> {
        self.spans.iter().filter_map(|span| match &span.doing {
            Doing::Attempt { ended, .. } => Some(ended),
            Doing::RetryWait | Doing::Sleep | Doing::SignalWait(_) | Doing::Held(_) => None,
        })
    }

    /// What it waits for somebody else to do: a signal, or a service's circuit.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        let last = self.spans.last().filter(|span| span.to.is_none())?;
        match &last.doing {
            Doing::SignalWait(name) => Some(format!("signal `{name}`")),
            Doing::Held(key) => Some(format!("circuit `{key}`")),
            Doing::Attempt { .. } | Doing::RetryWait | Doing::Sleep => None,
        }
    }

    fn begin(&mut self, doing: Doing, at: Timestamp, word: &str) {
        self.close(at, Ended::Lost);
        self.spans.push(Span { doing, from: at, to: None });
        self.word = word.to_owned();
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
    fn settle(&mut self, at: Timestamp, how: Ended, word: &str) {
        if self.spans.last().is_none_or(|span| span.to.is_some()) && how == Ended::Succeeded
            || self.spans.is_empty()
        {
            let doing = Doing::Attempt { number: 0, ended: Ended::Running };
            self.spans.push(Span { doing, from: self.ready_at, to: None });
        }
        self.close(at, how);
        self.word = word.to_owned();
    }
}

/// The lanes met so far, and where each is.
struct Reading {
    lanes: Vec<Lane>,
    places: BTreeMap<(Way, String), usize>,
}

impl Reading {
    fn lane(&mut self, way: Way, step: &Value, at: Timestamp) -> &mut Lane {
        let place = *self.places.entry((way, step.to_string())).or_insert_with(|| {
            let (step, word) = (step.clone(), "pending".to_owned());
            self.lanes.push(Lane { way, step, word, spans: Vec::new(), ready_at: at });
            self.lanes.len() - 1
        });
        &mut self.lanes[place]
    }

    /// Answers whether the event is drawn as part of a step or an undo.
    fn take(&mut self, fact: &Fact<'_>) -> bool {
        match fact.kind.starts_with("Undo") || fact.kind.starts_with("Check") {
            true => self.take_undo(fact),
            false => self.take_step(fact) || self.take_wait(fact),
        }
    }

    fn take_step(&mut self, fact: &Fact<'_>) -> bool {
        use Way::Forward;
        let (step, at) = (&fact.data["step"], fact.at);
        match fact.kind {
            "StepReady" => self.ready(Forward, step, at),
            "StepStarted" => self.start(Forward, fact),
            "StepSucceeded" | "StepCacheHit" | "StepSignalled" | "RouteChosen" => {
                self.lane(Forward, step, at).settle(at, Ended::Succeeded, "succeeded")
            }
            "StepAttemptFailed" => self.fault(Forward, step, at, ended(fact)),
            "StepTimedOut" | "StepLimitPassed" => self.fault(Forward, step, at, Ended::TimedOut),
            "StepAttemptLost" => self.fault(Forward, step, at, Ended::Lost),
            "CallRefused" => self.fault(Forward, step, at, Ended::Lost),
            "StepFailed" => self.lane(Forward, step, at).settle(at, ended(fact), "failed"),
            "StepSkipped" => self.stop(step, at, "skipped"),
            "StepCancelled" => self.stop(step, at, "cancelled"),
            // Set by hand, or kept of the run that this one is a fork of.
            "StepOverridden" | "StepKept" => self.stop(step, at, text(&fact.data["status"])),
            "StepsPruned" => {
                let steps = fact.data["steps"].as_array().into_iter().flatten();
                steps.for_each(|step| self.stop(step, at, "pruned"));
            }
            // What its attempts will need; its lane begins when it is ready.
            "StepKeyed" => {}
            _ => return false,
        }
        true
    }

    fn take_wait(&mut self, fact: &Fact<'_>) -> bool {
        let (step, at) = (&fact.data["step"], fact.at);
        let named = |name: &str| text(&fact.data[name]).to_owned();
        let way = if fact.data["undo"] == true { Way::Back } else { Way::Forward };
        let (doing, word) = match fact.kind {
            "StepWaiting" => (Doing::Sleep, "waiting"),
            "StepAwaitsSignal" => (Doing::SignalWait(named("signal")), "waiting"),
            "StepRetryScheduled" => (Doing::RetryWait, "retrying"),
            "CallHeld" => {
                let lane = self.lane(way, step, at);
                let word = lane.word.clone();
                lane.begin(Doing::Held(named("breaker")), at, &word);
                return true;
            }
            _ => return false,
        };
        self.lane(Way::Forward, step, at).begin(doing, at, word);
        true
    }

    fn take_undo(&mut self, fact: &Fact<'_>) -> bool {
        use Way::Back;
        let (step, at) = (&fact.data["step"], fact.at);
        match fact.kind {
            "UndoReady" | "CheckReady" => self.ready(Back, step, at),
            "UndoStarted" => self.start(Back, fact),
            "UndoSucceeded" => self.lane(Back, step, at).settle(at, Ended::Succeeded, "succeeded"),
            "CheckAnswered" => self.lane(Back, step, at).settle(at, Ended::Succeeded, "checking"),
            "CheckConcluded" => {
                let word = if fact.data["took_effect"] == true { "checking" } else { "skipped" };
                self.lane(Back, step, at).word = word.to_owned();
            }
            "UndoAttemptFailed" => self.fault(Back, step, at, ended(fact)),
            "UndoRetryScheduled" => {
                self.lane(Back, step, at).begin(Doing::RetryWait, at, "retrying");
            }
            "UndoFailed" => self.lane(Back, step, at).settle(at, ended(fact), "failed"),
            "UndoAwaited" => self.lane(Back, step, at).begin(Doing::Sleep, at, "waiting"),
            "UndosSettled" => self.settled_by_hand(fact),
            // Of the run as a whole; what is done anew stands where it began.
            "PartialUnwindingEnded" => {
                let steps = fact.data["steps"].as_array().into_iter().flatten();
                for step in steps {
                    if self.places.contains_key(&(Way::Forward, step.to_string())) {
                        self.lane(Way::Forward, step, at).word = "pending".to_owned();
                    }
                }
                return false;
            }
            _ => return false,
        }
        true
    }

    /// It goes no further, and nobody did it just now.
    fn stop(&mut self, step: &Value, at: Timestamp, word: &str) {
        let lane = self.lane(Way::Forward, step, at);
        lane.close(at, Ended::Lost);
        lane.word = word.to_owned();
    }

    /// A person said what became of undos; one that was set aside fails of it next, and one that
    /// had failed and is accepted stays so.
    fn settled_by_hand(&mut self, fact: &Fact<'_>) {
        let word = match text(&fact.data["settlement"]) {
            "done" => "succeeded",
            "accepted" => "skipped",
            _ => return,
        };
        for step in fact.data["steps"].as_array().into_iter().flatten() {
            let lane = self.lane(Way::Back, step, fact.at);
            if word == "succeeded" || lane.word == "waiting" {
                lane.settle(fact.at, Ended::Succeeded, word);
            }
        }
    }

    fn ready(&mut self, way: Way, step: &Value, at: Timestamp) {
        let lane = self.lane(way, step, at);
        (lane.word, lane.ready_at) = ("ready".to_owned(), at);
    }

    fn start(&mut self, way: Way, fact: &Fact<'_>) {
        let number = fact.data["attempt"].as_u64().unwrap_or(0);
        let doing = Doing::Attempt { number, ended: Ended::Running };
        self.lane(way, &fact.data["step"], fact.at).begin(doing, fact.at, "running");
    }

    fn fault(&mut self, way: Way, step: &Value, at: Timestamp, how: Ended) {
        let lane = self.lane(way, step, at);
        lane.close(at, how);
        lane.word = "retrying".to_owned();
    }
}

fn ended(fact: &Fact<'_>) -> Ended {
    match text(&fact.data["error"]["error_code"]) {
        codes::TASK_TIMEOUT => Ended::TimedOut,
        codes::ATTEMPT_LOST => Ended::Lost,
        code => Ended::Failed(code.to_owned()),
    }
}

/// Whether a person should be told of the event beside what is drawn of it.
fn is_remarkable(kind: &str) -> bool {
    matches!(kind, "StepOverridden" | "StepLimitPassed" | "CallRefused" | "UndosSettled")
}

/// Whether the event is about a run's letters and callbacks rather than the run.
fn is_around(kind: &str) -> bool {
    kind.starts_with("DeadLetter") || kind.starts_with("Callback")
}
