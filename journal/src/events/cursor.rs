//! A place in the whole history: a position of each partition, and the generation of the
//! store they were given out under. Opaque outside; printed in hex.

use std::fmt;
use std::str::FromStr;

use crate::bytes::Malformed;
use crate::options::PARTITIONS_MAX;

/// A place in the whole history, to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainCursor {
    /// The store's generation when it was given out. After a restore positions mean other
    /// events, so a cursor of another generation must not be used.
    pub generation: u32,
    /// Last position seen, of each partition.
    pub positions: Vec<u64>,
}

/// What a cursor's text begins with, so that another list's is told apart.
const MARK: &str = "e1";

impl fmt::Display for ChainCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}.{:x}", self.generation)?;
        self.positions.iter().try_for_each(|position| write!(f, ".{position:x}"))
    }
}

impl FromStr for ChainCursor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bad = || Malformed::because("this is no cursor of the event history");
        let mut parts = text.split('.');
        if parts.next() != Some(MARK) {
            return Err(bad());
        }
        let number = |part: &str| {
            let plain = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            u64::from_str_radix(part, 16).ok().filter(|_| plain)
        };
        let generation = parts.next().and_then(number).and_then(|own| u32::try_from(own).ok());
        let positions: Option<Vec<u64>> =
            parts.take(usize::from(PARTITIONS_MAX) + 1).map(number).collect();
        let positions = positions.filter(|own| own.len() <= usize::from(PARTITIONS_MAX));
        match (generation, positions) {
            (Some(generation), Some(positions)) => Ok(Self { generation, positions }),
            _ => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        let cursor = ChainCursor { generation: 3, positions: vec![0, 17, u64::MAX] };
        assert_eq!(cursor.to_string(), "e1.3.0.11.ffffffffffffffff");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "e1", "e2.1.1", "e1.x", "e1.1.+1", "e1.1.-1", "e1.1.1ffffffffffffffff"] {
            assert!(bad.parse::<ChainCursor>().is_err(), "{bad}");
        }
    }
}
