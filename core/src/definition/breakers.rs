//! Breakers as written: reading and writing them.

use serde_json::{Map, Value};

use super::DurationText;
use super::problem::{Problem, Problems, codes};
use super::read_fields::Fields;
use super::read_policies::duration;
use crate::breaker::{
    BREAKER_COUNT_MAX, BREAKER_KEY_BYTES_MAX, BREAKER_MS_MAX, BreakerPolicy, OnOpen,
};

/// The words of `on_open`.
const ON_OPEN: [(&str, OnOpen); 2] = [("wait", OnOpen::Wait), ("fail", OnOpen::Fail)];
const FIELDS: [&str; 9] =
    ["key", "failures", "ratio", "calls", "window", "open_for", "probes", "retry_ratio", "on_open"];

/// A breaker as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Breaker {
    /// `true`: as the node has it; `false`: none.
    Stated(bool),
    /// One that all who name it share.
    Named(String),
    /// One with rules of its own.
    Own(OwnBreaker),
}

/// A breaker with rules of its own; what is absent is as the node has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnBreaker {
    /// Who names it shares it.
    pub key: Option<String>,
    /// Failures in a row that open it.
    pub failures: Option<u32>,
    /// The part of the calls that may fail.
    pub ratio: Option<f64>,
    /// Calls without which the ratio says nothing.
    pub calls: Option<u32>,
    /// How far back calls count.
    pub window: Option<DurationText>,
    /// How long it stays open.
    pub open_for: Option<DurationText>,
    /// Calls that are tried at a time then.
    pub probes: Option<u32>,
    /// The part of the calls that may be retries.
    pub retry_ratio: Option<f64>,
    /// What becomes of a call that may not be made now.
    pub on_open: Option<OnOpen>,
}

impl Breaker {
    /// What it means.
    #[must_use]
    pub fn policy(&self) -> BreakerPolicy {
        let own = match self {
            Self::Stated(on) => return BreakerPolicy { off: !on, ..BreakerPolicy::default() },
            Self::Named(key) => {
                let key = Some(key.as_str().into());
                return BreakerPolicy { key, ..BreakerPolicy::default() };
            }
            Self::Own(own) => own,
        };
        BreakerPolicy {
            off: false,
            key: own.key.as_deref().map(Into::into),
            failures: own.failures,
            ratio: own.ratio,
            calls: own.calls,
            window_ms: own.window.as_ref().and_then(|own| own.ms),
            open_ms: own.open_for.as_ref().and_then(|own| own.ms),
            probes: own.probes,
            retry_ratio: own.retry_ratio,
            on_open: own.on_open.unwrap_or_default(),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let own = match self {
            Self::Stated(on) => return (*on).into(),
            Self::Named(key) => return key.as_str().into(),
            Self::Own(own) => own,
        };
        let text = |own: &Option<DurationText>| own.as_ref().map(|own| own.text.as_str().into());
        let word = |own: OnOpen| ON_OPEN.iter().find(|(_, known)| *known == own);
        let fields = [
            ("key", own.key.as_deref().map(Value::from)),
            ("failures", own.failures.map(Value::from)),
            ("ratio", own.ratio.map(Value::from)),
            ("calls", own.calls.map(Value::from)),
            ("window", text(&own.window)),
            ("open_for", text(&own.open_for)),
            ("probes", own.probes.map(Value::from)),
            ("retry_ratio", own.retry_ratio.map(Value::from)),
            ("on_open", own.on_open.and_then(word).map(|(word, _)| (*word).into())),
        ];
        let given = fields.into_iter().filter_map(|(name, own)| Some((name.to_owned(), own?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

/// A breaker: `true`, `false`, a key or an object.
pub(super) fn breaker(fields: &Fields<'_>, problems: &mut Problems) -> Option<Breaker> {
    match fields.get("breaker")? {
        Value::Bool(on) => Some(Breaker::Stated(*on)),
        Value::String(_) => key(fields, "breaker", problems).map(Breaker::Named),
        value @ Value::Object(_) => {
            let own = Fields::of(value, &fields.at("breaker"), &FIELDS, problems)?;
            Some(Breaker::Own(read(&own, problems)))
        }
        other => {
            fields.wrong_type("breaker", "true, false, a key or an object", other, problems);
            None
        }
    }
}

/// The rules of a node's breakers, outside any definition.
///
/// # Errors
/// Every problem.
pub fn read_breaker_rules(value: &Value) -> Result<BreakerPolicy, Vec<Problem>> {
    let mut problems = Problems::default();
    let rules: Vec<&str> =
        FIELDS.into_iter().filter(|name| !["key", "on_open"].contains(name)).collect();
    let own = Fields::of(value, "", &rules, &mut problems).map(|own| read(&own, &mut problems));
    match problems.is_empty() {
        true => Ok(Breaker::Own(own.unwrap_or_default()).policy()),
        false => Err(problems.into_list()),
    }
}

fn read(own: &Fields<'_>, problems: &mut Problems) -> OwnBreaker {
    OwnBreaker {
        key: key(own, "key", problems),
        failures: count(own, "failures", problems),
        ratio: ratio(own, "ratio", problems),
        calls: count(own, "calls", problems),
        window: duration(own, "window", (1_000, BREAKER_MS_MAX), problems),
        open_for: duration(own, "open_for", (1, BREAKER_MS_MAX), problems),
        probes: count(own, "probes", problems),
        retry_ratio: ratio(own, "retry_ratio", problems),
        on_open: own.word("on_open", &ON_OPEN, problems),
    }
}

fn key(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<String> {
    let key = fields.text(name, BREAKER_KEY_BYTES_MAX, problems)?;
    if key.is_empty() || key.len() > BREAKER_KEY_BYTES_MAX || key.chars().any(char::is_control) {
        let message = format!(
            "a breaker's key has 1 to {BREAKER_KEY_BYTES_MAX} bytes, without control characters"
        );
        problems.add(fields.at(name), codes::OUT_OF_RANGE, message);
        return None;
    }
    if crate::template::has_template(&key) {
        let message =
            "a breaker's key is a constant, no template: a service is the same for all runs";
        problems.add(fields.at(name), codes::BAD_VALUE, message);
        return None;
    }
    Some(key)
}

fn count(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<u32> {
    let value = fields.get(name)?;
    if !value.is_number() {
        fields.wrong_type(name, "a whole number", value, problems);
        return None;
    }
    let given = value.as_u64().and_then(|given| u32::try_from(given).ok());
    let given = given.filter(|given| (1..=BREAKER_COUNT_MAX).contains(given));
    if given.is_none() {
        let message =
            format!("`{name}` is a whole number from 1 to {BREAKER_COUNT_MAX}, not {value}");
        problems.add(fields.at(name), codes::OUT_OF_RANGE, message);
    }
    given
}

fn ratio(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Option<f64> {
    let value = fields.get(name)?;
    let Some(ratio) = value.as_f64() else {
        fields.wrong_type(name, "a number", value, problems);
        return None;
    };
    if !(ratio > 0.0 && ratio <= 1.0) {
        let message = format!("`{name}` is above 0 and at most 1, not {value}");
        problems.add(fields.at(name), codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(ratio)
}
