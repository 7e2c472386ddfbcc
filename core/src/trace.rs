//! Traces: which one a run belongs to, and what every attempt of it is called there.
//!
//! Nothing is drawn: a run's trace is the one that it was submitted in, or else has the digits of
//! its own id, and every span is named by a hash of what it is. So a crash, a replay and whoever
//! reads the journal later come to the same names.

mod context;
mod spans;

use std::fmt;
use std::str::FromStr;

use crate::effect::Effect;
use crate::event::Parent;
use crate::ids::{ExecutionId, StepIndex};
use crate::state::State;

pub use context::TraceContext;
pub use spans::{RunSpans, Services, Span, SpanEnd, SpanKind};

/// A trace: 32 hex digits, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

/// A span of a trace: 16 hex digits, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub u64);

/// A text is not the id of a trace or a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} lower-case hex digits with another than 0 among them")]
pub struct BadTraceId(usize);

impl TraceId {
    /// The trace of a run that was submitted in none.
    #[must_use]
    pub fn of_run(run: ExecutionId) -> Self {
        Self(run.digits.max(1))
    }
}

impl SpanId {
    /// A run as a whole.
    #[must_use]
    pub fn of_run(run: ExecutionId) -> Self {
        Self::derived(run, 0, [0; 3])
    }

    /// An attempt of a step.
    #[must_use]
    pub fn of_step(run: ExecutionId, step: StepIndex, attempt: u16) -> Self {
        Self::derived(run, 1, [step.0, 0, attempt.into()])
    }

    /// An attempt of the undo of a step's round, or of the check before it, which counts on.
    #[must_use]
    pub fn of_undo(run: ExecutionId, step: StepIndex, round: u16, attempt: u16) -> Self {
        Self::derived(run, 2, [step.0, round.into(), attempt.into()])
    }

    /// An attempt to deliver a callback.
    #[must_use]
    pub fn of_callback(run: ExecutionId, delivery: u32, attempt: u16) -> Self {
        Self::derived(run, 3, [delivery, 0, attempt.into()])
    }

    fn derived(run: ExecutionId, kind: u8, numbers: [u32; 3]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"span");
        hasher.update(&run.partition.0.to_le_bytes());
        hasher.update(&run.digits.to_le_bytes());
        hasher.update(&[kind]);
        for number in numbers {
            hasher.update(&number.to_le_bytes());
        }
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1))
    }
}

/// Where a run stands that was told of no trace: in one of its own, or below the step that it is,
/// in the trace of its parent's own.
#[must_use]
pub fn untold(run: ExecutionId, parent: Option<&Parent>) -> TraceContext {
    let (trace, parent) = match parent {
        Some(own) => {
            let span = SpanId::of_step(own.run, own.step, own.attempt);
            (TraceId::of_run(own.run), Some(span))
        }
        None => (TraceId::of_run(run), None),
    };
    TraceContext { trace, parent, sampled: true, state: "".into() }
}

impl State {
    /// Where the run stands: the trace, and the span above it.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        match &self.traced {
            Some(told) => told.as_ref().clone(),
            None => untold(self.id, self.parent()),
        }
    }

    /// Where whoever performs an effect stands: below the attempt that it is.
    #[must_use]
    pub fn trace_below(&self, effect: Effect) -> TraceContext {
        let parent = match effect {
            Effect::RunStep { step, attempt } => SpanId::of_step(self.id, step, attempt),
            Effect::UndoStep { step, attempt } => {
                SpanId::of_undo(self.id, step, self.step(step).round, attempt)
            }
            Effect::DeliverCallback { delivery, attempt } => {
                SpanId::of_callback(self.id, delivery, attempt)
            }
            Effect::Send { .. } => SpanId::of_run(self.id),
        };
        TraceContext { parent: Some(parent), ..self.trace() }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TraceId {
    type Err = BadTraceId;

    fn from_str(text: &str) -> Result<Self, BadTraceId> {
        hex(text, 32).filter(|own| *own != 0).map(Self).ok_or(BadTraceId(32))
    }
}

impl FromStr for SpanId {
    type Err = BadTraceId;

    fn from_str(text: &str) -> Result<Self, BadTraceId> {
        let digits = hex(text, 16).and_then(|own| u64::try_from(own).ok());
        digits.filter(|own| *own != 0).map(Self).ok_or(BadTraceId(16))
    }
}

/// So many hex digits, in lower case and nothing else.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |own: u8| matches!(own, b'0'..=b'9' | b'a'..=b'f');
    let whole = text.len() == digits && text.bytes().all(is_digit);
    whole.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PartitionId;

    const RUN: ExecutionId = ExecutionId { partition: PartitionId(3), digits: 0xfeed };

    #[test]
    fn every_attempt_has_a_name_of_its_own_that_is_the_same_each_time() {
        let (step, other) = (StepIndex(1), StepIndex(2));
        let names = || {
            [
                SpanId::of_run(RUN),
                SpanId::of_run(ExecutionId { partition: PartitionId(4), ..RUN }),
                SpanId::of_step(RUN, step, 1),
                SpanId::of_step(RUN, step, 2),
                SpanId::of_step(RUN, other, 1),
                SpanId::of_undo(RUN, step, 1, 1),
                SpanId::of_undo(RUN, step, 2, 1),
                SpanId::of_undo(RUN, step, 1, 2),
                SpanId::of_callback(RUN, 1, 1),
                SpanId::of_callback(RUN, 1, 2),
            ]
        };
        assert_eq!(names(), names());
        let mut different = names().to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), names().len());
    }

    #[test]
    fn a_trace_has_the_digits_of_its_run_and_is_never_zero() {
        assert_eq!(TraceId::of_run(RUN).to_string(), RUN.to_string()[9..]);
        let zero = ExecutionId { digits: 0, ..RUN };
        assert_eq!(TraceId::of_run(zero).to_string().parse(), Ok(TraceId(1)));
        for bad in ["", "0", &"0".repeat(32), &"A".repeat(32), &"a".repeat(33), &"+a".repeat(16)] {
            assert!(bad.parse::<TraceId>().is_err(), "{bad}");
        }
        assert_eq!("00000000000000ff".parse(), Ok(SpanId(255)));
        assert!("0000000000000000".parse::<SpanId>().is_err());
    }
}
