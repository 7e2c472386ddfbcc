//! Reading durations, timeouts and caches.

use serde_json::Value;

use super::problem::{Problems, codes};
use super::read_fields::Fields;
use super::{Cache, DurationText};
use crate::cache::CACHE_TTL_MS_MAX;
use crate::template::{TEMPLATE_BYTES_MAX, has_template};
use crate::time::{DURATION_MS_MAX, parse_duration_ms};

/// A duration within bounds.
pub(crate) fn duration(
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

/// How long after its end a run can be rolled back.
pub(super) fn rollback_window(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<DurationText> {
    duration(fields, "rollback_window", (1, DURATION_MS_MAX), problems)
}

/// How long all undos of a run may take together.
pub(super) fn compensation_timeout(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<DurationText> {
    duration(fields, "compensation_timeout", (1, DURATION_MS_MAX), problems)
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
