//! Where settings come from, before anything is made of them.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_core::yaml::{Format, parse};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::nearest::unknown;

/// The file that is read if it is there and no other is named.
pub const CONFIG_FILE: &str = "backstitch.yaml";
/// Names the configuration file from the environment.
const CONFIG_VARIABLE: &str = "BACKSTITCH_CONFIG";

/// Every setting: the key of the file. The flag has dashes for underscores, the variable is
/// `BACKSTITCH_` and capitals.
pub const KEYS: [&str; 39] = [
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
    "allowed_hosts",
    "node",
    "dlq_alarm_letters",
    "dlq_alarm_age",
    "metrics_names",
    "retention",
    "retention_interval",
    "archive_keep_for",
    "backup_directory",
];

/// Variables of document 002 that hold a secret, and the settings that name them then.
const SECRET_VARIABLES: [(&str, &str); 2] =
    [("ORCHESTRATOR_JWT_SECRET", "jwt_secret"), ("ORCHESTRATOR_API_KEY", "api_key")];

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
            None if Path::new(CONFIG_FILE).is_file() => sources.add_file(Path::new(CONFIG_FILE))?,
            None => {}
        }
        for (origin, key) in SECRET_VARIABLES {
            if variable(origin).is_some_and(|text| !text.is_empty()) {
                let (text, origin) = (format!("env:{origin}"), origin.to_owned());
                sources.given.insert(key, Given { text, origin });
            }
        }
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
        for (name, value) in flat(values) {
            let Some(key) = KEYS.into_iter().find(|key| *key == name) else {
                return Err(wrong(unknown("setting", &name, &KEYS)));
            };
            // Rules are more than a word.
            let ruled = ["retention", "breakers"].contains(&key) && value.is_object();
            let policy = ruled.then(|| value.to_string());
            let text = policy
                .or_else(|| as_text(&value))
                .ok_or_else(|| wrong(format!("`{key}` must be a single value, not {value}")))?;
            self.given.insert(key, Given { text, origin: format!("`{key}` in {file}") });
        }
        Ok(())
    }
}

/// What is written below `metrics` as if it were beside it.
fn flat(values: Map<String, Value>) -> Vec<(String, Value)> {
    let flatten = |(name, value): (String, Value)| match value {
        Value::Object(own) if name == "metrics" => {
            own.into_iter().map(|(below, value)| (format!("{name}_{below}"), value)).collect()
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
