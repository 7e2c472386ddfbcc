//! Keyed limits, of steps and of whole runs: which, once their keys are rendered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Plan, PlanStep};
use crate::event::{LimitKey, OnLimit, SlotKey};
use crate::failure::{Failure, codes};
use crate::scope::Scope;
use crate::template::{Template, Work};

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;

/// How many attempts with the same key may be under way at a time.
#[derive(Debug, Clone)]
pub struct PlanLimit {
    /// A text or a number.
    pub key: Template,
    /// How many.
    pub max: u32,
}

/// How many runs there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunLimit {
    /// How many.
    pub max_runs: u32,
    /// What becomes of one more.
    pub on_limit: OnLimit,
}

/// How many runs with the same key there may be at a time.
#[derive(Debug, Clone)]
pub struct KeyedRuns {
    /// A text or a number.
    pub key: Template,
    /// The key as it is written.
    pub source: String,
    /// How many.
    pub limit: RunLimit,
}

impl Plan {
    /// The keyed limits that a run is under, each key once; `work` grows by what rendering took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED`.
    pub fn render_run_keys(
        &self,
        scope: &dyn Scope,
        work: &mut Work,
    ) -> Result<Vec<SlotKey>, Failure> {
        let mut keys: Vec<SlotKey> = Vec::new();
        for own in &self.keyed_runs {
            let (key, RunLimit { max_runs, on_limit }) = (own.key.render(scope, work)?, own.limit);
            let key = text_of("concurrency", key)?;
            // What is written first says what becomes of one more.
            match keys.iter_mut().find(|known| known.key == key) {
                Some(known) => known.max_runs = known.max_runs.min(max_runs),
                None => keys.push(SlotKey { key, max_runs, on_limit }),
            }
        }
        Ok(keys)
    }

    /// Whether another revision has the same limits of runs.
    #[must_use]
    pub fn has_limits_of(&self, other: &Self) -> bool {
        let said = |plan: &Self| {
            let keyed = plan.keyed_runs.iter();
            keyed.map(|own| (own.source.clone(), own.limit)).collect::<Vec<_>>()
        };
        self.concurrency == other.concurrency && said(self) == said(other)
    }
}

impl PlanStep {
    /// The limits that the step needs a place of, each key once; `work` grows by what rendering
    /// took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED`.
    pub fn render_limits(
        &self,
        scope: &dyn Scope,
        work: &mut Work,
    ) -> Result<Vec<LimitKey>, Failure> {
        let mut keys: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        for limit in &self.limits {
            let place = format!("steps.{}.limits", self.id);
            let key = text_of(&place, limit.key.render(scope, work)?)?;
            let max = keys.entry(key).or_insert(limit.max);
            *max = limit.max.min(*max);
        }
        Ok(keys.into_iter().map(|(key, max)| LimitKey { key, max }).collect())
    }
}

/// A rendered key.
fn text_of(place: &str, value: Value) -> Result<Arc<str>, Failure> {
    let key = match value {
        Value::String(key) => key,
        Value::Number(key) => key.to_string(),
        other => return Err(no_key(place, &other)),
    };
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) || key.chars().any(char::is_control) {
        return Err(no_key(place, &Value::String(key)));
    }
    Ok(key.into())
}

fn no_key(place: &str, given: &Value) -> Failure {
    let given: String = given.to_string().chars().take(64).collect();
    let message = format!(
        "`{place}`: {given} is no key; it has 1 to {KEY_BYTES_MAX} bytes, without control \
         characters"
    );
    Failure::permanent(codes::EXPRESSION_FAILED, message)
}
