//! Lines for a person, with colours where a terminal shows them.

use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};

use crate::error::Error;

/// What a word is to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// Of less interest.
    Faint,
    /// A heading.
    Strong,
    /// It went well.
    Good,
    /// It went otherwise than hoped, and is being dealt with.
    Odd,
    /// It went wrong.
    Bad,
}

/// A text without control characters, which could tell a terminal what to do.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|own| !own.is_control()).collect()
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    colours: bool,
}

impl Terminal {
    /// With colours if a terminal is there and `NO_COLOR` is not set.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self { colours: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    /// Prints a line. A reader that has gone away is no failure.
    ///
    /// # Errors
    /// [`Error::Io`] when it can't be written.
    pub fn line(&self, text: &str) -> Result<(), Error> {
        let mut out = stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::io("writing to standard output")(error))
            }
            _ => Ok(()),
        }
    }

    /// Shows a line that the next one takes the place of, if somebody looks on.
    ///
    /// # Errors
    /// [`Error::Io`] when it can't be written.
    pub fn passing(&self, text: &str) -> Result<(), Error> {
        let mut out = stdout().lock();
        if !out.is_terminal() {
            return Ok(());
        }
        match write!(out, "\r\u{1b}[2K{text}\r").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::io("writing to standard output")(error))
            }
            _ => Ok(()),
        }
    }

    /// A text in its tone.
    #[must_use]
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Faint => 2,
            Tone::Strong => 1,
            Tone::Good => 32,
            Tone::Odd => 33,
            Tone::Bad => 31,
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
