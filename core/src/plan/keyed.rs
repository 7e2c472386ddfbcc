//! Keyed limits of a step: which, once their keys are rendered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::PlanStep;
use crate::event::LimitKey;
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
            let key = match limit.key.render(scope, work)? {
                Value::String(key) => key,
                Value::Number(key) => key.to_string(),
                other => return Err(no_key(&self.id, &other)),
            };
            if !(1..=KEY_BYTES_MAX).contains(&key.len()) || key.chars().any(char::is_control) {
                return Err(no_key(&self.id, &Value::String(key)));
            }
            let max = keys.entry(key.into()).or_insert(limit.max);
            *max = limit.max.min(*max);
        }
        Ok(keys.into_iter().map(|(key, max)| LimitKey { key, max }).collect())
    }
}

fn no_key(step: &str, given: &Value) -> Failure {
    let given: String = given.to_string().chars().take(64).collect();
    let message = format!(
        "`steps.{step}.limits`: {given} is no key; it has 1 to {KEY_BYTES_MAX} bytes, without \
         control characters"
    );
    Failure::permanent(codes::EXPRESSION_FAILED, message)
}
