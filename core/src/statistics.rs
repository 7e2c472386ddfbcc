//! Statistics of a workflow's runs, kept by adding and taking away rows.
//!
//! Everything here can be taken away again exactly, so that a row that changes or leaves
//! takes its share with it. Knows rows, not where they are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::summary::{RunStatus, RunSummary};

/// Buckets an octave of durations is cut into: a bucket is at most a sixteenth wide, and its
/// middle at most [`DURATION_ERROR_PERCENT_MAX`] from what is in it.
const BUCKETS_PER_OCTAVE: u64 = 16;
/// The most that a percentile of durations is off, in percent.
pub const DURATION_ERROR_PERCENT_MAX: f64 = 3.2;

/// Counts and durations of some runs. As a share of a whole, counts may be negative.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunStatistics {
    /// Runs by status, in the order of [`RunStatus::ALL`].
    by_status: [i64; RunStatus::COUNT],
    /// All durations together.
    duration_ms_sum: i128,
    /// Ended runs by bucket of their duration; none of them 0.
    durations: BTreeMap<u16, i64>,
}

impl RunStatistics {
    /// Adds a run.
    pub fn add(&mut self, row: &RunSummary) {
        self.count(row, 1);
    }

    /// Takes a run away that was added, here or in another share of the whole.
    pub fn take_away(&mut self, row: &RunSummary) {
        self.count(row, -1);
    }

    fn count(&mut self, row: &RunSummary, sign: i64) {
        self.by_status[place(row.status)] += sign;
        if let Some(ended_at) = row.ended_at {
            let duration_ms = ended_at.ms_since(row.submitted_at);
            self.duration_ms_sum += i128::from(sign) * i128::from(duration_ms);
            self.shift(bucket(duration_ms), sign);
        }
    }

    /// Adds another share.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.by_status.iter_mut().zip(&other.by_status) {
            *own += more;
        }
        self.duration_ms_sum += other.duration_ms_sum;
        for (&bucket, &count) in &other.durations {
            self.shift(bucket, count);
        }
    }

    fn shift(&mut self, bucket: u16, by: i64) {
        let count = self.durations.entry(bucket).or_default();
        *count += by;
        if *count == 0 {
            self.durations.remove(&bucket);
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Runs with a status.
    #[must_use]
    pub fn of_status(&self, status: RunStatus) -> u64 {
        u64::try_from(self.by_status[place(status)]).unwrap_or(0)
    }

    /// All runs.
    #[must_use]
    pub fn total(&self) -> u64 {
        RunStatus::ALL.into_iter().map(|status| self.of_status(status)).sum()
    }

    /// Runs with their final word.
    #[must_use]
    pub fn ended(&self) -> u64 {
        let ended = RunStatus::ALL.into_iter().filter(|status| status.is_ended());
        ended.map(|status| self.of_status(status)).sum()
    }

    /// The part of the ended runs that completed, 0 to 1; nothing if none has ended.
    #[must_use]
    pub fn success_rate(&self) -> Option<f64> {
        ratio(self.of_status(RunStatus::Completed), self.ended())
    }

    /// The mean time from submission to end; nothing if none has ended.
    #[must_use]
    pub fn duration_ms_mean(&self) -> Option<f64> {
        ratio(u64::try_from(self.duration_ms_sum).unwrap_or(0), self.measured())
    }

    /// The duration that so many percent of the ended runs do not exceed, at most
    /// [`DURATION_ERROR_PERCENT_MAX`] off; nothing if none has ended.
    #[must_use]
    pub fn duration_ms_percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.measured() * percent.min(100)).div_ceil(100).max(1);
        let mut below = 0;
        for (&bucket, &count) in &self.durations {
            below += u64::try_from(count).unwrap_or(0);
            if below >= rank {
                return Some(middle_ms(bucket));
            }
        }
        None
    }

    fn measured(&self) -> u64 {
        u64::try_from(self.durations.values().sum::<i64>()).unwrap_or(0)
    }
}

fn place(status: RunStatus) -> usize {
    let found = RunStatus::ALL.into_iter().position(|known| known == status);
    found.expect("ALL has every status")
}

#[expect(clippy::cast_precision_loss, reason = "an average needs no more than 52 bits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The bucket of a duration: small ones have their own, larger ones share a sixteenth of
/// their octave. Whole numbers only, so that every machine finds the same one.
fn bucket(duration_ms: u64) -> u16 {
    let octave = u64::from(duration_ms.max(1).ilog2());
    let number = if octave < 5 {
        duration_ms
    } else {
        let shift = octave - 4;
        (shift + 1) * BUCKETS_PER_OCTAVE + ((duration_ms >> shift) - BUCKETS_PER_OCTAVE)
    };
    u16::try_from(number).expect("64 octaves of 16 buckets fit")
}

/// The middle of a bucket.
fn middle_ms(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 2 * BUCKETS_PER_OCTAVE {
        return bucket;
    }
    let shift = bucket / BUCKETS_PER_OCTAVE - 1;
    let lowest = (BUCKETS_PER_OCTAVE + bucket % BUCKETS_PER_OCTAVE) << shift;
    lowest + ((1 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ExecutionId, PartitionId};
    use crate::time::Timestamp;

    fn row(status: RunStatus, duration_ms: Option<u64>) -> RunSummary {
        RunSummary {
            execution: ExecutionId { partition: PartitionId(0), digits: 1 },
            namespace: "default".into(),
            workflow: "w".into(),
            revision: 1,
            status,
            correlation_id: "".into(),
            tags: [].into(),
            submitted_at: Timestamp(5),
            ended_at: duration_ms.map(|ms| Timestamp(5).plus_ms(ms)),
            parent: None,
            chunk: false,
            variant: None,
            trace: None,
            version: 1,
        }
    }

    #[test]
    fn buckets_are_in_order_and_their_middle_is_near() {
        let mut before = 0;
        for duration_ms in (0..5_000).chain((5_000..900_000).step_by(997)) {
            let bucket = bucket(duration_ms);
            assert!(bucket >= before, "{duration_ms}");
            before = bucket;
            let off = middle_ms(bucket).abs_diff(duration_ms);
            assert!(off as f64 <= duration_ms as f64 * DURATION_ERROR_PERCENT_MAX / 100.0);
        }
        assert!(middle_ms(bucket(u64::MAX)) > u64::MAX / 2);
    }

    #[test]
    fn shares_add_up_and_can_be_taken_away() {
        let (mut one, mut two) = (RunStatistics::default(), RunStatistics::default());
        for duration_ms in 1..=100 {
            one.add(&row(RunStatus::Completed, Some(duration_ms * 10)));
        }
        two.add(&row(RunStatus::Running, None));
        two.add(&row(RunStatus::Failed, Some(10_000)));
        one.merge(&two);
        assert_eq!((one.total(), one.ended(), one.of_status(RunStatus::Running)), (102, 101, 1));
        assert_eq!(one.success_rate(), Some(100.0 / 101.0));
        assert_eq!(one.duration_ms_mean(), Some(60_500.0 / 101.0));
        let p95 = one.duration_ms_percentile(95).expect("some have ended");
        assert!((931..=989).contains(&p95), "{p95}");
        for duration_ms in 1..=100 {
            two.take_away(&row(RunStatus::Completed, Some(duration_ms * 10)));
        }
        one.merge(&two);
        one.take_away(&row(RunStatus::Running, None));
        one.take_away(&row(RunStatus::Running, None));
        one.take_away(&row(RunStatus::Failed, Some(10_000)));
        one.take_away(&row(RunStatus::Failed, Some(10_000)));
        assert!(one.is_empty(), "{one:?}");
        assert_eq!(one.duration_ms_percentile(95), None);
    }
}
