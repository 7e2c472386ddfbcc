//! Templates that stand in the place of numbers: what they render to, within bounds.

use serde_json::Value;

use crate::definition::problem::{Problem, codes as problem_codes};
use crate::definition::read_policies::written;
use crate::event::Number;
use crate::failure::{Failure, codes};
use crate::scope::Scope;
use crate::template::{Template, Work};
use crate::time::parse_duration_ms;

/// A template in the place of a number.
#[derive(Debug, Clone)]
pub struct NumberTemplate {
    /// Which number.
    pub number: Number,
    pub(super) template: Template,
    /// In the definition.
    pub(super) path: String,
    /// By ids.
    pub(super) place: String,
    /// The least and the most; of durations in milliseconds.
    pub(super) bounds: (u64, u64),
    /// Whether it reads no step, so that it is known when the run is submitted.
    pub(crate) is_early: bool,
}

/// What some numbers are; `work` grows by what rendering took.
///
/// # Errors
/// `EXPRESSION_FAILED`, or `LIMIT_INVALID` for what is no such number.
pub(crate) fn rendered(
    templates: &[NumberTemplate],
    scope: &dyn Scope,
    work: &mut Work,
) -> Result<Vec<(Number, u64)>, Failure> {
    templates.iter().map(|own| Ok((own.number, own.render(scope, work)?))).collect()
}

impl NumberTemplate {
    fn render(&self, scope: &dyn Scope, work: &mut Work) -> Result<u64, Failure> {
        let value = self.template.render(scope, work)?;
        self.read(&value).map_err(|why| {
            let message = format!("`{}` comes to {}: {why}", self.place, shown(&value));
            Failure::permanent(codes::LIMIT_INVALID, message)
        })
    }

    /// What is wrong with it when the run is submitted, if anything.
    pub(crate) fn problem(&self, scope: &dyn Scope, work: &mut Work) -> Option<Problem> {
        let failure = self.render(scope, work).err()?;
        let (path, code) = (self.path.clone(), problem_codes::BAD_VALUE);
        Some(Problem { path, code, message: failure.message })
    }

    fn read(&self, value: &Value) -> Result<u64, String> {
        let (least, most) = self.bounds;
        if self.number.is_count() {
            let number = match value {
                Value::String(text) => text.trim().parse().ok(),
                other => other.as_u64(),
            };
            let number = number.filter(|number| (least..=most).contains(number));
            return number.ok_or_else(|| format!("a whole number from {least} to {most} is meant"));
        }
        let Value::String(text) = value else {
            return Err("a duration is meant, a text such as `500ms`, `5s`, `10m`".to_owned());
        };
        let duration_ms = parse_duration_ms(text)?;
        if !(least..=most).contains(&duration_ms) {
            return Err(format!("it is between {} and {}", written(least), written(most)));
        }
        Ok(duration_ms)
    }
}

/// The beginning of a value, for messages.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut shown: String = text.chars().take(64).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}
