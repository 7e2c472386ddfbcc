//! What becomes of steps of which nobody knows whether they took effect.

use serde_json::{Value, json};

use super::{Plan, PlanStep, TaskKind};

/// The most steps that are listed.
const UNKNOWN_OUTCOMES_MAX: usize = 1_000;

/// What follows when such a step is to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is undone as if it had taken effect: its undo reads no output of it.
    Undone,
    /// Its service is asked.
    Asked,
    /// A person is asked, by a dead letter.
    Suspends,
}

impl Unknown {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Undone => "undone",
            Self::Asked => "asked",
            Self::Suspends => "suspends",
        }
    }
}

impl Plan {
    /// The first of those steps as `validate` lists them: `{step, then}`.
    #[must_use]
    pub fn unknown_outcomes_json(&self) -> Value {
        let steps = self.unknown_outcomes().take(UNKNOWN_OUTCOMES_MAX);
        steps.map(|(step, then)| json!({ "step": step.id, "then": then.word() })).collect()
    }

    /// The steps that can end so and have an undo, with what follows; of a `foreach`, for each of
    /// its items.
    pub fn unknown_outcomes(&self) -> impl Iterator<Item = (&PlanStep, Unknown)> {
        self.steps.iter().filter_map(|step| Some((step, step.unknown_outcome()?)))
    }
}

impl PlanStep {
    fn unknown_outcome(&self) -> Option<Unknown> {
        let own = self.each.as_ref().map_or(self, |each| &*each.body);
        let undo = own.undo.as_ref().filter(|_| matches!(own.task, TaskKind::Effect(_)))?;
        Some(match (&undo.check, undo.reads_own_output) {
            (Some(_), _) => Unknown::Asked,
            (None, false) => Unknown::Undone,
            (None, true) => Unknown::Suspends,
        })
    }
}
