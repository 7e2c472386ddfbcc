//! What is under way on a node: how each attempt is stopped, and since when it is under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::effect::Effect;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use tokio::task::AbortHandle;

/// One attempt of one run.
pub(super) type Key = (ExecutionId, Effect);

/// The attempts under way.
#[derive(Debug, Clone, Default)]
pub struct Flights {
    inner: Arc<Mutex<HashMap<Key, Flying>>>,
}

#[derive(Debug)]
pub(super) struct Flying {
    pub(super) abort: AbortHandle,
    pub(super) step: Arc<str>,
    pub(super) since: Timestamp,
}

/// An attempt of a step or its undo that is under way, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// Whose.
    pub run: ExecutionId,
    /// The step's id.
    pub step: Arc<str>,
    /// Whether it is the step's undo.
    pub undo: bool,
    /// Since when.
    pub since: Timestamp,
}

impl Flights {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flying>> {
        // The map is whole between any two statements, whoever panicked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts of steps and undos, those under way longest first, and how many there are
    /// in all.
    #[must_use]
    pub fn first(&self, most: usize) -> (Vec<UnderWay>, usize) {
        let inner = self.lock();
        let shown = |(&(run, effect), own): (&Key, &Flying)| {
            let undo = match effect {
                Effect::RunStep { .. } => false,
                Effect::UndoStep { .. } => true,
                Effect::DeliverCallback { .. } | Effect::Send { .. } => return None,
            };
            Some(UnderWay { run, step: own.step.clone(), undo, since: own.since })
        };
        let mut found: Vec<_> = inner.iter().filter_map(shown).collect();
        drop(inner);
        let count = found.len();
        found.sort_unstable_by(|one, other| {
            (one.since, one.run, &one.step).cmp(&(other.since, other.run, &other.step))
        });
        found.truncate(most);
        (found, count)
    }
}
