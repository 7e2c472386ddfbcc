//! What a run meets in a trial: as words, as JSON, and as the server is asked for it.

use backstitch_core::faults::Struck;
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
    /// Every attempt of a check asks its service twice, in a run that meets another fault too.
    CheckRepeated(String, Box<Fault>),
    /// The first answer of a check is lost, in a run that meets another fault too.
    CheckLost(String, Box<Fault>),
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
            Self::CheckRepeated(step, beside) => {
                let mut wishes = beside.wishes();
                wishes.push(json!({ "step": step, "check": true, "kind": "duplicate" }));
                wishes
            }
            Self::CheckLost(step, beside) => {
                let mut wishes = beside.wishes();
                let lost = "crash_before_ack";
                wishes.push(json!({ "step": step, "check": true, "kind": lost, "attempt": 1 }));
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
            Self::CheckRepeated(step, beside) => {
                format!("check of {step} is called twice{}", beside.beside())
            }
            Self::CheckLost(step, beside) => {
                format!("answer of the check of {step} is lost{}", beside.beside())
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
            Self::CheckRepeated(step, beside) => {
                json!({ "kind": "check_repeated", "step": step, "beside": beside.json() })
            }
            Self::CheckLost(step, beside) => {
                json!({ "kind": "check_lost", "step": step, "beside": beside.json() })
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
            | Self::UndoRepeated(step, _)
            | Self::CheckRepeated(step, _)
            | Self::CheckLost(step, _) => Some(step),
            Self::None | Self::Killed { .. } => None,
        }
    }

    /// Whose attempts of its step meet it.
    pub(super) fn strikes(&self) -> Struck {
        match self {
            Self::UndoRepeated(..) => Struck::Undo,
            Self::CheckRepeated(..) | Self::CheckLost(..) => Struck::Check,
            _ => Struck::Step,
        }
    }
}
