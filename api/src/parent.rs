//! A server and the process that started it: what they tell one another over the server's
//! standard input and output, a line each.
//!
//! The server says where it listens, and that it is held up; it hears where it is to be held up,
//! and ends when its standard input closes, however the other process ended. For the demo and for
//! tests of workflows; a server that people start knows nothing of it.

use std::io::BufRead as _;

use backstitch_saga::hold::{Held, Hold, Moment};
use tokio::sync::mpsc;

/// Internal: a variable with which a process that starts a server says that it is its parent.
pub(crate) const EXIT_WITH_PARENT: &str = "BACKSTITCH_EXIT_WITH_PARENT";

/// Lines that are heard ahead.
const LINES_MAX: usize = 16;

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It has its address; it need not be ready yet.
    Listens(String),
    /// It heard where it is to be held up.
    Holds,
    /// It is held up.
    Held(Held),
}

impl Said {
    /// As a line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Listens(address) => format!("listens {address}"),
            Self::Holds => "holds".to_owned(),
            Self::Held(own) => format!("held {} {}", own.recorded, own.waiting),
        }
    }

    /// Of a line; nothing of one that says something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["listens", address] => Some(Self::Listens((*address).to_owned())),
            ["holds"] => Some(Self::Holds),
            ["held", recorded, waiting] => Some(Self::Held(Held {
                recorded: recorded.parse().ok()?,
                waiting: waiting.parse().ok()?,
            })),
            _ => None,
        }
    }
}

/// What the server hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is to be held up once so many more records are durable.
    Hold(u64, Moment),
    /// It is to be held up no more.
    Lift,
}

impl Heard {
    /// As a line.
    pub(crate) fn line(self) -> String {
        match self {
            Self::Hold(records, Moment::Before) => format!("hold {records} before\n"),
            Self::Hold(records, Moment::Behind) => format!("hold {records} behind\n"),
            Self::Lift => "lift\n".to_owned(),
        }
    }

    /// Of a line; nothing of one that says something else.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["hold", records, "before"] => Some(Self::Hold(records.parse().ok()?, Moment::Before)),
            ["hold", records, "behind"] => Some(Self::Hold(records.parse().ok()?, Moment::Behind)),
            ["lift"] => Some(Self::Lift),
            _ => None,
        }
    }
}

/// Says something to the parent. One that is gone hears nothing, and the server ends anyway.
pub(crate) fn say(said: &Said) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{}", said.line()).and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody hears what the server says");
    }
}

/// Does as the parent says; completes when standard input closes.
pub(crate) async fn obey(hold: &Hold) {
    let (heard, mut lines) = mpsc::channel(LINES_MAX);
    // Its thread does not keep the process.
    let reading = tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines() {
            if heard.blocking_send(line?).is_err() {
                break;
            }
        }
        std::io::Result::Ok(())
    });
    let mut is_set = false;
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { break };
                match Heard::read(&line) {
                    Some(Heard::Hold(records_max, moment)) => hold.set(records_max, moment),
                    Some(Heard::Lift) => hold.lift(),
                    None => tracing::warn!(line, "the parent says what nobody understands"),
                }
                is_set = true;
                say(&Said::Holds);
            }
            held = hold.held(), if is_set => {
                is_set = false;
                say(&Said::Held(held));
            }
        }
    }
    if let Ok(Err(error)) = reading.await {
        tracing::warn!(%error, "standard input can't be read; stopping as if it was closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_was_said() {
        for said in [
            Said::Listens("127.0.0.1:4242".to_owned()),
            Said::Holds,
            Said::Held(Held { recorded: 12, waiting: 3 }),
        ] {
            assert_eq!(Said::read(&said.line()), Some(said));
        }
        assert_eq!(Said::read("held many 3"), None);
        for heard in [Heard::Hold(7, Moment::Before), Heard::Hold(0, Moment::Behind), Heard::Lift] {
            assert_eq!(Heard::read(heard.line().trim_end()), Some(heard));
        }
        assert_eq!(Heard::read("hold 7 beside"), None);
    }
}
