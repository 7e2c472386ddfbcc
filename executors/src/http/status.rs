//! What a status means: success, another try, or the end of it; and whether the service may
//! have done what it was asked.

use std::ops::RangeInclusive;

use backstitch_core::failure::{EffectKnown, FailureClass};
use serde_json::Value;

/// The statuses that count as success.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ExpectedStatus {
    ranges: Vec<RangeInclusive<u16>>,
}

impl ExpectedStatus {
    /// Adds `204`, `"204"`, `"200-204"` or `"2xx"`.
    pub fn add(&mut self, value: &Value) -> Result<(), String> {
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_ascii_lowercase(),
            other => other.to_string(),
        };
        let range = match (text.strip_suffix("xx"), text.split_once('-')) {
            (Some(hundreds), _) => {
                let first = number_of(hundreds).and_then(|hundreds| hundreds.checked_mul(100));
                first.and_then(|first| Some(first..=first.checked_add(99)?))
            }
            (None, Some((first, last))) => {
                number_of(first).zip(number_of(last)).map(|(first, last)| first..=last)
            }
            (None, None) => number_of(&text).map(|status| status..=status),
        };
        let range = range
            .filter(|range| *range.start() >= 200 && *range.end() <= 599 && !range.is_empty())
            .ok_or_else(|| {
                format!("holds `{text}`; write 204, \"200-204\" or \"2xx\", from 200 to 599")
            })?;
        self.ranges.push(range);
        Ok(())
    }

    /// Whether a status counts as success: as the step says, or 2xx.
    pub fn includes(&self, status: u16) -> bool {
        match self.ranges.as_slice() {
            [] => (200..300).contains(&status),
            ranges => ranges.iter().any(|range| range.contains(&status)),
        }
    }
}

fn number_of(text: &str) -> Option<u16> {
    let digits = text.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// What a status that is no success says of the next attempt, and of this one's effect.
///
/// A service that answers with an error says that it did nothing. Three answers do not say so:
/// a success that was not expected, a redirect after the work (301, 302, 303), and a gateway
/// that lost the service behind it (502, 504).
#[must_use]
pub fn verdict(status: u16) -> (FailureClass, EffectKnown) {
    match status {
        502 | 504 => (FailureClass::Retryable, EffectKnown::Unknown),
        408 | 425 | 429 | 500..=599 => (FailureClass::Retryable, EffectKnown::None),
        200..=299 | 301..=303 => (FailureClass::Permanent, EffectKnown::Unknown),
        _ => (FailureClass::Permanent, EffectKnown::None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expected(values: &[Value]) -> Result<ExpectedStatus, String> {
        let mut expected = ExpectedStatus::default();
        values.iter().try_for_each(|value| expected.add(value)).map(|()| expected)
    }

    #[test]
    fn two_hundreds_are_expected_unless_told() {
        let none = ExpectedStatus::default();
        assert!(none.includes(200) && none.includes(299));
        assert!(!none.includes(199) && !none.includes(300) && !none.includes(404));
    }

    #[test]
    fn numbers_ranges_and_classes() {
        let some = expected(&[json!(404), json!("200-204"), json!("3XX")]).unwrap();
        for (status, included) in
            [(200, true), (204, true), (205, false), (301, true), (404, true), (405, false)]
        {
            assert_eq!(some.includes(status), included, "{status}");
        }
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for bad in [
            json!("ok"),
            json!(99),
            json!(1e9),
            json!("204-200"),
            json!("2x"),
            json!("xx"),
            json!("655xx"),
            json!("999xx"),
            json!("99999xx"),
            json!(true),
            json!({}),
            json!(""),
            json!("+200"),
        ] {
            assert!(expected(std::slice::from_ref(&bad)).is_err(), "{bad}");
        }
    }
}
