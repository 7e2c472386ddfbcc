//! What an error comes to: the program's exit code, and the whole story in one line.

use std::error::Error as _;
use std::path::Path;

use super::{Error, exit};

impl Error {
    /// The program's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadId { .. }
            | Self::BadServer { .. }
            | Self::BadToken
            | Self::BadCertificate { .. }
            | Self::Misplaced { .. } => exit::USAGE,
            Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::NoVersion { .. }
            | Self::NoPoint { .. }
            | Self::NoLetter { .. }
            | Self::Rejected { .. }
            | Self::BadInput { .. }
            | Self::Executors(_)
            | Self::Quarantined { .. }
            | Self::NotRecorded { .. }
            | Self::File { .. }
            | Self::NoParent { .. }
            | Self::Taken { .. }
            | Self::Output(_)
            | Self::BadExport { .. }
            | Self::ImportStopped { .. }
            | Self::NoFile { .. }
            | Self::BadPolicy { .. }
            | Self::BadKey { .. }
            | Self::TooManyKeys { .. }
            | Self::NoRandom
            | Self::NoPolicy
            | Self::Future { .. }
            | Self::Unread { .. }
            | Self::Refused { .. }
            | Self::Journal(backstitch_journal::Error::Point { .. })
            | Self::Unfolded { .. } => exit::NO,
            Self::Unreachable { .. }
            | Self::BrokeOff { .. }
            | Self::NoBackstitch { .. }
            | Self::Unavailable { .. }
            | Self::Unauthorized { .. } => exit::SERVER,
            Self::NoDirectory { .. }
            | Self::NoStore { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::Identity { .. }
            | Self::Damaged { .. }
            | Self::Journal(_) => exit::DIRECTORY,
        }
    }

    /// What went wrong with something made of a directory's files at one of these places: that
    /// they cannot be written is another matter than that the directory cannot be read.
    #[must_use]
    pub fn of_output(error: backstitch_journal::Error, outputs: &[&Path]) -> Self {
        use backstitch_journal::Error as Journal;
        let path = match &error {
            Journal::Target { .. } => return Self::Output(error),
            Journal::Full { path, .. }
            | Journal::Denied { path, .. }
            | Journal::Io { path, .. } => path,
            _ => return error.into(),
        };
        // Directories above it are made as well, and what is made lies beside it at first.
        let concerns = |output: &&&Path| {
            let begins = path.to_string_lossy().starts_with(&*output.to_string_lossy());
            begins || output.starts_with(path)
        };
        match outputs.iter().any(|output| concerns(&output)) {
            true => Self::Output(error),
            false => error.into(),
        }
    }

    /// The whole story in one line, causes included.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        line
    }
}

impl From<backstitch_journal::Error> for Error {
    fn from(error: backstitch_journal::Error) -> Self {
        match error {
            backstitch_journal::Error::Locked { directory } => Self::Locked { directory },
            backstitch_journal::Error::Foreign { directory, detail } => {
                Self::Foreign { directory, detail }
            }
            backstitch_journal::Error::Identity { path, detail } => Self::Identity { path, detail },
            backstitch_journal::Error::Damaged { damage } => Self::Damaged { damage },
            other => Self::Journal(other),
        }
    }
}
