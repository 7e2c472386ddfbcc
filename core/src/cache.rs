//! What an answer is known by, so that it can stand for an attempt that would ask the same.
//!
//! A key says what is asked and by whom it may be asked: the tenant, the task type, and the
//! rendered input, or in its place what the step's own `key` renders to. Knows nothing of where
//! answers are kept or for how long.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::ids::{ExecutionId, StepIndex};
use crate::payload::Payload;
use crate::plan::TaskKind;
use crate::state::State;
use crate::template::{Template, Work};

/// How long an answer counts when the step does not say.
pub const CACHE_TTL_MS_DEFAULT: u64 = 3_600_000;
/// The longest that an answer may count: 30 days.
pub const CACHE_TTL_MS_MAX: u64 = 30 * 24 * 3_600_000;

/// What a step says of answers that may stand for its own.
#[derive(Debug, Clone)]
pub struct CachePolicy {
    /// How old an answer may be.
    pub ttl_ms: u64,
    /// What it is known by in place of its input.
    pub key: Option<Template>,
}

/// SHA-256 of the canonical JSON of what is asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey([u8; 32]);

/// An answer that stands for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// Who answered.
    pub source: CacheSource,
    /// What.
    pub output: Payload,
}

/// Who answered first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSource {
    /// The run.
    pub run: ExecutionId,
    /// Its step.
    pub step: Arc<str>,
}

impl CacheKey {
    /// The first in order, for ranges.
    pub const FIRST: Self = Self([0; 32]);

    /// The key of `[namespace, task type, input]`.
    #[must_use]
    pub fn of_input(namespace: &str, task_type: &str, input: &Payload) -> Self {
        Self::hashed(&json!([namespace, task_type]), input.text())
    }

    /// The key of `[namespace, task type, workflow, step, key]`: one's own key counts within
    /// its step, for two steps that ask different things may name them alike.
    #[must_use]
    pub fn of_own(namespace: &str, task_type: &str, place: (&str, &str), key: &Value) -> Self {
        let (workflow, step) = place;
        Self::hashed(&json!([namespace, task_type, workflow, step]), &key.to_string())
    }

    /// Of a list with one more item, which is JSON already.
    fn hashed(words: &Value, last: &str) -> Self {
        let words = words.to_string();
        let mut hasher = Sha256::new();
        hasher.update(&words[..words.len() - 1]);
        hasher.update(",");
        hasher.update(last);
        hasher.update("]");
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl State {
    /// What the answer of a step is known by, and how long it counts; nothing for a step that
    /// is not cached, or whose input is not at hand. `work` grows by what rendering took.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` when the step's own key can't be rendered.
    pub fn cache_key(
        &self,
        step: StepIndex,
        work: &mut Work,
    ) -> Result<Option<(CacheKey, u64)>, Failure> {
        let plan = self.plan.step(step);
        let (Some(cache), TaskKind::Effect(task_type)) = (&plan.cache, &plan.task) else {
            return Ok(None);
        };
        let namespace = &self.submitted.namespace;
        let key = match (&cache.key, &Self::step(self, step).input) {
            (Some(key), _) => {
                let place = (&*self.submitted.workflow, &*plan.id);
                CacheKey::of_own(namespace, task_type, place, &key.render(self, work)?)
            }
            (None, Some(input)) if input.absent().is_none() => {
                CacheKey::of_input(namespace, task_type, input)
            }
            (None, _) => return Ok(None),
        };
        Ok(Some((key, cache.ttl_ms)))
    }

    /// Who answered for a step that was answered from the cache.
    #[must_use]
    pub fn cache_source(&self, step: StepIndex) -> Option<&CacheSource> {
        self.flow.as_ref()?.cached.get(&step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_hash_of_canonical_json() {
        let input = Payload::of(&json!({ "b": 1, "a": "x" }));
        let key = CacheKey::of_input("default", "http", &input);
        // printf '["default","http",{"a":"x","b":1}]' | sha256sum
        let text = r#"["default","http",{"a":"x","b":1}]"#;
        let expected = CacheKey(Sha256::digest(text).into());
        assert_eq!(key, expected);
        let own = CacheKey::of_own("default", "http", ("order", "rate"), &json!("EUR"));
        let text = r#"["default","http","order","rate","EUR"]"#;
        assert_eq!(own, CacheKey(Sha256::digest(text).into()));
        assert_eq!(key.to_string().len(), 64);
    }

    #[test]
    fn whoever_asks_something_else_has_another_key() {
        let input = Payload::of(&json!(1));
        let of = |namespace, task_type| CacheKey::of_input(namespace, task_type, &input);
        let other = CacheKey::of_input("a", "http", &Payload::of(&json!(2)));
        let keys = [of("a", "http"), of("b", "http"), of("a", "sql"), of("a\",\"http", ""), other];
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
