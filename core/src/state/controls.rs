//! What people and signals did to a run, beyond cancelling it: most runs have none of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::State;
use crate::arrows::Phase;
use crate::event::SuspendReason;
use crate::ids::StepIndex;
use crate::payload::Payload;
use crate::time::Timestamp;

/// What people and signals did to a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controls {
    /// By whom the run was paused, until it is resumed or fails.
    pub paused: Option<Said>,
    /// Since when it is suspended.
    pub suspended_at: Option<Timestamp>,
    /// Who had it rolled back.
    pub rollback: Option<Said>,
    /// Whether attempts under way were given up.
    pub forced: bool,
    /// Whether outstanding undos were given up.
    pub undos_forced: bool,
    /// Whether outstanding undos were given up because they took too long.
    pub undos_timed_out: bool,
    /// Signals and who waits for them.
    pub signals: Signals,
}

/// Who said what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// A signal that no step has taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// What steps wait for.
    pub name: Arc<str>,
    /// What it carries.
    pub payload: Payload,
    /// When it came in.
    pub received_at: Timestamp,
}

/// The signals of one run: those that are kept, and the steps that wait for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signals {
    /// How many came in, over the whole run.
    received: u32,
    /// Bytes of what they carried together.
    bytes: usize,
    kept: BTreeMap<u32, Signal>,
    /// The names that steps wait for.
    awaited: BTreeMap<StepIndex, Arc<str>>,
    queues: BTreeMap<Arc<str>, Queue>,
    /// Names that have a signal and a step that waits for it.
    met: BTreeSet<Arc<str>>,
    /// Of every signal that had one: bounded by what is kept and what steps took.
    ids: BTreeSet<String>,
}

/// One name's signals, oldest first, and the steps that wait for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Queue {
    kept: VecDeque<u32>,
    waiting: BTreeSet<StepIndex>,
}

impl Controls {
    /// Visits every payload to change it.
    pub(crate) fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        self.signals.kept.values_mut().for_each(|signal| visit(&mut signal.payload));
    }
}

impl Signals {
    /// Signals that no step has taken yet, by number.
    pub fn kept(&self) -> impl Iterator<Item = (u32, &Signal)> {
        self.kept.iter().map(|(&number, signal)| (number, signal))
    }

    /// How many signals no step has taken yet.
    #[must_use]
    pub fn kept_count(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of what all signals that came in carried together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a signal with this id came in before.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// The name that a step waits for.
    #[must_use]
    pub fn awaited_by(&self, step: StepIndex) -> Option<&Arc<str>> {
        self.awaited.get(&step)
    }

    /// The steps that wait for a signal, ascending.
    pub fn waiting(&self) -> impl Iterator<Item = StepIndex> {
        self.awaited.keys().copied()
    }

    /// Steps whose signal is there, each with the oldest one of its name.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (StepIndex, u32, &Signal)> {
        let queues = self.met.iter().filter_map(|name| self.queues.get(name));
        let pairs = queues.flat_map(|queue| queue.waiting.iter().zip(&queue.kept));
        pairs.filter_map(|(&step, number)| Some((step, *number, self.kept.get(number)?)))
    }

    pub(crate) fn receive(&mut self, signal: Signal, id: Option<&str>) {
        let (number, name) = (self.received, signal.name.clone());
        self.received += 1;
        self.bytes = self.bytes.saturating_add(signal.payload.length_bytes());
        self.ids.extend(id.map(str::to_owned));
        self.kept.insert(number, signal);
        self.queues.entry(name.clone()).or_default().kept.push_back(number);
        self.meet(&name);
    }

    pub(crate) fn wait(&mut self, step: StepIndex, name: &Arc<str>) {
        self.awaited.insert(step, name.clone());
        self.queues.entry(name.clone()).or_default().waiting.insert(step);
        self.meet(name);
    }

    /// The step waits no more, for whatever reason.
    pub(crate) fn leave(&mut self, step: StepIndex) {
        let Some(name) = self.awaited.remove(&step) else { return };
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.waiting.remove(&step);
        }
        self.meet(&name);
    }

    /// A step takes the signal; there may be none of that number.
    pub(crate) fn take(&mut self, number: u32) -> Option<Signal> {
        let signal = self.kept.remove(&number)?;
        if let Some(queue) = self.queues.get_mut(&signal.name) {
            queue.kept.retain(|kept| *kept != number);
        }
        self.meet(&signal.name.clone());
        Some(signal)
    }

    fn meet(&mut self, name: &Arc<str>) {
        let Some(queue) = self.queues.get(name) else { return };
        match (queue.kept.is_empty(), queue.waiting.is_empty()) {
            (false, false) => drop(self.met.insert(name.clone())),
            (true, true) => {
                self.met.remove(name);
                self.queues.remove(name);
            }
            _ => drop(self.met.remove(name)),
        }
    }
}

impl State {
    pub(crate) fn controls_mut(&mut self) -> &mut Controls {
        self.controls.get_or_insert_default()
    }

    /// Who paused the run, while it is paused.
    #[must_use]
    pub fn paused(&self) -> Option<&Said> {
        self.controls.as_ref()?.paused.as_ref()
    }

    /// What a suspended run waits for, and since when.
    #[must_use]
    pub fn suspended(&self) -> Option<(SuspendReason, Timestamp)> {
        let since = self.controls.as_ref()?.suspended_at?;
        let policy =
            if self.paused().is_some() { SuspendReason::Pause } else { SuspendReason::Policy };
        (self.phase == Phase::Suspended).then_some((policy, since))
    }

    /// Its signals, if it ever had to do with any.
    #[must_use]
    pub fn signals(&self) -> Option<&Signals> {
        self.controls.as_deref().map(|own| &own.signals)
    }

    /// The name of the signal that a step waits for.
    #[must_use]
    pub fn awaits(&self, step: StepIndex) -> Option<&Arc<str>> {
        self.signals()?.awaited_by(step)
    }

    /// Whether what is under way in the run's present phase was given up by force.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.controls.as_ref().is_some_and(|own| match self.phase {
            Phase::Unwinding => own.undos_forced || own.undos_timed_out,
            _ => own.forced,
        })
    }
}
