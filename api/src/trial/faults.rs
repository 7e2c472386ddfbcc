//! What a run meets in a trial: as words, as JSON, and as the server is asked for it.

use backstitch_saga::hold::Moment;
use serde_json::{Value, json};

/// What one run meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// A step fails for good, and its service is not called.
    Fails(String),
    /// A step is done, its answer is lost, and the next attempt fails for good.
    FailsLate(String),
    /// Every attempt of a step calls its service twice.
    Repeated(String),
    /// Every attempt of an undo calls its service twice, in a run that meets another fault too.
    UndoRepeated(String, Box<Fault>),
    /// The server is killed, in a run that may meet another fault too.
    Killed { records: u64, moment: Moment, during: Box<Fault> },
}

impl Fault {
    /// What the server is asked to let the run meet.
    pub(super) fn wishes(&self) -> Vec<Value> {
        match self {
            Self::None => Vec::new(),
            Self::Fails(step) => vec![json!({ "step": step, "kind": "fail", "permanent": true })],
            Self::FailsLate(step) => vec![
                json!({ "step": step, "kind": "crash_before_ack", "attempt": 1 }),
                json!({ "step": step, "kind": "fail", "permanent": true }),
            ],
            Self::Repeated(step) => vec![json!({ "step": step, "kind": "duplicate" })],
            Self::UndoRepeated(step, beside) => {
                let mut wishes = beside.wishes();
                wishes.push(json!({ "step": step, "undo": true, "kind": "duplicate" }));
                wishes
            }
            Self::Killed { during, .. } => during.wishes(),
        }
    }

    /// For a person.
    pub(super) fn words(&self) -> String {
        match self {
            Self::None => "no fault".to_owned(),
            Self::Fails(step) => format!("{step} fails"),
            Self::FailsLate(step) => format!("{step} acts, then fails"),
            Self::Repeated(step) => format!("{step} is called twice"),
            Self::UndoRepeated(step, beside) => {
                format!("undo of {step} is called twice{}", beside.beside())
            }
            Self::Killed { records, during, .. } => {
                format!("killed at record {records}, {}{}", self.follows(), during.beside())
            }
        }
    }

    /// Of a kill: whether what follows of the last record was let out.
    fn follows(&self) -> &'static str {
        match self {
            Self::Killed { moment: Moment::Behind, .. } => "before what follows",
            _ => "after what follows",
        }
    }

    /// The same as something that happens beside.
    pub(super) fn beside(&self) -> String {
        match self {
            Self::None => String::new(),
            other => format!("; {}", other.words()),
        }
    }

    /// For a program.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::None => json!({ "kind": "none" }),
            Self::Fails(step) => json!({ "kind": "fails", "step": step }),
            Self::FailsLate(step) => json!({ "kind": "fails_late", "step": step }),
            Self::Repeated(step) => json!({ "kind": "repeated", "step": step }),
            Self::UndoRepeated(step, beside) => {
                json!({ "kind": "undo_repeated", "step": step, "beside": beside.json() })
            }
            Self::Killed { records, moment, during } => {
                let moment = match moment {
                    Moment::Before => "before_next",
                    Moment::Behind => "behind",
                };
                json!({
                    "kind": "killed", "records": records, "moment": moment,
                    "beside": during.json(),
                })
            }
        }
    }

    /// The step whose calls are to go otherwise; nothing of a kill, which strikes all.
    pub(super) fn step(&self) -> Option<&str> {
        match self {
            Self::Fails(step)
            | Self::FailsLate(step)
            | Self::Repeated(step)
            | Self::UndoRepeated(step, _) => Some(step),
            Self::None | Self::Killed { .. } => None,
        }
    }

    /// Whether it is the undo of its step that meets it.
    pub(super) fn is_of_undo(&self) -> bool {
        matches!(self, Self::UndoRepeated(..))
    }
}
