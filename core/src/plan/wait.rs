//! What a `wait` step waits for: an instant or a signal.

use std::sync::Arc;

use serde_json::Value;

use crate::failure::{Failure, codes};
use crate::payload::Payload;
use crate::time::{Timestamp, parse_duration_ms};

/// The longest name of a signal, in bytes.
pub const SIGNAL_NAME_BYTES_MAX: usize = 128;

/// The fields of a wait's `with`.
pub(super) const WAIT_FIELDS: [&str; 4] = ["duration", "until", "signal", "timeout"];

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// An instant.
    Until(Timestamp),
    /// A signal.
    Signal {
        /// Its name.
        name: Arc<str>,
        /// When the step gives up.
        due_at: Option<Timestamp>,
    },
}

/// What a `wait` step with this rendered input waits for: `{duration: "5s"}` from `now`,
/// `{until: <RFC 3339>}`, or `{signal: <name>, timeout: "2d"}`.
///
/// # Errors
/// `EXPRESSION_FAILED` when the input is none of these.
pub fn wait_of(input: &Payload, now: Timestamp) -> Result<Wait, Failure> {
    match read(&input.value()) {
        Ok(Awaited::For(wait_ms)) => Ok(Wait::Until(now.plus_ms(wait_ms))),
        Ok(Awaited::Until(at)) => Ok(Wait::Until(at)),
        Ok(Awaited::Signal { name, timeout_ms }) => {
            let due_at = timeout_ms.map(|timeout_ms| now.plus_ms(timeout_ms));
            Ok(Wait::Signal { name: name.into(), due_at })
        }
        Err(why) => Err(Failure::permanent(codes::EXPRESSION_FAILED, why)),
    }
}

/// What is wrong with the name of a signal, if anything.
#[must_use]
pub fn signal_name_problem(name: &str) -> Option<String> {
    let fits =
        (1..=SIGNAL_NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    let range = || {
        format!(
            "a signal's name has 1 to {SIGNAL_NAME_BYTES_MAX} bytes, without control characters"
        )
    };
    (!fits).then(range)
}

/// The same before `now` is known.
pub(super) enum Awaited {
    For(u64),
    Until(Timestamp),
    Signal { name: String, timeout_ms: Option<u64> },
}

pub(super) fn read(with: &Value) -> Result<Awaited, String> {
    let [duration, until, signal, timeout] = WAIT_FIELDS.map(|field| with.get(field));
    match (duration, until, signal, timeout) {
        (Some(Value::String(duration)), None, None, None) => {
            parse_duration_ms(duration).map(Awaited::For)
        }
        (None, Some(Value::String(until)), None, None) => Timestamp::parse(until)
            .map(Awaited::Until)
            .ok_or_else(|| format!("`{until}` is not an RFC 3339 instant")),
        (None, None, Some(Value::String(name)), timeout) => {
            let timeout_ms = match timeout {
                None => None,
                Some(Value::String(timeout)) => Some(parse_duration_ms(timeout)?),
                Some(_) => return Err("`timeout` is a duration such as `2d`, a text".to_owned()),
            };
            match signal_name_problem(name) {
                None => Ok(Awaited::Signal { name: name.clone(), timeout_ms }),
                Some(why) => Err(why),
            }
        }
        _ => Err("a wait has one of `duration` (`5s`), `until` (RFC 3339) and `signal` (a name, \
                  with a `timeout` if you like), each a text"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn of(with: Value) -> Result<Wait, Failure> {
        wait_of(&Payload::of(&with), NOW)
    }

    #[test]
    fn waits_end_after_a_duration_at_an_instant_or_with_a_signal() {
        assert_eq!(of(json!({ "duration": "5s" })), Ok(Wait::Until(NOW.plus_ms(5_000))));
        let instant = Timestamp::parse("2030-01-01T00:00:00+01:00").unwrap();
        assert_eq!(of(json!({ "until": "2030-01-01T00:00:00+01:00" })), Ok(Wait::Until(instant)));
        let signal = |due_at| Ok(Wait::Signal { name: "go".into(), due_at });
        assert_eq!(of(json!({ "signal": "go" })), signal(None));
        let due_at = Some(NOW.plus_ms(2 * 24 * 3_600_000));
        assert_eq!(of(json!({ "signal": "go", "timeout": "2d" })), signal(due_at));
    }

    #[test]
    fn whatever_else_is_refused() {
        for bad in [
            json!({}),
            json!(null),
            json!({ "duration": 5 }),
            json!({ "duration": "x" }),
            json!({ "until": "soon" }),
            json!({ "duration": "5s", "until": "2030-01-01T00:00:00Z" }),
            json!({ "signal": "" }),
            json!({ "signal": "x".repeat(SIGNAL_NAME_BYTES_MAX + 1) }),
            json!({ "signal": "a\nb" }),
            json!({ "signal": ["a"] }),
            json!({ "signal": "a", "timeout": 5 }),
            json!({ "signal": "a", "timeout": "soon" }),
            json!({ "signal": "a", "duration": "5s" }),
            json!({ "duration": "5s", "timeout": "5s" }),
        ] {
            assert_eq!(of(bad).unwrap_err().code, codes::EXPRESSION_FAILED);
        }
    }
}
