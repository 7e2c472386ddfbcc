//! Where settings come from, before anything is made of them.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_core::yaml::{Format, parse};
use serde_json::{Map, Value};

use super::LISTEN_DEFAULT;
use super::foreign::{self, Idle, SECTIONS, Said};
use super::tls::KEYS as TLS_KEYS;
use crate::error::Error;
use crate::nearest::unknown;

/// The files of which the first that is there is read if no other is named: our own, and those
/// that document 002 names.
pub const CONFIG_FILES: [&str; 3] =
    ["backstitch.yaml", "config/orchestrator.yaml", SHARED_CONFIG_FILE];
/// A file that other programs have a part in, so that it has sections which are not ours.
const SHARED_CONFIG_FILE: &str = "config/app.yaml";
/// What an environment may say without effect, and how each spelling of it ends.
const THRESHOLD: &str = "environments.man-mode-threshold";
const THRESHOLD_ENDING: &str = "threshold\"";
/// Names the configuration file from the environment.
const CONFIG_VARIABLE: &str = "BACKSTITCH_CONFIG";

/// Every setting: the key of the file. The flag has dashes for underscores, the variable is
/// `BACKSTITCH_` and capitals.
pub const KEYS: [&str; 56] = [
    "data_dir",
    "listen",
    "fsync",
    "partitions",
    "archive",
    "archive_directory",
    "log_segments_kept",
    "drain",
    "max_workers",
    "max_parallel_workflows",
    "queue_size",
    "result_cache_bytes",
    "breakers",
    "fault_injection",
    "shutdown",
    "log_level",
    "log_format",
    "log_buffer_bytes",
    "log_collector_url",
    "log_collector_headers",
    "allow_unauthenticated",
    "authentication",
    "api_key",
    "jwt_secret",
    "jwt_jwks",
    "jwt_jwks_refresh",
    "jwt_issuer",
    "jwt_audience",
    "jwt_leeway",
    "jwt_require_namespace",
    "tls_certificate",
    "tls_key",
    "tls_client_ca",
    "outgoing_certificate",
    "outgoing_certificate_hosts",
    "outgoing_ca",
    "rate_limit_address",
    "rate_limit_caller",
    "private_hosts",
    "allowed_hosts",
    "webhook_secrets",
    "secrets_dir",
    "node",
    "dlq_alarm_letters",
    "dlq_alarm_age",
    "metrics",
    "metrics_names",
    "otlp_endpoint",
    "otlp_headers",
    "otlp_service_name",
    "retention",
    "retention_interval",
    "archive_keep_for",
    "backup_directory",
    "environment",
    "environments",
];

/// A value as it was given, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As written.
    pub text: String,
    /// `--listen`, `BACKSTITCH_LISTEN`, `listen in backstitch.yaml`.
    pub origin: String,
}

/// What was given for each key; the strongest origin wins.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    given: BTreeMap<&'static str, Given>,
    idle: Vec<Idle>,
    wants_tls: Option<String>,
}

impl Sources {
    /// Gathers flags, environment and file. `file` is the `--config` flag's.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::File`] when the file can't be used.
    pub fn gather(
        flags: &[(&'static str, Option<String>)],
        variable: impl Fn(&str) -> Option<String>,
        file: Option<&Path>,
    ) -> Result<Self, Error> {
        let named = file.map(Path::to_owned).or_else(|| variable(CONFIG_VARIABLE).map(Into::into));
        let mut sources = Self::default();
        match &named {
            Some(path) => sources.add_file(path)?,
            None => {
                let there = CONFIG_FILES.into_iter().map(Path::new).find(|path| path.is_file());
                there.map_or(Ok(()), |path| sources.add_file(path))?;
            }
        }
        sources.add_foreign(&Said::of_variables(&variable));
        for key in KEYS {
            let origin = format!("BACKSTITCH_{}", key.to_uppercase());
            if let Some(text) = variable(&origin).filter(|text| !text.is_empty()) {
                sources.given.insert(key, Given { text, origin });
            }
        }
        for (key, text) in flags {
            let origin = format!("--{}", key.replace('_', "-"));
            if let Some(text) = text.clone() {
                sources.given.insert(key, Given { text, origin });
            }
        }
        Ok(sources)
    }

    /// What was given for a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.given.get(key)
    }

    /// The same as if one key had not been given.
    pub(super) fn without(&self, key: &str) -> Self {
        let mut other = self.clone();
        other.given.remove(key);
        other
    }

    /// What was said to no effect.
    pub(super) fn idle(&self) -> &[Idle] {
        &self.idle
    }

    /// Who wants TLS, in the words of a document.
    pub(super) fn wants_tls(&self) -> Option<&str> {
        self.wants_tls.as_deref()
    }

    /// What documents' words mean, over what was given before.
    fn add_foreign(&mut self, said: &[Said]) {
        let listen = self.given.get("listen").map_or(LISTEN_DEFAULT, |own| own.text.as_str());
        let meant = foreign::meant(said, listen);
        self.given.extend(meant.given);
        self.idle.extend(meant.idle);
        if let Some((on, origin)) = meant.tls {
            if !on {
                TLS_KEYS.into_iter().for_each(|key| drop(self.given.remove(key)));
            }
            self.wants_tls = on.then_some(origin);
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let file = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|source| Error::File { file: format!("the configuration {file}"), source })?;
        let format = match path.extension().is_some_and(|extension| extension == "json") {
            true => Format::Json,
            false => Format::Yaml,
        };
        let wrong = |why: String| Error::Setting(format!("{file}: {why}"));
        let values = match parse(&text, format).map_err(|problem| wrong(problem.message))? {
            Value::Null => return Ok(()),
            Value::Object(values) => values,
            _ => return Err(wrong("must hold `key: value` lines".to_owned())),
        };
        let is_shared = path == Path::new(SHARED_CONFIG_FILE);
        let mut said = Vec::new();
        for (name, value) in flat(values) {
            let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
                let text = as_text(&value).unwrap_or_default();
                match Said::of_file(&name, text, &file) {
                    Some(own) if own.is_empty() => {}
                    Some(own) => said.push(own),
                    None if is_shared => {}
                    None => {
                        let known: Vec<_> = KEYS.into_iter().chain(foreign::names()).collect();
                        return Err(wrong(unknown("setting", &name, &known)));
                    }
                }
                continue;
            };
            // Rules are more than a word.
            let ruled =
                ["retention", "breakers", "environments"].contains(&key) && value.is_object();
            let policy = ruled.then(|| value.to_string());
            let text = policy
                .or_else(|| as_text(&value))
                .ok_or_else(|| wrong(format!("`{key}` must be a single value, not {value}")))?;
            let origin = format!("`{key}` in {file}");
            if key == "environments" && text.contains(THRESHOLD_ENDING) {
                let why = "no step waits for a person because of its risk yet";
                self.idle.push(Idle { name: THRESHOLD, origin: origin.clone(), why });
            }
            self.given.insert(key, Given { text, origin });
        }
        self.add_foreign(&said);
        Ok(())
    }
}

/// What is written below `metrics` as if it were beside it, and what is in a document's section
/// with its name.
fn flat(values: Map<String, Value>) -> Vec<(String, Value)> {
    let flatten = |(name, value): (String, Value)| match value {
        Value::Object(own) if name == "metrics" => {
            own.into_iter().map(|(below, value)| (format!("{name}_{below}"), value)).collect()
        }
        Value::Object(own) if SECTIONS.contains(&name.as_str()) => {
            own.into_iter().map(|(below, value)| (format!("{name}.{below}"), value)).collect()
        }
        value => vec![(name, value)],
    };
    values.into_iter().flat_map(flatten).collect()
}

/// A scalar as it would be written in a flag; a list of them as its words with commas.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(list) => {
            let words: Option<Vec<_>> = list.iter().map(|word| word.as_str()).collect();
            words.map(|words| words.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}
