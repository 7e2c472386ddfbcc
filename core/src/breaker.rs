//! Circuit breakers as definitions and the shell speak of them: rules, and whether a call may be
//! made.
//!
//! A breaker's state is no run's and nobody's decision: it is what a node has seen of a service.
//! So the core asks the shell before each call, and records only what a run does because of the
//! answer: that its call waits, or fails.

use std::sync::Arc;

use crate::event::Hold;
use crate::payload::Payload;
use crate::state::Subject;

/// The most failures, calls or probes that a rule may name.
pub const BREAKER_COUNT_MAX: u32 = 10_000;
/// The longest window and the longest time for which a circuit is open.
pub const BREAKER_MS_MAX: u64 = 86_400_000;
/// The longest key of a breaker, in bytes.
pub const BREAKER_KEY_BYTES_MAX: usize = 256;

/// When a circuit opens, and when it closes again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// The part of the calls within the window that may fail: 0 to 1, both without meaning.
    pub ratio: f64,
    /// Calls within the window without which the ratio says nothing.
    pub calls: u32,
    /// How far back calls count for the ratio.
    pub window_ms: u64,
    /// How long it stays open before a call is tried.
    pub open_ms: u64,
    /// Calls that are tried at a time then, and how many must succeed before it closes.
    pub probes: u32,
    /// The part of the calls that may be retries, if there is a limit: 0 to 1.
    pub retry_ratio: Option<f64>,
}

impl Default for BreakerRules {
    /// 10 failures in a row, or half of at least 20 calls within a minute; half a minute open,
    /// then one call at a time, and one success closes it. Any number of retries.
    fn default() -> Self {
        Self {
            failures: 10,
            ratio: 0.5,
            calls: 20,
            window_ms: 60_000,
            open_ms: 30_000,
            probes: 1,
            retry_ratio: None,
        }
    }
}

/// What becomes of a call that may not be made now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnOpen {
    /// It waits until it may.
    #[default]
    Wait,
    /// Its step fails at once, without an attempt.
    Fail,
}

/// What a definition says of the breaker before a step's service; what it leaves out is as the
/// node has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BreakerPolicy {
    /// Whether there is none.
    pub off: bool,
    /// Whoever names the same key, in the same namespace, shares the breaker; the service's
    /// scheme, host and port if unsaid.
    pub key: Option<Arc<str>>,
    /// Failures in a row that open it.
    pub failures: Option<u32>,
    /// The part of the calls within the window that may fail.
    pub ratio: Option<f64>,
    /// Calls within the window without which the ratio says nothing.
    pub calls: Option<u32>,
    /// How far back calls count for the ratio.
    pub window_ms: Option<u64>,
    /// How long it stays open before a call is tried.
    pub open_ms: Option<u64>,
    /// Calls that are tried at a time then, and how many must succeed before it closes.
    pub probes: Option<u32>,
    /// The part of the calls that may be retries.
    pub retry_ratio: Option<f64>,
    /// What becomes of a call that may not be made now.
    pub on_open: OnOpen,
}

impl BreakerPolicy {
    /// The rules with what is left out as in `others`.
    #[must_use]
    pub fn rules(&self, others: &BreakerRules) -> BreakerRules {
        BreakerRules {
            failures: self.failures.unwrap_or(others.failures),
            ratio: self.ratio.unwrap_or(others.ratio),
            calls: self.calls.unwrap_or(others.calls),
            window_ms: self.window_ms.unwrap_or(others.window_ms),
            open_ms: self.open_ms.unwrap_or(others.open_ms),
            probes: self.probes.unwrap_or(others.probes),
            retry_ratio: self.retry_ratio.or(others.retry_ratio),
        }
    }
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// A step's or an undo's.
    pub subject: Subject,
    /// Which executor makes it.
    pub task_type: &'a str,
    /// What it is given.
    pub input: Option<&'a Payload>,
    /// What the definition says of its breaker.
    pub policy: Option<&'a BreakerPolicy>,
    /// Whether an earlier attempt of the same operation failed.
    pub again: bool,
    /// What it waits for since, if it was told to.
    pub held: Option<&'a Hold>,
}

/// Whether a call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// Not now.
    Held(Hold),
}
