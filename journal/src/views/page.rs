//! Pages of lists: where one ends, where the next begins, and what a cursor says.

use std::fmt;
use std::str::FromStr;

use backstitch_core::time::Timestamp;

use crate::bytes::Malformed;
use crate::error::Error;
use crate::record::encode_row;
use crate::views::filter::Order;
use crate::views::row::{Filter, turned};

/// A place in a list, to go on from, and which list it is of. Opaque outside; printed in
/// hex. It stays good whatever is written meanwhile: rows never change their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    fingerprint: [u8; FINGERPRINT_BYTES],
    place: Vec<u8>,
}

/// Bytes that tell one list from another.
const FINGERPRINT_BYTES: usize = 8;
/// The longest text of a cursor that is read at all.
const CURSOR_CHARS_MAX: usize = 128;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fingerprint.iter().chain(&self.place).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || Malformed::because("this is no cursor of a list");
        let hex =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        if text.len() > CURSOR_CHARS_MAX || !text.len().is_multiple_of(2) {
            return Err(bad());
        }
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| Some(hex(pair[0])? * 16 + hex(pair[1])?))
            .collect();
        let bytes = bytes.ok_or_else(bad)?;
        let (fingerprint, place) = bytes.split_first_chunk().ok_or_else(bad)?;
        Ok(Self { fingerprint: *fingerprint, place: place.to_vec() })
    }
}

/// Some rows of a list, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Row> {
    /// The rows. Fewer than asked for, with a `next`, where reading on would have gone past
    /// too many rows that the filter leaves out.
    pub rows: Vec<Row>,
    /// Where the next page goes on, if there may be more.
    pub next: Option<Cursor>,
}

/// Which places of a list are wanted: from `low` on and below `high`.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub low: Vec<u8>,
    pub high: Option<Vec<u8>>,
    pub order: Order,
}

impl Span {
    /// The places of a filter's range behind a cursor.
    ///
    /// # Errors
    /// If the cursor is of another list.
    pub(super) fn of(filter: &impl Filter, after: Option<&Cursor>) -> Result<Self, Error> {
        let range = filter.range();
        // Newer sorts first, so the range's end is where its places begin.
        let next = |at: Timestamp| turned(at).checked_add(1).map(u64::to_be_bytes);
        let low = range.before.map_or_else(Vec::new, |before| match next(before) {
            Some(low) => low.to_vec(),
            None => vec![u8::MAX; 9],
        });
        let high = range.after.and_then(next).map(|high| high.to_vec());
        let mut span = Self { low, high, order: filter.order() };
        if let Some(cursor) = after {
            if cursor.fingerprint != fingerprint(filter) {
                return Err(Error::Cursor);
            }
            span.go_behind(&cursor.place);
        }
        Ok(span)
    }

    /// Leaves out everything up to a place.
    pub(super) fn go_behind(&mut self, place: &[u8]) {
        match self.order {
            Order::NewestFirst => {
                let mut low = place.to_vec();
                low.push(0);
                self.low = low.max(std::mem::take(&mut self.low));
            }
            Order::OldestFirst => {
                let high = self.high.take().filter(|high| high.as_slice() < place);
                self.high = Some(high.unwrap_or_else(|| place.to_vec()));
            }
        }
    }

    /// Leaves out everything behind a place.
    pub(super) fn end_at(&mut self, place: &[u8]) {
        let mut behind = place.to_vec();
        match self.order {
            Order::NewestFirst => {
                behind.push(0);
                let high = self.high.take().filter(|high| *high < behind);
                self.high = Some(high.unwrap_or(behind));
            }
            Order::OldestFirst => self.low = behind.max(std::mem::take(&mut self.low)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }

    pub(super) fn takes(&self, place: &[u8]) -> bool {
        place >= self.low.as_slice()
            && self.high.as_ref().is_none_or(|high| place < high.as_slice())
    }
}

/// What one source found of a list: rows by place in the list's order, and the place after
/// which it stopped looking although there may be more.
pub(super) struct Part<Row> {
    pub rows: Vec<(Vec<u8>, Row)>,
    pub stopped: Option<Vec<u8>>,
}

/// Joins what the sources found; where two have the same place, the first one's word counts.
pub(super) fn join<F: Filter>(filter: &F, parts: Vec<Part<F::Row>>, limit: usize) -> Page<F::Row> {
    let order = filter.order();
    let earlier = |one: &Vec<u8>, other: &Vec<u8>| match order {
        Order::NewestFirst => one < other,
        Order::OldestFirst => one > other,
    };
    let mut stop: Option<Vec<u8>> = None;
    let mut found = std::collections::BTreeMap::new();
    for Part { rows, stopped } in parts {
        for (place, row) in rows {
            found.entry(place).or_insert(row);
        }
        stop = match (stop, stopped) {
            (Some(one), Some(other)) => Some(if earlier(&one, &other) { one } else { other }),
            (one, other) => one.or(other),
        };
    }
    let mut found: Vec<_> = found.into_iter().collect();
    if order == Order::OldestFirst {
        found.reverse();
    }
    if let Some(stop) = &stop {
        found.retain(|(place, _)| !earlier(stop, place));
    }
    if found.len() > limit {
        found.truncate(limit);
        stop = found.last().map(|(place, _)| place.clone());
    }
    let next = stop.map(|place| Cursor { fingerprint: fingerprint(filter), place });
    Page { rows: found.into_iter().map(|(_, row)| row).collect(), next }
}

/// Tells a list from others: the same filter in the same order has the same.
fn fingerprint<F: Filter>(filter: &F) -> [u8; FINGERPRINT_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(std::any::type_name::<F>().as_bytes()).update(&encode_row(filter));
    let hash = hasher.finalize();
    *hash.as_bytes().first_chunk().expect("a hash is longer")
}
