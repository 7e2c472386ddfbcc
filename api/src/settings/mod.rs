//! What the server can be told, and who says it: flags over environment over file over
//! defaults.
//!
//! Read once; the rest of the program gets plain data. A wrong value names its origin.

mod read;
mod sources;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use backstitch_journal::{Fsync, Options};

pub use sources::{CONFIG_FILE, Given, KEYS, Sources};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// For a program: one object a line.
    Json,
}

/// The server's settings, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the journal is.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// When a commit is acknowledged.
    pub fsync: Fsync,
    /// Partitions of a new journal; one that exists keeps its own.
    pub partitions: u16,
    /// How long a shutdown waits for attempts under way.
    pub drain: Duration,
    /// What is logged: a level, or directives such as `info,backstitch_saga=debug`.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Whether to listen beyond loopback although there is no authentication.
    pub allow_unauthenticated: bool,
    /// Names, beside its own, that the server answers to.
    pub allowed_hosts: Vec<String>,
    /// The name of this node.
    pub node: String,
}

impl Default for Settings {
    fn default() -> Self {
        let options = Options::default();
        Self {
            data_dir: PathBuf::from("backstitch-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            fsync: options.fsync,
            partitions: options.partitions,
            drain: Duration::from_secs(10),
            log_level: "info".to_owned(),
            log_format: LogFormat::Text,
            allow_unauthenticated: false,
            allowed_hosts: Vec::new(),
            node: "local".to_owned(),
        }
    }
}

impl Settings {
    /// The journal's part of the settings.
    #[must_use]
    pub fn journal_options(&self) -> Options {
        Options { fsync: self.fsync, partitions: self.partitions, ..Options::default() }
    }

    /// The fsync policy as it is written in settings.
    #[must_use]
    pub fn fsync_word(&self) -> String {
        match self.fsync {
            Fsync::Always => "always".to_owned(),
            Fsync::Interval { ms } => format!("interval:{ms}"),
            Fsync::Never => "never".to_owned(),
        }
    }
}
