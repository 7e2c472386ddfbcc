//! The faults that a run is submitted with, as a body has them.

use backstitch_core::definition::problem::codes;
use backstitch_core::event::FaultKind;
use backstitch_core::faults::{FAULT_DELAY_MS_MAX, FAULTS_MAX, FaultWish, Struck};
use backstitch_core::time::parse_duration_ms;
use serde_json::{Map, Value};

use super::super::fields::{Fields, kind};
use crate::nearest::unknown;

/// What a fault has: `permanent` belongs to `fail`, `delay` to `delay`.
const FIELDS: [&str; 7] = ["step", "undo", "check", "attempt", "kind", "permanent", "delay"];

/// Every fault that can be read; the others are noted.
pub(super) fn faults(fields: &mut Fields) -> Vec<FaultWish> {
    let list = fields.list("faults");
    if list.len() > FAULTS_MAX {
        let message = format!("at most {FAULTS_MAX} faults are taken, not {}", list.len());
        fields.problem("faults", codes::OUT_OF_RANGE, message);
        return Vec::new();
    }
    let read = |(at, value): (usize, Value)| fault(fields, &format!("faults[{at}]"), value);
    list.into_iter().enumerate().filter_map(read).collect()
}

fn fault(fields: &mut Fields, path: &str, value: Value) -> Option<FaultWish> {
    let mut given = fields.object(path, value, &FIELDS)?;
    let step = text(fields, path, &mut given, "step");
    let strikes = strikes(fields, path, &mut given);
    let attempt = given.remove("attempt").and_then(|value| {
        let number = fields.whole_of(&format!("{path}.attempt"), &value, u64::from(u16::MAX));
        number.and_then(|number| u16::try_from(number).ok())
    });
    let permanent = truth(fields, path, &mut given, "permanent");
    let delay = given.remove("delay").map(|value| delay(fields, path, &value));
    let word = text(fields, path, &mut given, "kind")?;
    for (name, of, is_given) in
        [("permanent", "fail", permanent.is_some()), ("delay", "delay", delay.is_some())]
    {
        if is_given && word != of && FaultKind::WORDS.contains(&word.as_str()) {
            let message = format!("belongs to the kind `{of}`, not to `{word}`");
            fields.problem(format!("{path}.{name}"), codes::BAD_VALUE, message);
        }
    }
    let kind = match word.as_str() {
        "fail" => FaultKind::Fail { permanent: permanent.unwrap_or(false) },
        "delay" => match delay {
            Some(ms) => FaultKind::Delay { ms: ms? },
            None => {
                let message = "is required: by how much the answer is late, such as 5s".to_owned();
                fields.problem(format!("{path}.delay"), codes::MISSING_FIELD, message);
                return None;
            }
        },
        "crash_before_ack" => FaultKind::CrashBeforeAck,
        "duplicate" => FaultKind::Duplicate,
        other => {
            let message = unknown("kind", other, &FaultKind::WORDS);
            fields.problem(format!("{path}.kind"), codes::BAD_VALUE, message);
            return None;
        }
    };
    Some(FaultWish { step: step?, strikes, attempt, kind })
}

/// Whose attempts meet it: the step's own, unless it says another's.
fn strikes(fields: &mut Fields, path: &str, given: &mut Map<String, Value>) -> Struck {
    let undo = truth(fields, path, given, "undo").unwrap_or(false);
    let check = truth(fields, path, given, "check").unwrap_or(false);
    if undo && check {
        let message = "is of the undo already: one fault for the undo, one for its check";
        fields.problem(format!("{path}.check"), codes::BAD_VALUE, message.to_owned());
    }
    match (undo, check) {
        (_, true) => Struck::Check,
        (true, false) => Struck::Undo,
        (false, false) => Struck::Step,
    }
}

fn text(
    fields: &mut Fields,
    path: &str,
    given: &mut Map<String, Value>,
    name: &str,
) -> Option<String> {
    match given.remove(name) {
        Some(Value::String(text)) => return Some(text),
        Some(other) => {
            let message = format!("must be text, not {}", kind(&other));
            fields.problem(format!("{path}.{name}"), codes::WRONG_TYPE, message);
        }
        None => {
            let message = "is required".to_owned();
            fields.problem(format!("{path}.{name}"), codes::MISSING_FIELD, message);
        }
    }
    None
}

fn truth(
    fields: &mut Fields,
    path: &str,
    given: &mut Map<String, Value>,
    name: &str,
) -> Option<bool> {
    let value = given.remove(name)?;
    if let Value::Bool(truth) = value {
        return Some(truth);
    }
    let message = format!("must be true or false, not {}", kind(&value));
    fields.problem(format!("{path}.{name}"), codes::WRONG_TYPE, message);
    None
}

fn delay(fields: &mut Fields, path: &str, value: &Value) -> Option<u64> {
    let ms = value.as_str().and_then(|text| parse_duration_ms(text).ok());
    let ms = ms.filter(|ms| (1..=FAULT_DELAY_MS_MAX).contains(ms));
    if ms.is_none() {
        let message = format!("must be a duration of 1ms to 1h, such as 5s, not {value}");
        fields.problem(format!("{path}.delay"), codes::BAD_VALUE, message);
    }
    ms
}
