//! Why a command ended without doing its work, and with which exit code.

use std::io;
use std::net::SocketAddr;

/// Exit codes, as `backstitch --help` lists them.
pub mod exit {
    /// The command failed, or what it checked is wrong.
    pub const FAILED: u8 = 1;
    /// The command line, the environment or the configuration file is wrong.
    pub const USAGE: u8 = 2;
    /// The data directory can't be used: locked, foreign, unwritable, full or damaged.
    pub const DATA_DIRECTORY: u8 = 3;
    /// The address is in use, is not there, or may not be listened on.
    pub const ADDRESS: u8 = 4;
    /// The journal failed while the server ran.
    pub const JOURNAL: u8 = 5;
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
         submit, cancel and read everything. Listen on 127.0.0.1, or say --allow-unauthenticated \
         (BACKSTITCH_ALLOW_UNAUTHENTICATED=true) if only trusted hosts reach the port"
    )]
    NotLoopback(SocketAddr),
    /// The engine could not be opened.
    #[error("the engine can't be opened")]
    Open(#[source] backstitch_saga::Error),
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
            Self::Setting(_) => exit::USAGE,
            Self::Open(_) => exit::DATA_DIRECTORY,
            Self::Listen { .. } | Self::NotLoopback(_) => exit::ADDRESS,
            Self::Journal(_) => exit::JOURNAL,
            Self::Failed(_)
            | Self::File { .. }
            | Self::Executors(_)
            | Self::Unreachable { .. }
            | Self::Io { .. } => exit::FAILED,
        }
    }

    /// The error with its causes, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = self.to_string();
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

    /// A failure of input or output, by what was tried.
    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
