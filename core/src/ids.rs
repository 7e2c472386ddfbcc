//! Identities and coordinates: who a record is about and where it stands.
//!
//! Knows nothing of how ids are drawn: randomness and hashes come from outside.

mod readable;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A partition: the unit of order, ownership and parallelism.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct PartitionId(pub u16);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a workflow. Printed `exec_` + 4 hex digits of its partition + 32 hex digits.
///
/// The partition is read from the id and never hashed again, so partitions can be added for
/// new runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutionId {
    /// The partition that owns the run for ever.
    pub partition: PartitionId,
    /// The rest: time-ordered random digits, or a hash of the idempotency key.
    pub digits: u128,
}

impl ExecutionId {
    /// The id whose digits and partition are a hash of some words: the same words, the same run,
    /// as long as the number of partitions is the same.
    ///
    /// # Panics
    /// If there are no partitions, or more than ids can name.
    #[must_use]
    pub fn derived(words: &[&str], partitions: usize) -> Self {
        let mut hasher = blake3::Hasher::new();
        for word in words {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let [a, b, c, d, rest @ ..] = *hasher.finalize().as_bytes();
        let mut digits = [0_u8; 16];
        digits.copy_from_slice(&rest[..16]);
        let partition = u32::from_le_bytes([a, b, c, d]) as usize % partitions;
        let partition = u16::try_from(partition).expect("partitions are counted in u16");
        Self { partition: PartitionId(partition), digits: u128::from_le_bytes(digits) }
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec_{:04x}{:032x}", self.partition.0, self.digits)
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}")]
pub struct BadId {
    given: String,
    what: &'static str,
}

impl FromStr for ExecutionId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId {
            given: text.chars().take(64).collect(),
            what: "an execution id (`exec_` and 36 hex digits)",
        };
        let digits = text.strip_prefix("exec_").ok_or_else(bad)?;
        if digits.len() != 36 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let partition = u16::from_str_radix(&digits[..4], 16).map_err(|_| bad())?;
        let digits = u128::from_str_radix(&digits[4..], 16).map_err(|_| bad())?;
        Ok(Self { partition: PartitionId(partition), digits })
    }
}

/// A dead letter: the n-th letter of a run. Printed `dlq_` + the run's 36 digits + `_` + n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LetterId {
    /// The run whose operation ran out of retries.
    pub execution: ExecutionId,
    /// Counts the letters of the run from 0.
    pub number: u32,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = &self.execution;
        write!(f, "dlq_{:04x}{:032x}_{}", run.partition.0, run.digits, self.number)
    }
}

impl FromStr for LetterId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId {
            given: text.chars().take(64).collect(),
            what: "a dead letter id (`dlq_`, 36 hex digits, `_` and a number)",
        };
        let (digits, number) =
            text.strip_prefix("dlq_").and_then(|rest| rest.split_once('_')).ok_or_else(bad)?;
        let execution = format!("exec_{digits}").parse().map_err(|_| bad())?;
        let canonical = !number.starts_with('0') || number == "0";
        let number = number.parse().ok().filter(|_| canonical).ok_or_else(bad)?;
        Ok(Self { execution, number })
    }
}

/// A step's place in the list of its definition, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepIndex(pub u32);

impl StepIndex {
    /// For indexing a list of steps.
    #[must_use]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A replay of recorded events. Printed `replay_` + 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayId(pub u128);

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replay_{:032x}", self.0)
    }
}

impl FromStr for ReplayId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId {
            given: text.chars().take(64).collect(),
            what: "a replay id (`replay_` and 32 hex digits)",
        };
        let digits = text.strip_prefix("replay_").ok_or_else(bad)?;
        if digits.len() != 32 || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        u128::from_str_radix(digits, 16).map(Self).map_err(|_| bad())
    }
}

/// A redrive of dead letters. Printed `redrive_` + 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RedriveId(pub u128);

impl fmt::Display for RedriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redrive_{:032x}", self.0)
    }
}

impl FromStr for RedriveId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let what = "a redrive id (`redrive_` and 32 hex digits)";
        let bad = || BadId { given: text.chars().take(64).collect(), what };
        let digits = text.strip_prefix("redrive_").ok_or_else(bad)?;
        // Both are printed alike.
        format!("replay_{digits}").parse().map(|ReplayId(digits)| Self(digits)).map_err(|_| bad())
    }
}

/// What a record belongs to: each stream has its own versions, gapless from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StreamId {
    /// One run.
    Execution(ExecutionId),
    /// One workflow with its revisions.
    Workflow {
        /// Tenant; `default` unless told otherwise.
        namespace: Arc<str>,
        /// The workflow's id, as in URLs.
        workflow: Arc<str>,
    },
    /// A partition itself: what was removed, erased, cut and restored in it.
    Partition(PartitionId),
    /// One replay of recorded events to somebody.
    Replay(ReplayId),
    /// One redrive of dead letters.
    Redrive(RedriveId),
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution(id) => id.fmt(f),
            Self::Workflow { namespace, workflow } => write!(f, "workflow {namespace}/{workflow}"),
            Self::Partition(id) => write!(f, "partition {id}"),
            Self::Replay(id) => id.fmt(f),
            Self::Redrive(id) => id.fmt(f),
        }
    }
}

/// A blake3 hash, printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The blake3 hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Whether it is the hash of some bytes. How long that takes says nothing of how nearly it is.
    #[must_use]
    pub fn is_hash_of(&self, bytes: &[u8]) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::hash(bytes)
    }

    /// Reads 64 lower-case hex digits, as a digest is printed.
    #[must_use]
    pub fn parse(hex: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut digest = [0; 32];
        let pairs = hex.as_bytes().chunks_exact(2);
        if hex.len() != 64 {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(pairs) {
            *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The namespace of everything that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_read_back() {
        let run = ExecutionId { partition: PartitionId(0x0a), digits: 0xfeed };
        let text = run.to_string();
        assert_eq!(text, format!("exec_000a{:032x}", 0xfeed));
        assert_eq!(text.parse(), Ok(run));
        let letter = LetterId { execution: run, number: 12 };
        assert_eq!(letter.to_string().parse(), Ok(letter));
    }

    #[test]
    fn near_misses_are_refused() {
        let run = ExecutionId { partition: PartitionId(1), digits: 2 }.to_string();
        for bad in ["", "exec_", &run[1..], &run[..40], &format!("{run}0"), &run.to_uppercase()] {
            assert!(bad.parse::<ExecutionId>().is_err(), "{bad}");
        }
        let letter = run.replace("exec", "dlq");
        for bad in [format!("{letter}_"), format!("{letter}_00"), format!("{letter}_-1"), letter] {
            assert!(bad.parse::<LetterId>().is_err(), "{bad}");
        }
    }
}
