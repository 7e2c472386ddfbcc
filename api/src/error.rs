//! Why a command ended without doing its work, and with which exit code.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::nearest::unknown;

/// Exit codes, as `backstitch --help` lists them.
pub mod exit {
    /// The command failed, or what it checked is wrong.
    pub const FAILED: u8 = 1;
    /// The command line, the environment or the configuration file is wrong, or a file that
    /// they name can't be read.
    pub const USAGE: u8 = 2;
    /// The data directory can't be used: locked, foreign, unwritable, full or damaged.
    pub const DATA_DIRECTORY: u8 = 3;
    /// The address is in use, is not there, or may not be listened on.
    pub const ADDRESS: u8 = 4;
    /// The journal failed while the server ran.
    pub const JOURNAL: u8 = 5;
    /// A second signal ended the process at once.
    pub const SIGNALLED: u8 = 130;
}

/// Whether the system's word is about where the directory is, not about what is in it.
fn is_about_the_path(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, NotADirectory, NotFound};
    matches!(kind, AlreadyExists | InvalidFilename | NotADirectory | NotFound)
}

/// What is wrong with a path, and what to do.
fn remedy(directory: &Path, source: &io::Error) -> String {
    let taken = directory.ancestors().find(|part| part.exists() && !part.is_dir());
    match taken {
        Some(file) => format!("{} is a file; name a directory", file.display()),
        None => format!("{source}; name a directory that can be made"),
    }
}

/// Why a command ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong; the sentence says which and where it stands.
    #[error("{0}")]
    Setting(String),
    /// The command's own work did not succeed; the sentence says how.
    #[error("{0}")]
    Failed(String),
    /// A server refused what it was asked.
    #[error("{sentence}")]
    Refused {
        /// The status of its answer.
        status: reqwest::StatusCode,
        /// Its error code.
        code: String,
        /// What it said, every problem on a line of its own.
        sentence: String,
    },
    /// A file can't be read.
    #[error("{file} can't be read")]
    File {
        /// As given.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address can't be listened on.
    #[error("{address} can't be listened on; stop what uses it, or give another --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Without authentication the server stays on loopback.
    #[error(
        "{0} is not a loopback address, and there is no authentication: whoever reaches it could \
         submit, cancel and read everything. Say --authentication on (see docs/authentication.md), \
         listen on 127.0.0.1, or say --allow-unauthenticated \
         (BACKSTITCH_ALLOW_UNAUTHENTICATED=true) if only trusted hosts reach the port"
    )]
    NotLoopback(SocketAddr),
    /// The data directory can't be used; the journal's words say why and what to do.
    #[error(transparent)]
    DataDirectory(backstitch_journal::Error),
    /// The system refused the data directory.
    #[error(
        "the data directory {} can't be used: {}", directory.display(), remedy(directory, cause)
    )]
    DataPath {
        /// As configured.
        directory: PathBuf,
        /// What the system said; part of the sentence.
        cause: io::Error,
    },
    /// The engine can't go on from what is in the journal.
    #[error(transparent)]
    Open(backstitch_saga::Error),
    /// The executors could not be set up.
    #[error("the executors can't be set up")]
    Executors(#[from] backstitch_executors::Error),
    /// The journal failed while the server ran.
    #[error(
        "the journal failed and the server stopped: {0}. What was acknowledged is durable; \
         mend the cause and start again"
    )]
    Journal(String),
    /// A request to a server failed.
    #[error("{url} did not answer; is a server running there?")]
    Unreachable {
        /// The server's URL.
        url: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// What answered is something else.
    #[error("{url} answered ({status}), but it is no Backstitch server; check --server")]
    Foreign {
        /// The server's URL.
        url: String,
        /// What it answered with.
        status: reqwest::StatusCode,
    },
    /// Output could not be written, or a process not started.
    #[error("{action} failed")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::File { .. } => exit::USAGE,
            Self::DataDirectory(_) | Self::DataPath { .. } | Self::Open(_) => exit::DATA_DIRECTORY,
            Self::Listen { .. } | Self::NotLoopback(_) => exit::ADDRESS,
            Self::Journal(_) => exit::JOURNAL,
            Self::Failed(_)
            | Self::Refused { .. }
            | Self::Executors(_)
            | Self::Unreachable { .. }
            | Self::Foreign { .. }
            | Self::Io { .. } => exit::FAILED,
        }
    }

    /// The error with its causes, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
        if self.tells_its_cause() {
            return sentence;
        }
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let text = cause.to_string();
            if !sentence.ends_with(&text) {
                sentence = format!("{sentence}: {text}");
            }
            source = cause.source();
        }
        sentence
    }

    /// Whether the sentence says what the system said, in words of its own.
    fn tells_its_cause(&self) -> bool {
        use backstitch_journal::Error::{Denied, Full};
        matches!(self, Self::DataDirectory(Full { .. } | Denied { .. }))
    }

    /// Why the engine could not be opened over a data directory.
    pub(crate) fn opening(directory: &Path, error: backstitch_saga::Error) -> Self {
        match error {
            backstitch_saga::Error::Journal(backstitch_journal::Error::Io { source, .. })
                if is_about_the_path(source.kind()) =>
            {
                Self::DataPath { directory: directory.to_owned(), cause: source }
            }
            backstitch_saga::Error::Journal(error) => Self::DataDirectory(error),
            backstitch_saga::Error::UnknownEnvironment { name, known } => {
                let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
                Self::Setting(unknown("environment", &name, &known))
            }
            other => Self::Open(other),
        }
    }

    /// A failure of input or output, by what was tried.
    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
