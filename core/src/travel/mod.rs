//! Time travel: a run as it was at a version or an instant, what changed between two points,
//! and where two runs went different ways.
//!
//! Works on histories and states that somebody else read; knows no journal and no clock.

mod compare;
mod diff;
mod lanes;

use serde::Serialize;
use serde_json::{Value, json};

use crate::event::Event;
use crate::evolve::IllegalTransition;
use crate::ids::ExecutionId;
use crate::lineage::Plans;
use crate::machine::replay;
use crate::report::execution_json;
use crate::state::State;
use crate::time::Timestamp;

pub use compare::{Comparison, Divergence, StepRow, Told, compare};
pub use diff::{Change, apply, diff};

/// A place in a run's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// After so many events.
    Version(u64),
    /// After everything recorded up to this instant, the instant included.
    At(Timestamp),
}

impl Point {
    /// Reads a version (digits) or an instant (RFC 3339).
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::Version);
        }
        Timestamp::parse(text).map(Self::At)
    }
}

/// The place that a point turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// Events up to there.
    pub version: u64,
    /// When the last of them was recorded.
    pub at: Timestamp,
}

/// Why there is no state at a point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchPoint {
    /// Versions count from 1.
    #[error("a run has no version 0; its submission is version 1")]
    VersionZero,
    /// The run has not got that far.
    #[error("version {asked} is beyond the end of the run's history, which is version {last}")]
    BeyondTheEnd {
        /// The version asked for.
        asked: u64,
        /// The last one there is.
        last: u64,
    },
    /// The run did not exist yet.
    #[error("the run was submitted at {submitted_at}; at {asked} it did not exist")]
    BeforeTheSubmission {
        /// The instant asked for.
        asked: Timestamp,
        /// When the run began.
        submitted_at: Timestamp,
    },
    /// What was recorded by then is not decided yet.
    #[error("{asked} is still to come; the latest instant there is now is {now}")]
    StillToCome {
        /// The instant asked for.
        asked: Timestamp,
        /// The present.
        now: Timestamp,
    },
}

/// Finds a point in a history, given when each of its events was recorded, oldest first, and
/// the present instant. All events of one decision share an instant, so an instant never cuts
/// a decision.
///
/// # Errors
/// [`NoSuchPoint`]
pub fn locate(point: Point, recorded: &[Timestamp], now: Timestamp) -> Result<AsOf, NoSuchPoint> {
    let last = recorded.len() as u64;
    let events = match point {
        Point::Version(0) => return Err(NoSuchPoint::VersionZero),
        Point::Version(asked) if asked > last => {
            return Err(NoSuchPoint::BeyondTheEnd { asked, last });
        }
        Point::Version(asked) => usize::try_from(asked).unwrap_or(usize::MAX),
        Point::At(asked) if asked > now => return Err(NoSuchPoint::StillToCome { asked, now }),
        Point::At(asked) => recorded.partition_point(|&at| at <= asked),
    };
    match (point, events.checked_sub(1).and_then(|at| recorded.get(at))) {
        (_, Some(&at)) => Ok(AsOf { version: events as u64, at }),
        (Point::At(asked), None) => {
            let submitted_at = recorded.first().copied().unwrap_or_default();
            Err(NoSuchPoint::BeforeTheSubmission { asked, submitted_at })
        }
        (Point::Version(asked), None) => Err(NoSuchPoint::BeyondTheEnd { asked, last }),
    }
}

/// The state after the first `as_of.version` events of a history.
///
/// # Errors
/// [`IllegalTransition`] at the first event that does not fit.
pub fn state_at(
    execution: ExecutionId,
    plans: &dyn Plans,
    events: &[(Event, Timestamp)],
    as_of: AsOf,
) -> Result<State, IllegalTransition> {
    let count = usize::try_from(as_of.version).unwrap_or(usize::MAX);
    replay(execution, plans, events.iter().take(count).map(|(event, at)| (event, *at)))
}

/// The execution's JSON with the place it shows: `as_of {version, at}`.
#[must_use]
pub fn execution_json_at(state: &State, as_of: AsOf) -> Value {
    let mut shown = execution_json(state);
    shown["as_of"] = as_of_json(as_of);
    shown
}

/// `{version, at}`.
#[must_use]
pub fn as_of_json(as_of: AsOf) -> Value {
    json!({ "version": as_of.version, "at": as_of.at.to_string() })
}

/// What changed in a run between two states of it.
#[must_use]
pub fn run_diff(before: &State, after: &State) -> Vec<Change> {
    diff(&execution_json(before), &execution_json(after))
}

/// A value that is there or not: absent is left out, `null` is shown.
fn is_absent<T: Serialize>(value: &Option<T>) -> bool {
    value.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: i64) -> Timestamp {
        Timestamp(us)
    }

    #[test]
    fn points_are_versions_or_instants() {
        assert_eq!(Point::read("17"), Some(Point::Version(17)));
        assert_eq!(Point::read("1970-01-01T00:00:01Z"), Some(Point::At(at(1_000_000))));
        for bad in ["", "-1", "1.5", "yesterday", "1970-01-01", "99999999999999999999"] {
            assert_eq!(Point::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_point_is_found_or_said_to_be_nowhere() {
        let recorded = [at(10), at(10), at(20)];
        let find = |point| locate(point, &recorded, at(100));
        assert_eq!(find(Point::Version(2)), Ok(AsOf { version: 2, at: at(10) }));
        assert_eq!(find(Point::At(at(10))), Ok(AsOf { version: 2, at: at(10) }));
        assert_eq!(find(Point::At(at(19))), Ok(AsOf { version: 2, at: at(10) }));
        assert_eq!(find(Point::At(at(100))), Ok(AsOf { version: 3, at: at(20) }));
        assert_eq!(find(Point::Version(0)), Err(NoSuchPoint::VersionZero));
        assert_eq!(find(Point::Version(4)), Err(NoSuchPoint::BeyondTheEnd { asked: 4, last: 3 }));
        assert_eq!(
            find(Point::At(at(9))),
            Err(NoSuchPoint::BeforeTheSubmission { asked: at(9), submitted_at: at(10) })
        );
        assert_eq!(
            find(Point::At(at(101))),
            Err(NoSuchPoint::StillToCome { asked: at(101), now: at(100) })
        );
    }
}
