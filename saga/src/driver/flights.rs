//! What is under way on a node: how each attempt is stopped, and since when it is under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_core::effect::Effect;
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use tokio::task::AbortHandle;

use crate::holders::{Holder, Holders};

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
    pub(super) namespace: Arc<str>,
    pub(super) step: Arc<str>,
    pub(super) since: Timestamp,
}

/// An attempt of a step or its undo that is under way, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// Whose.
    pub run: ExecutionId,
    /// The run's tenant.
    pub namespace: Arc<str>,
    /// The step's id.
    pub step: Arc<str>,
    /// Whether it is the step's undo.
    pub undo: bool,
    /// Since when.
    pub since: Timestamp,
}

impl Holder for UnderWay {
    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn since(&self) -> Option<Timestamp> {
        Some(self.since)
    }
}

impl Flights {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flying>> {
        // The map is whole between any two statements, whoever panicked.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts of steps and undos, as a tenant is told: those of its own that are under way
    /// longest first.
    #[must_use]
    pub fn shown(&self, namespace: &str, most: usize) -> Holders<UnderWay> {
        let inner = self.lock();
        let shown = |(&(run, effect), own): (&Key, &Flying)| {
            let undo = match effect {
                Effect::RunStep { .. } => false,
                Effect::UndoStep { .. } => true,
                Effect::DeliverCallback { .. } | Effect::Send { .. } => return None,
            };
            let (namespace, step) = (own.namespace.clone(), own.step.clone());
            Some(UnderWay { run, namespace, step, undo, since: own.since })
        };
        let mut found: Vec<_> = inner.iter().filter_map(shown).collect();
        drop(inner);
        found.sort_unstable_by(|one, other| {
            (one.since, one.run, &one.step).cmp(&(other.since, other.run, &other.step))
        });
        Holders::of(namespace, found, most)
    }
}
