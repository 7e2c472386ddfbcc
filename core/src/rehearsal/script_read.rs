//! Reading a script from what a person wrote: `{step: {output|error, delay_ms, attempts}}`.

use serde_json::{Map, Value, json};

use super::script::{Answer, Part, Reply, Script};
use super::{Surroundings, VIRTUAL_MS_MAX};
use crate::definition::nearest::nearest;
use crate::definition::problem::{Problem, Problems, codes};
use crate::failure::{EffectKnown, Failure, FailureClass, codes as failures};
use crate::payload::{PAYLOAD_BYTES_MAX, Payload};
use crate::plan::{Plan, TaskKind};

/// Attempts that one part may name.
pub const ATTEMPTS_NAMED_MAX: usize = 1_000;

const PART_FIELDS: [&str; 4] = ["output", "error", "delay_ms", "attempts"];
const ANSWER_FIELDS: [&str; 3] = ["output", "error", "delay_ms"];
const ERROR_FIELDS: [&str; 6] = ["code", "message", "class", "effect", "status", "details"];

impl Script {
    /// Reads the mocks of a plan: an object of `step`, `step/undo` or `step/check` to what it
    /// comes to.
    ///
    /// # Errors
    /// Every problem, with paths below `mocks`.
    pub fn read(
        value: &Value,
        plan: &Plan,
        around: &dyn Surroundings,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let mut script = Self::default();
        match value {
            Value::Object(parts) => {
                for (name, value) in parts {
                    let path = format!("mocks.{}", name.chars().take(64).collect::<String>());
                    if let Some((code, message)) = problem(plan, name) {
                        problems.add(path, code, message);
                        continue;
                    }
                    let mut reading = Reading { problems: &mut problems, around };
                    script.put(name, reading.part(&path, value));
                }
            }
            Value::Null => {}
            _ => problems.add("mocks", codes::WRONG_TYPE, "must be an object of step ids"),
        }
        if problems.is_empty() { Ok(script) } else { Err(problems.into_list()) }
    }
}

/// Why a plan has nothing of a name that a script could answer for.
pub(super) fn problem(plan: &Plan, name: &str) -> Option<(&'static str, String)> {
    let named = |suffix: &str| {
        let step = plan.index_of(name.strip_suffix(suffix)?)?;
        Some(plan.step(step))
    };
    if let Some(step) = plan.index_of(name) {
        let what = match plan.step(step).task {
            TaskKind::Transform => "a transform",
            TaskKind::Router => "a router",
            _ => return None,
        };
        let message = format!("step `{name}` is {what}: it is evaluated, so nothing is mocked");
        return Some((codes::BAD_VALUE, message));
    }
    if let Some(step) = named("/undo") {
        let message = format!("step `{}` has no undo", step.id);
        return step.undo.is_none().then_some((codes::BAD_VALUE, message));
    }
    if let Some(step) = named("/check") {
        let message = format!("step `{}` has no check", step.id);
        return step.check().is_none().then_some((codes::BAD_VALUE, message));
    }
    let shown: String = name.chars().take(64).collect();
    let known = plan.steps.iter().map(|step| &*step.id);
    let bare = name.strip_suffix("/undo").or_else(|| name.strip_suffix("/check"));
    let hint = nearest(bare.unwrap_or(name), known)
        .map_or_else(String::new, |near| format!("; is it `{near}`?"));
    Some((codes::UNKNOWN_STEP, format!("the workflow has no step `{shown}`{hint}")))
}

struct Reading<'a> {
    problems: &'a mut Problems,
    around: &'a dyn Surroundings,
}

impl Reading<'_> {
    fn part(&mut self, path: &str, value: &Value) -> Part {
        let Some(fields) = self.object(path, value, &PART_FIELDS) else { return Part::default() };
        let mut part = Part::default();
        if fields.contains_key("output") || fields.contains_key("error") {
            part.then = self.answer(path, fields);
        }
        match fields.get("attempts") {
            None => {}
            Some(Value::Array(list)) if list.len() > ATTEMPTS_NAMED_MAX => {
                let message = format!("at most {ATTEMPTS_NAMED_MAX} attempts are named");
                self.problems.add(format!("{path}.attempts"), codes::OUT_OF_RANGE, message);
            }
            Some(Value::Array(list)) => {
                for ((at, value), attempt) in list.iter().enumerate().zip(1_u16..) {
                    let path = format!("{path}.attempts[{at}]");
                    let Some(own) = self.object(&path, value, &ANSWER_FIELDS) else { continue };
                    part.attempts.extend(self.answer(&path, own).map(|own| (attempt, own)));
                }
            }
            Some(_) => self.wrong(&format!("{path}.attempts"), "a list of attempts"),
        }
        if part.then.is_none() && !fields.contains_key("attempts") {
            // Only a delay: what is not said is an empty object.
            part.then = self.answer(path, fields);
        }
        part
    }

    fn answer(&mut self, path: &str, fields: &Map<String, Value>) -> Option<Answer> {
        let delay_ms = match fields.get("delay_ms") {
            None => 0,
            Some(given) => match given.as_u64().filter(|own| *own <= VIRTUAL_MS_MAX) {
                Some(delay_ms) => delay_ms,
                None => {
                    self.wrong(&format!("{path}.delay_ms"), "a whole number of milliseconds");
                    0
                }
            },
        };
        let reply = match (fields.get("output"), fields.get("error")) {
            (Some(_), Some(_)) => {
                let message = "`output` and `error` are both given; an attempt has one of them";
                self.problems.add(path, codes::BAD_VALUE, message);
                return None;
            }
            (_, Some(error)) => Reply::Failure(self.failure(&format!("{path}.error"), error)?),
            (output, None) => {
                let output = output.cloned().unwrap_or_else(|| json!({}));
                let output = Payload::of(&output);
                let bytes = output.length_bytes();
                if bytes > PAYLOAD_BYTES_MAX {
                    let message = format!("has {bytes} bytes; at most {PAYLOAD_BYTES_MAX}");
                    self.problems.add(format!("{path}.output"), codes::OUT_OF_RANGE, message);
                }
                Reply::Output(output)
            }
        };
        Some(Answer { reply, delay_ms, retry_delay_ms: None })
    }

    fn failure(&mut self, path: &str, value: &Value) -> Option<Failure> {
        let fields = self.object(path, value, &ERROR_FIELDS)?;
        let code = self.text(path, fields, "code").unwrap_or(failures::MOCKED);
        let message = self.text(path, fields, "message").unwrap_or("the mock fails");
        let status = match fields.get("status").map(|own| own.as_u64().map(u16::try_from)) {
            None => None,
            Some(Some(Ok(status))) if (100..=599).contains(&status) => Some(status),
            Some(_) => {
                self.wrong(&format!("{path}.status"), "an HTTP status");
                None
            }
        };
        let retryable = (FailureClass::Retryable, EffectKnown::None);
        let (mut class, mut effect) = status.map_or(retryable, |own| self.around.verdict(own));
        match self.text(path, fields, "class") {
            None => {}
            Some("retryable") => class = FailureClass::Retryable,
            Some("permanent") => class = FailureClass::Permanent,
            Some(_) => self.wrong(&format!("{path}.class"), "`retryable` or `permanent`"),
        }
        match self.text(path, fields, "effect") {
            None => {}
            Some("none") => effect = EffectKnown::None,
            Some("unknown") => effect = EffectKnown::Unknown,
            Some(_) => self.wrong(&format!("{path}.effect"), "`none` or `unknown`"),
        }
        let details = match (fields.get("details"), status) {
            (Some(details), _) => Some(Payload::of(details)),
            (None, Some(status)) => Some(Payload::of(&json!({ "status": status }))),
            (None, None) => None,
        };
        let failure = Failure { class, effect, details, ..Failure::permanent(code, message) };
        Some(failure.clipped())
    }

    fn object<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Value::Object(fields) = value else {
            self.wrong(path, &format!("an object with {}", known.join(", ")));
            return None;
        };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(64).collect();
            let message = format!("`{shown}` is not a field here; known are {}", known.join(", "));
            self.problems.add(format!("{path}.{shown}"), codes::UNKNOWN_FIELD, message);
        }
        Some(fields)
    }

    fn text<'v>(
        &mut self,
        path: &str,
        fields: &'v Map<String, Value>,
        name: &str,
    ) -> Option<&'v str> {
        let value = fields.get(name)?;
        if value.as_str().is_none() {
            self.wrong(&format!("{path}.{name}"), "a text");
        }
        value.as_str()
    }

    fn wrong(&mut self, path: &str, wanted: &str) {
        self.problems.add(path, codes::BAD_VALUE, format!("must be {wanted}"));
    }
}
