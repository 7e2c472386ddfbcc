//! After which failures an attempt is repeated.
//!
//! Reads codes, classes and statuses off failures; what a status means to a service is said by
//! whoever asked it.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::failure::{EffectKnown, Failure, FailureClass, codes};

/// The code of an HTTP answer that is no success; its details have the `status`.
pub const STATUS_CODE: &str = "HTTP_STATUS";
/// Codes of connections that could not be made, or broke.
pub const NETWORK_CODES: [&str; 2] = ["HTTP_CONNECT_FAILED", "HTTP_CONNECTION_BROKEN"];
/// Failures of the engine's own that no condition brings another attempt after: time is up, what
/// is needed is gone, or it would act beside what another run left.
const FINAL_CODES: [&str; 8] = [
    codes::STEP_TIMEOUT,
    codes::CIRCUIT_OPEN,
    codes::RETRY_BUDGET_SPENT,
    codes::CHILD_NOT_UNDONE,
    codes::CHILD_FAILED,
    codes::LOOP_STOPPED,
    codes::PAYLOAD_ERASED,
    codes::PAYLOAD_MISSING,
];
/// The longest code of a failure in a condition.
const CODE_CHARS_MAX: usize = 128;
/// The words of conditions.
const WORDS: [(&str, RetryCondition); 4] = [
    ("timeout", RetryCondition::Timeout),
    ("network_error", RetryCondition::NetworkError),
    ("status", RetryCondition::Status),
    ("unknown", RetryCondition::Unknown),
];

/// A kind of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryCondition {
    /// The attempt ran past its timeout.
    Timeout,
    /// The connection could not be made, or broke.
    NetworkError,
    /// A status that may pass: 408, 425, 429 and 5xx.
    Status,
    /// Nobody knows whether the attempt took effect.
    Unknown,
    /// A status from the first to the last, whatever it means otherwise.
    Statuses(u16, u16),
    /// A failure with this code, whatever its class.
    Code(Arc<str>),
}

/// After which failures another attempt is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryConditions {
    /// After these; after all that may pass if there are none.
    pub on: Vec<RetryCondition>,
    /// After none of these, whatever `on` says.
    pub never: Vec<RetryCondition>,
}

impl RetryConditions {
    pub(super) fn allow(&self, failure: &Failure) -> bool {
        if self.forbid(failure) {
            return false;
        }
        match self.on.is_empty() {
            true => failure.class == FailureClass::Retryable,
            false => self.on.iter().any(|own| own.holds(failure)) && !is_final(failure),
        }
    }

    pub(super) fn forbid(&self, failure: &Failure) -> bool {
        self.never.iter().any(|own| own.holds(failure))
    }
}

fn is_final(failure: &Failure) -> bool {
    failure.class == FailureClass::Permanent && FINAL_CODES.contains(&failure.code.as_str())
}

impl RetryCondition {
    /// Reads a word, a status (`429`), statuses (`5xx`, `500-504`) or a code (`SERVICE_BUSY`).
    ///
    /// # Errors
    /// What may stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, own)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(own.clone());
        }
        if let Some((first, last)) = statuses(text) {
            return Ok(Self::Statuses(first, last));
        }
        let in_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = text.starts_with(|first: char| first.is_ascii_uppercase());
        if begins && text.len() <= CODE_CHARS_MAX && text.bytes().all(in_code) {
            return Ok(Self::Code(text.into()));
        }
        let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
        let shown: String = text.chars().take(64).collect();
        Err(format!(
            "`{shown}` is no kind of failure; write {}, a status (`429`, `5xx`, `500-504`) or a code \
             (`SERVICE_BUSY`)",
            words.join(", ")
        ))
    }

    fn holds(&self, failure: &Failure) -> bool {
        match self {
            Self::Timeout => failure.code == codes::TASK_TIMEOUT,
            Self::NetworkError => NETWORK_CODES.contains(&failure.code.as_str()),
            Self::Status => failure.code == STATUS_CODE && failure.class == FailureClass::Retryable,
            Self::Unknown => failure.effect == EffectKnown::Unknown,
            Self::Statuses(first, last) => {
                status_of(failure).is_some_and(|status| (*first..=*last).contains(&status))
            }
            Self::Code(code) => failure.code == **code,
        }
    }
}

impl fmt::Display for RetryCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statuses(first, last) if first == last => write!(f, "{first}"),
            Self::Statuses(first, last) if first % 100 == 0 && *last == first + 99 => {
                write!(f, "{}xx", first / 100)
            }
            Self::Statuses(first, last) => write!(f, "{first}-{last}"),
            Self::Code(code) => f.write_str(code),
            word => {
                let found = WORDS.iter().find(|(_, own)| own == word);
                f.write_str(found.map_or("", |(word, _)| word))
            }
        }
    }
}

/// `429`, `5xx` or `500-504`, from 100 to 599.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| -> Option<u16> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(hundreds), _) => {
            let first = number(hundreds)?.checked_mul(100)?;
            (first, first.checked_add(99)?)
        }
        (None, Some((first, last))) => (number(first)?, number(last)?),
        (None, None) => (number(text)?, number(text)?),
    };
    (first >= 100 && last <= 599 && first <= last).then_some((first, last))
}

fn status_of(failure: &Failure) -> Option<u16> {
    if failure.code != STATUS_CODE {
        return None;
    }
    let status = failure.details.as_ref()?.value().get("status").and_then(Value::as_u64);
    status.and_then(|status| u16::try_from(status).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Retries, RetryPolicy};
    use super::*;
    use crate::evolve::{attempt_lost, timed_out};
    use crate::payload::Payload;

    fn retries(on: &[&str], never: &[&str]) -> Retries {
        let read = |own: &&str| RetryCondition::parse(own).expect("it is one");
        let (on, never) = (on.iter().map(read).collect(), never.iter().map(read).collect());
        let conditions = Some(Arc::new(RetryConditions { on, never }));
        Retries { policy: RetryPolicy::STANDARD, conditions }
    }

    fn status(status: u16, class: FailureClass) -> Failure {
        let details = Payload::of(&json!({ "status": status }));
        Failure { class, ..Failure::permanent(STATUS_CODE, "no") }.with_details(details)
    }

    #[test]
    fn conditions_are_written_as_they_are_read() {
        for text in
            ["timeout", "network_error", "status", "unknown", "429", "5xx", "500-504", "A_1"]
        {
            assert_eq!(RetryCondition::parse(text).expect("it is one").to_string(), text);
        }
        for bad in ["", "Timeout", "99", "600", "6xx", "xx", "504-500", "a-b", "busy", "A b"] {
            assert!(RetryCondition::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_conditions_the_class_decides() {
        let standard = Retries::from(RetryPolicy::STANDARD);
        assert!(standard.allow(&Failure::retryable("A", ""), 2, 0));
        assert!(!standard.allow(&Failure::retryable("A", ""), 3, 0), "three attempts");
        assert!(!standard.allow(&Failure::permanent("A", ""), 1, 0));
        assert!(standard.allow(&attempt_lost(), 3, LOST), "a crash uses up none");
        assert!(!standard.allow(&attempt_lost(), 3, LOST + 1));
        assert!(!Retries::NONE.allow(&attempt_lost(), 0, 1), "once is once");
    }

    const LOST: u16 = super::super::LOST_ATTEMPTS_MAX;

    #[test]
    fn conditions_choose_and_forbid() {
        let busy = status(503, FailureClass::Retryable);
        let missing = status(404, FailureClass::Permanent);
        let late = timed_out(5);
        let listed = retries(&["timeout", "network_error"], &[]);
        assert!(listed.allow(&late, 1, 0) && !listed.allow(&busy, 1, 0));
        assert!(listed.allow(&Failure::retryable(NETWORK_CODES[0], ""), 1, 0));
        assert!(listed.allow(&attempt_lost(), 1, 1), "a crash is no failure of the step");
        let statuses = retries(&["404", "status"], &[]);
        assert!(statuses.allow(&missing, 1, 0) && statuses.allow(&busy, 1, 0));
        assert!(!statuses.allow(&status(400, FailureClass::Permanent), 1, 0));
        let careful = retries(&[], &["unknown", "5xx"]);
        assert!(!careful.allow(&late, 1, 0) && !careful.allow(&busy, 1, 0));
        assert!(!careful.allow(&attempt_lost(), 1, 1) && !careful.allow(&missing, 1, 0));
        assert!(careful.allow(&status(429, FailureClass::Retryable), 1, 0));
        let both = retries(&["5xx"], &["503"]);
        assert!(
            !both.allow(&busy, 1, 0) && both.allow(&status(500, FailureClass::Retryable), 1, 0)
        );
    }

    #[test]
    fn what_is_over_is_not_brought_back() {
        let all = retries(&["STEP_TIMEOUT", "CHILD_NOT_UNDONE", "REFUSED"], &[]);
        for code in [codes::STEP_TIMEOUT, codes::CHILD_NOT_UNDONE] {
            assert!(!all.allow(&Failure::permanent(code, ""), 1, 0), "{code}");
        }
        assert!(all.allow(&Failure::permanent("REFUSED", ""), 1, 0));
    }
}
