//! From what was given to what is meant.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use backstitch_core::definition::problem::Problem;
use backstitch_core::definition::read_breaker_rules;
use backstitch_core::retention::Policy;
use backstitch_core::time::parse_duration_ms;
use backstitch_core::yaml::{Format, parse};
use backstitch_journal::{Fsync, PARTITIONS_MAX};

use backstitch_saga::Shutdown;
use backstitch_saga::breakers::Settings as Breakers;

use super::effective::effective;
use super::{Authentication, LogCollector, MetricNames, Otlp, Outgoing, Settings, Sources, Tls};
use super::{environment, log, private_hosts, rate};
use crate::error::Error;

/// The longest time between syncs.
const FSYNC_INTERVAL_MS_MAX: u64 = 60_000;
/// The longest time between sweeps of retention: 30 days.
const INTERVAL_MS_MAX: u64 = 30 * 24 * 3_600_000;
/// More segments than fit on any disk.
const LOG_SEGMENTS_KEPT_MAX: u64 = 1_000_000;
/// The most workers, runs at a time and runs that wait.
const NUMBER_MAX: usize = 10_000_000;
/// The most bytes of the result cache: more than any node has.
const CACHE_BYTES_MAX: usize = 1 << 40;
/// The longest drain: an hour.
const DRAIN_MS_MAX: u64 = 3_600_000;
/// The longest name of a node.
const NODE_CHARS_MAX: usize = 64;

impl Settings {
    /// Makes settings of what was given, with defaults for the rest.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first value that can't be used, with its origin.
    pub fn read(sources: &Sources) -> Result<Self, Error> {
        let mut settings = Self::default();
        put(sources, "data_dir", &mut settings.data_dir, |text| {
            if text.is_empty() { Err("a path".to_owned()) } else { Ok(text.into()) }
        })?;
        put(sources, "listen", &mut settings.listen, address)?;
        put(sources, "fsync", &mut settings.journal.fsync, fsync)?;
        put(sources, "partitions", &mut settings.journal.partitions, partitions)?;
        put(sources, "archive", &mut settings.journal.archive, truth)?;
        put(sources, "archive_directory", &mut settings.journal.archive_directory, path)?;
        put(sources, "log_segments_kept", &mut settings.journal.log_segments_kept, segments)?;
        put(sources, "drain", &mut settings.drain, drain)?;
        put(sources, "max_workers", &mut settings.workers_max, |text| number(text, 1))?;
        put(sources, "max_parallel_workflows", &mut settings.slots.runs_max, |text| {
            if text == "off" { Ok(None) } else { number(text, 1).map(Some) }
        })?;
        put(sources, "queue_size", &mut settings.slots.queue_max, |text| number(text, 0))?;
        put(sources, "result_cache_bytes", &mut settings.cache_bytes_max, cache_bytes)?;
        put(sources, "breakers", &mut settings.breakers, breakers)?;
        put(sources, "fault_injection", &mut settings.fault_injection, truth)?;
        put(sources, "shutdown", &mut settings.shutdown, shutdown)?;
        put(sources, "log_level", &mut settings.log_level, log::log_level)?;
        put(sources, "log_format", &mut settings.log_format, log::log_format)?;
        put(sources, "log_buffer_bytes", &mut settings.log_buffer_bytes, log::log_buffer_bytes)?;
        put(sources, "allow_unauthenticated", &mut settings.allow_unauthenticated, truth)?;
        put(sources, "rate_limit_address", &mut settings.rate_limit_address, rate::read)?;
        put(sources, "rate_limit_caller", &mut settings.rate_limit_caller, rate::read)?;
        put(sources, "private_hosts", &mut settings.private_hosts, private_hosts::read)?;
        put(sources, "allowed_hosts", &mut settings.allowed_hosts, hosts)?;
        put(sources, "node", &mut settings.node, node)?;
        put(sources, "dlq_alarm_letters", &mut settings.letter_alarm.letters, letters)?;
        put(sources, "dlq_alarm_age", &mut settings.letter_alarm.age_ms, age)?;
        put(sources, "metrics", &mut settings.metrics, truth)?;
        put(sources, "metrics_names", &mut settings.metric_names, |text| {
            MetricNames::of_word(text).ok_or_else(|| "all or own".to_owned())
        })?;
        put(sources, "retention", &mut settings.retention.policy, policy)?;
        put(sources, "retention_interval", &mut settings.retention.sweep_every, interval)?;
        put(sources, "archive_keep_for", &mut settings.retention.archive_keep_for, keep_for)?;
        put(sources, "backup_directory", &mut settings.backup_directory, path)?;
        put(sources, "environment", &mut settings.policies.environment, environment::name)?;
        put(sources, "environments", &mut settings.policies.environments, environment::all)?;
        put(sources, "webhook_secrets", &mut settings.webhook_secrets, path)?;
        put(sources, "secrets_dir", &mut settings.secrets_dir, path)?;
        settings.authentication = Authentication::read(sources)?;
        settings.tls = Tls::read(sources)?;
        settings.outgoing = Outgoing::read(sources)?;
        settings.otlp = Otlp::read(sources)?;
        settings.log_collector = LogCollector::read(sources)?;
        settings.effective = effective(sources);
        Ok(settings)
    }
}

/// Reads one setting; `read` fails with what would have been right.
fn put<T>(
    sources: &Sources,
    key: &str,
    setting: &mut T,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<(), Error> {
    let Some(given) = sources.get(key) else { return Ok(()) };
    *setting = read(given.text.trim()).map_err(|wanted| {
        Error::Setting(format!("{}: `{}` must be {wanted}", given.origin, given.text))
    })?;
    Ok(())
}

fn path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() { Err("a path".to_owned()) } else { Ok(Some(text.into())) }
}

fn policy(text: &str) -> Result<Option<Policy>, String> {
    let wrong = |problems: Vec<Problem>| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        format!("a retention policy as JSON; {first}")
    };
    Policy::read_text(text).map(Some).map_err(wrong)
}

fn letters(text: &str) -> Result<Option<u64>, String> {
    if text == "off" {
        return Ok(None);
    }
    let number = u64::from_str(text).ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| "off, or a whole number from 1".to_owned())
}

fn age(text: &str) -> Result<Option<u64>, String> {
    if text == "off" {
        return Ok(None);
    }
    let ms = parse_duration_ms(text).ok().filter(|ms| *ms > 0);
    ms.map(Some).ok_or_else(|| "off, or a duration such as 24h".to_owned())
}

fn interval(text: &str) -> Result<Option<Duration>, String> {
    let wanted = || "off, or a duration from 1s to 30d".to_owned();
    if text == "off" {
        return Ok(None);
    }
    let ms = parse_duration_ms(text).map_err(|_| wanted())?;
    let range = 1_000..=INTERVAL_MS_MAX;
    Some(ms)
        .filter(|ms| range.contains(ms))
        .map(|ms| Some(Duration::from_millis(ms)))
        .ok_or_else(wanted)
}

fn keep_for(text: &str) -> Result<Option<Duration>, String> {
    let wanted = || "off, or a duration of at least 1m, such as 30d".to_owned();
    if text == "off" {
        return Ok(None);
    }
    let ms = parse_duration_ms(text).ok().filter(|ms| *ms >= 60_000);
    ms.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(wanted)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.replacen("localhost:", "127.0.0.1:", 1);
    numeric.parse().map_err(|_| "an address and a port, such as 127.0.0.1:8080".to_owned())
}

fn fsync(text: &str) -> Result<Fsync, String> {
    let wanted = || format!("always, interval:<1 to {FSYNC_INTERVAL_MS_MAX} ms> or never");
    match text {
        "always" => Ok(Fsync::Always),
        "never" => Ok(Fsync::Never),
        _ => {
            let ms = text.strip_prefix("interval:").and_then(|ms| ms.parse().ok());
            let ms = ms.filter(|ms| (1..=FSYNC_INTERVAL_MS_MAX).contains(ms));
            ms.map(|ms| Fsync::Interval { ms }).ok_or_else(wanted)
        }
    }
}

fn partitions(text: &str) -> Result<u16, String> {
    let number = u16::from_str(text).ok().filter(|number| (1..=PARTITIONS_MAX).contains(number));
    number.ok_or_else(|| format!("a whole number from 1 to {PARTITIONS_MAX}"))
}

fn segments(text: &str) -> Result<u64, String> {
    let number = u64::from_str(text).ok().filter(|number| *number <= LOG_SEGMENTS_KEPT_MAX);
    number.ok_or_else(|| format!("a whole number up to {LOG_SEGMENTS_KEPT_MAX}"))
}

fn number(text: &str, least: usize) -> Result<usize, String> {
    let number = usize::from_str(text).ok().filter(|own| (least..=NUMBER_MAX).contains(own));
    number.ok_or_else(|| format!("a whole number from {least} to {NUMBER_MAX}"))
}

fn cache_bytes(text: &str) -> Result<usize, String> {
    let wanted = || format!("off, or a whole number of bytes up to {CACHE_BYTES_MAX}");
    if text == "off" {
        return Ok(0);
    }
    usize::from_str(text).ok().filter(|own| *own <= CACHE_BYTES_MAX).ok_or_else(wanted)
}

fn breakers(text: &str) -> Result<Breakers, String> {
    let own = Breakers::default();
    if matches!(text, "on" | "true") {
        return Ok(own);
    }
    if matches!(text, "off" | "false") {
        return Ok(Breakers { enabled: false, ..own });
    }
    let wrong = |problems: &[Problem]| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        format!(
            "on, off, or rules as JSON such as {{\"failures\": 5, \"open_for\": \"30s\"}}; {first}"
        )
    };
    let value = parse(text.as_bytes(), Format::Json).map_err(|problem| wrong(&[problem]))?;
    let policy = read_breaker_rules(&value).map_err(|problems| wrong(&problems))?;
    Ok(Breakers { enabled: true, rules: policy.rules(&own.rules) })
}

fn drain(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).ok().filter(|ms| *ms <= DRAIN_MS_MAX);
    ms.map(Duration::from_millis).ok_or_else(|| "a duration up to 1h, such as 10s".to_owned())
}

fn shutdown(text: &str) -> Result<Shutdown, String> {
    match text {
        "drain" => Ok(Shutdown::Drain),
        "cancel" => Ok(Shutdown::Cancel),
        _ => Err("drain or cancel".to_owned()),
    }
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "true or false".to_owned())
}

fn hosts(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let is_name = |name: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        !name.is_empty() && name.chars().all(plain)
    };
    let all = names.iter().all(is_name);
    if all { Ok(names) } else { Err("host names without ports, with commas between".to_owned()) }
}

fn node(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= NODE_CHARS_MAX && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(format!("1 to {NODE_CHARS_MAX} letters, digits, dots, dashes or underscores"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(
        flags: &[(&'static str, &str)],
        variables: &[(&str, &str)],
        file: Option<&str>,
    ) -> Result<Settings, String> {
        let flags: Vec<_> =
            flags.iter().map(|(key, text)| (*key, Some((*text).to_owned()))).collect();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let mut written = tempfile::NamedTempFile::new().expect("a temporary file");
        written.write_all(file.unwrap_or_default().as_bytes()).expect("room for it");
        let path = file.map(|_| written.path());
        let sources = Sources::gather(&flags, variable, path).map_err(|error| error.to_string())?;
        Settings::read(&sources).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file = Some("listen: 127.0.0.1:1\ndrain: 1s\npartitions: 4\nallowed_hosts: [a, b.c]");
        let variables = [("BACKSTITCH_LISTEN", "127.0.0.1:2"), ("BACKSTITCH_DRAIN", "2s")];
        let settings = read(&[("listen", "localhost:3")], &variables, file).expect("all is well");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3");
        assert_eq!(settings.drain, Duration::from_secs(2));
        assert_eq!(settings.journal.partitions, 4);
        assert_eq!(settings.allowed_hosts, ["a", "b.c"]);
        assert_eq!(settings.journal.fsync, Fsync::Always);
    }

    #[test]
    fn a_policy_is_an_object_in_the_file_and_json_elsewhere() {
        let file =
            Some("retention: { rules: [{ name: old, keep_for: 30d }] }\narchive_keep_for: 7d");
        let variables = [("BACKSTITCH_RETENTION_INTERVAL", "1h")];
        let own = read(&[], &variables, file).expect("all is well").retention;
        assert_eq!(own.policy.as_ref().map(|policy| policy.rules[0].name.as_str()), Some("old"));
        assert_eq!(own.sweep_every, Some(Duration::from_secs(3_600)));
        assert_eq!(own.archive_keep_for, Some(Duration::from_secs(7 * 86_400)));
        let json = r#"{"rules":[{"name":"n","keep_count":1}]}"#;
        let given = read(&[("retention", json)], &[], file).expect("all is well").retention;
        assert_eq!(given.policy.map(|policy| policy.rules[0].keep_count), Some(Some(1)));
        let wrong = read(&[("retention", r#"{"rules":[{"keep_for":"x"}]}"#)], &[], None);
        assert!(wrong.is_err_and(|why| why.contains("rules[0]")));
    }

    #[test]
    fn breakers_are_on_or_off_or_have_rules() {
        let of = |text: &str| read(&[("breakers", text)], &[], None).expect("all is well").breakers;
        assert_eq!(of("on"), Breakers::default());
        assert!(!of("off").enabled);
        let file = Some("breakers: { failures: 5, open_for: 1m, retry_ratio: 0.1 }");
        let own = read(&[], &[], file).expect("all is well").breakers;
        assert_eq!((own.rules.failures, own.rules.open_ms, own.rules.calls), (5, 60_000, 20));
        assert_eq!((own.enabled, own.rules.retry_ratio), (true, Some(0.1)));
    }

    #[test]
    fn bad_values_name_themselves_and_their_origin() {
        let wrong = |flags: &[(&'static str, &str)], variables: &[(&str, &str)], file| {
            read(flags, variables, file).expect_err("a bad value")
        };
        assert_eq!(
            wrong(&[("fsync", "sometimes")], &[], None),
            "--fsync: `sometimes` must be always, interval:<1 to 60000 ms> or never"
        );
        assert_eq!(
            wrong(&[], &[("BACKSTITCH_PARTITIONS", "0")], None),
            "BACKSTITCH_PARTITIONS: `0` must be a whole number from 1 to 1024"
        );
        let unknown = wrong(&[], &[], Some("lisen: 127.0.0.1:1"));
        assert!(unknown.ends_with("unknown setting `lisen`; did you mean `listen`?"), "{unknown}");
        let nested = wrong(&[], &[], Some("listen: {a: b}"));
        assert!(nested.contains("`listen` must be a single value"), "{nested}");
        for (key, text) in [
            ("listen", "8080"),
            ("archive", "on"),
            ("archive_directory", ""),
            ("log_segments_kept", "-1"),
            ("drain", "10"),
            ("drain", "2h"),
            ("shutdown", "now"),
            ("fsync", "interval:0"),
            ("log_level", "loud,,="),
            ("log_level", "loud"),
            ("log_level", "info,hyper"),
            ("log_format", "xml"),
            ("log_buffer_bytes", "1"),
            ("allow_unauthenticated", "yes"),
            ("rate_limit_address", "100"),
            ("rate_limit_caller", "on"),
            ("private_hosts", "deny except 10.0.0.0/33"),
            ("private_hosts", "no"),
            ("allowed_hosts", "a:80"),
            ("node", "a b"),
            ("retention", "for ever"),
            ("retention_interval", "1"),
            ("archive_keep_for", "1s"),
            ("breakers", "sometimes"),
            ("breakers", "{\"failures\": 0}"),
            ("breakers", "{\"key\": \"x\"}"),
        ] {
            assert!(read(&[(key, text)], &[], None).is_err(), "{key} {text}");
        }
    }
}
