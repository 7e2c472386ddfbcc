//! What the server can be told, and who says it: flags over environment over file over
//! defaults.
//!
//! Read once; the rest of the program gets plain data. A wrong value names its origin.

pub mod authentication;
mod collector;
mod effective;
mod environment;
mod foreign;
mod log;
mod otlp;
mod private_hosts;
mod problems;
mod rate;
mod read;
mod reloaded;
mod sources;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use backstitch_executors::PrivateHosts;
use backstitch_journal::{Fsync, Options};
use backstitch_saga::Shutdown;

pub use authentication::Authentication;
pub use collector::{Headers, LogCollector};
pub use foreign::Idle;
pub use otlp::Otlp;
pub use problems::Problems;
pub use rate::RateLimit;
pub use reloaded::{Change, Reload};
pub use sources::{CONFIG_FILES, Given, KEYS, Sources};
pub use tls::{Outgoing, Tls};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a program: one object a line.
    Json,
}

/// Under which names metrics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricNames {
    /// Our own and those of the documents.
    #[default]
    All,
    /// Our own.
    Own,
}

impl MetricNames {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 2] = [("all", Self::All), ("own", Self::Own)];

    /// What a word means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.into_iter().find(|(own, _)| *own == word).map(|(_, names)| names)
    }
}

/// When open dead letters are too many, or too old: then the server says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct LetterAlarm {
    /// So many are too many; never, if unsaid.
    pub letters: Option<u64>,
    /// One that is open for so long is too old; never, if unsaid.
    pub age_ms: Option<u64>,
}

impl Default for LetterAlarm {
    fn default() -> Self {
        Self { letters: Some(1_000), age_ms: Some(24 * 3_600_000) }
    }
}

/// The server's settings, all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the journal is.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// How the journal is written. Its partitions are those of a new one; one that exists
    /// keeps its own.
    pub journal: Options,
    /// How long a shutdown waits for attempts under way.
    pub drain: Duration,
    /// Attempts of steps and undos under way at a time.
    pub workers_max: usize,
    /// Runs that go on at a time, and how many may wait.
    pub slots: backstitch_saga::slots::Settings,
    /// Circuit breakers, and budgets of retries.
    pub breakers: backstitch_saga::breakers::Settings,
    /// Whether runs may be submitted with faults.
    pub fault_injection: bool,
    /// Bytes of answers that may stand for later attempts.
    pub cache_bytes_max: usize,
    /// What a shutdown does to runs that have not ended.
    pub shutdown: Shutdown,
    /// What is logged: a level, or directives such as `info,backstitch_saga=debug`.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// How many bytes of the newest lines are kept in memory.
    pub log_buffer_bytes: usize,
    /// Where its lines are posted, if anywhere.
    pub log_collector: Option<LogCollector>,
    /// Whether to listen beyond loopback although there is no authentication.
    pub allow_unauthenticated: bool,
    /// How callers prove who they are.
    pub authentication: Authentication,
    /// The port's TLS, if it has any.
    pub tls: Option<Tls>,
    /// What calls of services are made with over TLS, if anything is set.
    pub outgoing: Option<Outgoing>,
    /// How often one address may ask.
    pub rate_limit_address: Option<RateLimit>,
    /// How often one caller may ask who has proven who they are.
    pub rate_limit_caller: Option<RateLimit>,
    /// Whether private hosts are called where a run's data names them; as authentication has it
    /// if nothing is said.
    pub private_hosts: Option<PrivateHosts>,
    /// The file of secrets that callbacks are signed with; they are not signed without it.
    pub webhook_secrets: Option<PathBuf>,
    /// The folder of secrets that steps refer to.
    pub secrets_dir: Option<PathBuf>,
    /// Names, beside its own, that the server answers to.
    pub allowed_hosts: Vec<String>,
    /// The name of this node.
    pub node: String,
    /// How long runs are kept.
    pub retention: backstitch_saga::retention::Settings,
    /// Where it runs: the name of its environment, and those of the configuration file.
    pub policies: backstitch_saga::policies::Settings,
    /// When open dead letters are too many, or too old.
    pub letter_alarm: LetterAlarm,
    /// Whether there are metrics.
    pub metrics: bool,
    /// Under which names metrics are printed.
    pub metric_names: MetricNames,
    /// Where spans are sent, if anywhere.
    pub otlp: Option<Otlp>,
    /// Where backups asked for by HTTP may go; without it they are off.
    pub backup_directory: Option<PathBuf>,
    /// All of this as it was said, and by whom.
    pub effective: serde_json::Value,
}

/// How many bytes of the log are kept in memory if nobody says otherwise.
const LOG_BUFFER_BYTES_DEFAULT: usize = 4 * 1024 * 1024;
/// Where to listen if nobody says otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("backstitch-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            journal: Options::default(),
            drain: Duration::from_secs(10),
            workers_max: backstitch_saga::driver::ATTEMPTS_MAX,
            slots: backstitch_saga::slots::Settings::default(),
            breakers: backstitch_saga::breakers::Settings::default(),
            fault_injection: false,
            cache_bytes_max: backstitch_saga::cache::CACHE_BYTES_DEFAULT,
            shutdown: Shutdown::default(),
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            log_buffer_bytes: LOG_BUFFER_BYTES_DEFAULT,
            log_collector: None,
            allow_unauthenticated: false,
            authentication: Authentication::default(),
            tls: None,
            outgoing: None,
            rate_limit_address: None,
            rate_limit_caller: None,
            private_hosts: None,
            webhook_secrets: None,
            secrets_dir: None,
            allowed_hosts: Vec::new(),
            node: "local".to_owned(),
            retention: backstitch_saga::retention::Settings::default(),
            policies: backstitch_saga::policies::Settings::default(),
            letter_alarm: LetterAlarm::default(),
            metrics: true,
            metric_names: MetricNames::default(),
            otlp: None,
            backup_directory: None,
            effective: serde_json::Value::Null,
        }
    }
}

impl Settings {
    /// The fsync policy as it is written in settings.
    #[must_use]
    pub fn fsync_word(&self) -> String {
        match self.journal.fsync {
            Fsync::Always => "always".to_owned(),
            Fsync::Interval { ms } => format!("interval:{ms}"),
            Fsync::Never => "never".to_owned(),
        }
    }
}
