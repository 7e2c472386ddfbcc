//! Reading durations and retry policies.

use serde_json::Value;

use super::problem::{Problems, codes};
use super::read_fields::Fields;
use super::{Cache, Count, DurationText, OwnRetry, Retry};
use crate::cache::CACHE_TTL_MS_MAX;
use crate::retry_policy::{
    ATTEMPTS_MAX, Backoff, MULTIPLIER_MAX, RETRY_INITIAL_MS_MAX, RETRY_WAIT_MS_MAX, RetryPolicy,
};
use crate::template::{TEMPLATE_BYTES_MAX, has_template};
use crate::time::{DURATION_MS_MAX, parse_duration_ms};

const RETRY_FIELDS: [&str; 6] =
    ["max_attempts", "backoff", "initial", "max", "multiplier", "jitter"];
const BACKOFFS: [(&str, Backoff); 3] =
    [("exponential", Backoff::Exponential), ("linear", Backoff::Linear), ("fixed", Backoff::Fixed)];

/// A duration within bounds.
pub(super) fn duration(
    fields: &Fields<'_>,
    name: &str,
    bounds_ms: (u64, u64),
    problems: &mut Problems,
) -> Option<DurationText> {
    let value = fields.get(name)?;
    let path = fields.at(name);
    let Value::String(text) = value else {
        let message =
            format!("a duration is written `500ms`, `5s`, `10m`, `2h`, `1d`, not {value}");
        problems.add(path, codes::BAD_DURATION, message.chars().take(200).collect::<String>());
        return None;
    };
    let duration_ms = match parse_duration_ms(text) {
        Ok(duration_ms) => duration_ms,
        Err(why) if why.ends_with("ten years") => {
            problems.add(path, codes::OUT_OF_RANGE, why);
            return None;
        }
        Err(why) => {
            problems.add(path, codes::BAD_DURATION, why.chars().take(200).collect::<String>());
            return None;
        }
    };
    let (least_ms, most_ms) = bounds_ms;
    if duration_ms < least_ms || duration_ms > most_ms {
        let (least, most) = (written(least_ms), written(most_ms));
        let message = format!("`{name}` is between {least} and {most}, not `{text}`");
        problems.add(path, codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(DurationText { text: text.clone(), ms: Some(duration_ms) })
}

/// A duration within bounds, or a template of one.
pub(super) fn limit(
    fields: &Fields<'_>,
    name: &str,
    bounds_ms: (u64, u64),
    problems: &mut Problems,
) -> Option<DurationText> {
    match fields.get(name)? {
        Value::String(text) if has_template(text) => {
            let text = fields.text(name, TEMPLATE_BYTES_MAX, problems)?;
            Some(DurationText { text, ms: None })
        }
        _ => duration(fields, name, bounds_ms, problems),
    }
}

/// A duration as people write it.
pub(crate) fn written(duration_ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let unit = units
        .iter()
        .find(|(unit_ms, _)| duration_ms >= *unit_ms && duration_ms.is_multiple_of(*unit_ms));
    unit.map_or_else(
        || "0s".to_owned(),
        |(unit_ms, word)| format!("{}{word}", duration_ms / unit_ms),
    )
}

/// The timeout of a run.
pub(super) fn run_timeout(fields: &Fields<'_>, problems: &mut Problems) -> Option<DurationText> {
    limit(fields, "timeout", (1, DURATION_MS_MAX), problems)
}

/// The timeout of an attempt.
pub(super) fn attempt_timeout(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<DurationText> {
    limit(fields, "timeout", (1, super::STEP_TIMEOUT_MS_MAX), problems)
}

/// Which answers may stand for a step's own: `true`, or `{ttl?, key?}`.
pub(super) fn cache(fields: &Fields<'_>, problems: &mut Problems) -> Option<Cache> {
    match fields.get("cache")? {
        Value::Bool(cached) => cached.then(Cache::default),
        value @ Value::Object(_) => {
            let own = Fields::of(value, &fields.at("cache"), &["ttl", "key"], problems)?;
            let ttl = duration(&own, "ttl", (1, CACHE_TTL_MS_MAX), problems);
            let key = own.text("key", TEMPLATE_BYTES_MAX, problems);
            Some(Cache { ttl, key })
        }
        other => {
            fields.wrong_type("cache", "true, false or an object", other, problems);
            None
        }
    }
}

/// A retry policy: a name or an object.
pub(super) fn retry(fields: &Fields<'_>, problems: &mut Problems) -> Option<Retry> {
    match fields.get("retry")? {
        Value::String(_) => {
            let names = RetryPolicy::NAMED.map(|(name, _)| (name, name));
            fields.word("retry", &names, problems).map(Retry::Named)
        }
        value @ Value::Object(_) => {
            let path = fields.at("retry");
            Fields::of(value, &path, &RETRY_FIELDS, problems)
                .map(|own| Retry::Own(own_retry(&own, problems)))
        }
        other => {
            fields.wrong_type("retry", "a policy's name or an object", other, problems);
            None
        }
    }
}

fn own_retry(fields: &Fields<'_>, problems: &mut Problems) -> OwnRetry {
    let read = OwnRetry {
        max_attempts: attempts(fields, problems),
        backoff: fields.word("backoff", &BACKOFFS, problems),
        initial: limit(fields, "initial", (0, RETRY_INITIAL_MS_MAX), problems),
        max: limit(fields, "max", (0, RETRY_WAIT_MS_MAX), problems),
        multiplier: multiplier(fields, problems),
        jitter: fields.boolean("jitter", problems),
    };
    if let (Some(initial), Some(max)) = (&read.initial, &read.max)
        && let (Some(initial_ms), Some(max_ms)) = (initial.ms, max.ms)
        && initial_ms > max_ms
    {
        let message = format!("`max` ({}) is shorter than `initial` ({})", max.text, initial.text);
        problems.add(fields.at("max"), codes::BAD_VALUE, message);
    }
    read
}

fn attempts(fields: &Fields<'_>, problems: &mut Problems) -> Option<Count> {
    let value = fields.get("max_attempts")?;
    if value.as_str().is_some_and(has_template) {
        let text = fields.text("max_attempts", TEMPLATE_BYTES_MAX, problems);
        return text.map(Count::Template);
    }
    if !value.is_number() {
        fields.wrong_type("max_attempts", "a whole number", value, problems);
        return None;
    }
    let attempts = value.as_u64().and_then(|attempts| u16::try_from(attempts).ok());
    let attempts = attempts.filter(|attempts| (1..=ATTEMPTS_MAX).contains(attempts));
    if attempts.is_none() {
        let message =
            format!("`max_attempts` is a whole number from 1 to {ATTEMPTS_MAX}, not {value}");
        problems.add(fields.at("max_attempts"), codes::OUT_OF_RANGE, message);
    }
    attempts.map(Count::Number)
}

fn multiplier(fields: &Fields<'_>, problems: &mut Problems) -> Option<f64> {
    let value = fields.get("multiplier")?;
    let Some(multiplier) = value.as_f64() else {
        fields.wrong_type("multiplier", "a number", value, problems);
        return None;
    };
    if !(1.0..=MULTIPLIER_MAX).contains(&multiplier) {
        let message = format!("`multiplier` is between 1 and {MULTIPLIER_MAX}, not {value}");
        problems.add(fields.at("multiplier"), codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(multiplier)
}
