//! Faults that a run is submitted with, part of the format.

use serde::{Deserialize, Serialize};

use crate::ids::StepIndex;

/// Something that goes wrong on purpose, so that people see what their workflow does then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// At which step.
    pub step: StepIndex,
    /// Whether it is the step's undo that meets it.
    pub undo: bool,
    /// Which attempt, counted from 1; every one if unsaid.
    pub attempt: Option<u16>,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// What goes wrong with an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// It fails, and nobody is called.
    Fail {
        /// Whether another attempt will not mend it.
        permanent: bool,
    },
    /// The call is made, and its answer comes that much later.
    Delay {
        /// How much.
        ms: u64,
    },
    /// The call is made, and its answer is lost as if the node had crashed.
    CrashBeforeAck,
    /// The call is made twice under the same key, one after the other; the second answer counts.
    Duplicate,
    /// Of a fault of an undo: it is the attempts of the undo's check that meet this.
    AtCheck(Box<Self>),
}

impl FaultKind {
    /// The words of the kinds.
    pub const WORDS: [&'static str; 4] = ["fail", "delay", "crash_before_ack", "duplicate"];

    /// The word of this one.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let [fail, delay, crash, duplicate] = Self::WORDS;
        match self {
            Self::Fail { .. } => fail,
            Self::Delay { .. } => delay,
            Self::CrashBeforeAck => crash,
            Self::Duplicate => duplicate,
            Self::AtCheck(kind) => kind.word(),
        }
    }
}
