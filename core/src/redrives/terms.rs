//! What a redrive was asked for: which letters, which canaries, and when it stops by itself.

use serde::{Deserialize, Serialize};

use crate::ids::ExecutionId;
use crate::letters::{Fingerprint, InputEdit};
use crate::payload::Payload;
use crate::summary::LetterKind;
use crate::time::Timestamp;

/// Retries per second unless told otherwise.
pub const RATE_DEFAULT: u32 = 10;
/// The most retries per second.
pub const RATE_MAX: u32 = 1_000;
/// The most canaries of one group.
pub const CANARIES_MAX: u32 = 100;
/// How long canaries are waited for unless told otherwise.
pub const CANARY_WAIT_MS_DEFAULT: u64 = 60_000;
/// The most bytes of an edit of the letters' inputs.
pub const EDIT_BYTES_MAX: usize = 32 * 1024;
/// The longest that canaries are waited for.
pub const CANARY_WAIT_MS_MAX: u64 = 24 * 3_600_000;
/// Outcomes before a ratio of failures means something, unless told otherwise.
pub const OUTCOMES_BEFORE_RATIO_DEFAULT: u64 = 20;

/// What a redrive was asked for beside its rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Which letters.
    pub filter: LetterChoice,
    /// What is tried before the rest of each group, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// When it stops by itself.
    #[serde(default)]
    pub stop_when: StopWhen,
    /// What becomes of each letter's input, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<InputEdit>,
}

/// Which open letters: those that all of it fits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LetterChoice {
    /// Of this workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Of this step, or its undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// About this kind of operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<LetterKind>,
    /// With this code of the last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of this cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Of runs with this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// That this one is to see to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// Opened at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_after: Option<Timestamp>,
    /// Opened before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_before: Option<Timestamp>,
}

impl LetterChoice {
    /// The run, if one was named.
    #[must_use]
    pub fn run(&self) -> Option<ExecutionId> {
        self.execution.as_ref()?.parse().ok()
    }
}

/// How many letters of each group are retried before the rest of it, and how long they may
/// take to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Letters of each group.
    pub count: u32,
    /// Those without an outcome by then have not succeeded.
    pub wait_ms: u64,
}

/// When a redrive stops by itself. What was observed before it was last resumed does not count.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StopWhen {
    /// With so many failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    /// With this share of failures among what succeeded or failed, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_ratio: Option<f64>,
    /// Outcomes before the ratio counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_outcomes: Option<u64>,
}

impl Terms {
    /// As canonical JSON.
    #[must_use]
    pub fn payload(&self) -> Payload {
        Payload::of(&serde_json::to_value(self).expect("terms are plain data"))
    }

    /// What [`Terms::payload`] wrote.
    #[must_use]
    pub fn of_payload(payload: &Payload) -> Option<Self> {
        serde_json::from_str(payload.text()).ok()
    }
}
