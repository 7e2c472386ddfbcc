//! What all rows of lists have in common: keys, places, and the filters that choose among
//! them.
//!
//! Keys of a view's tree, `T` being the row's instant turned so that newer sorts first:
//! ```text
//! i | id                    -> the row
//! INDEX | value... | T | id -> nothing
//! # | what is counted together | slot -> a share of the statistics
//! ```
//! Which indexes a row has is said where it is implemented: `run.rs`, `letter.rs`,
//! `audit.rs`. Every index is ordered the same way, so that every list is.

use std::hash::Hash;
use std::sync::Arc;

use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys;
use crate::views::filter::{Order, Range};
use crate::views::share::Share;

/// The format of rows and keys. A view of another format is made again at open.
pub(crate) const FORMAT: u16 = 10;

/// The longest name in a key; longer ones share an index entry's beginning.
const NAME_BYTES_MAX: usize = 512;
/// The longest free text in a row, so that a row stays one value.
pub(super) const TEXT_BYTES_MAX: usize = 4_000;
/// Bytes of the turned instant.
pub(super) const INSTANT_BYTES: usize = 8;
/// First byte of rows' own keys; no index has it.
const ROW: u8 = b'i';

/// A row of a list.
pub(super) trait Row: Clone + Serialize + DeserializeOwned + Send + Sync {
    /// Who it is about.
    type Id: Copy + Eq + Hash + Send + Sync;

    fn id(&self) -> Self::Id;
    fn id_key(id: &Self::Id) -> Vec<u8>;
    fn id_of(key: &[u8]) -> Option<Self::Id>;
    /// The instant that orders lists; never changes.
    fn at(&self) -> Timestamp;
    /// Rises with each change.
    fn version(&self) -> u64;
    /// The same with texts short enough for one value.
    fn clipped(self) -> Self;
    /// The beginnings of its index entries.
    fn indexes(&self) -> Vec<Vec<u8>>;
    /// Whether rows stay when the history that they were read off has left the store.
    const OUTLIVES_HISTORY: bool = false;
    /// The history that it was read off, where that can leave the store.
    fn history(&self) -> Option<StreamId> {
        None
    }
    /// What is counted of rows, beside them.
    type Share: Share<Row = Self>;
}

/// Which rows a list shows.
pub(super) trait Filter: Serialize {
    /// Of which rows.
    type Row: Row;

    fn takes(&self, row: &Self::Row) -> bool;
    fn order(&self) -> Order;
    /// Where in time the rows can be.
    fn range(&self) -> Range;
    /// The index to walk, as the beginning of its entries; `is_few` tells whether so few runs
    /// have a workflow and a status that reading them all is cheap.
    fn index(&self, is_few: &dyn Fn(&Self) -> bool) -> Vec<u8>;
    /// The indexes to walk, each row being in at most one of them.
    fn indexes(&self, is_few: &dyn Fn(&Self) -> bool) -> Vec<Vec<u8>> {
        vec![self.index(is_few)]
    }
    /// A row that belongs into the list and has no entry in the index.
    fn beside_index(&self) -> Option<<Self::Row as Row>::Id> {
        None
    }
}

/// The beginning of an index entry.
pub(super) struct Index(Vec<u8>);

impl Index {
    pub(super) fn of(name: u8) -> Self {
        assert!(name != ROW, "rows have their own keys");
        Self(vec![name])
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        keys::push_text(&mut self.0, clip(text, NAME_BYTES_MAX));
        self
    }

    pub(super) fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// An instant so that a newer one sorts first.
pub(super) fn turned(at: Timestamp) -> u64 {
    !(at.0.cast_unsigned() ^ (1 << 63))
}

/// Where a row stands in every list: turned instant, then id.
pub(super) fn place<R: Row>(row: &R) -> Vec<u8> {
    let mut place = turned(row.at()).to_be_bytes().to_vec();
    place.extend(R::id_key(&row.id()));
    place
}

/// The key of the row itself.
pub(super) fn row_key<R: Row>(id: &R::Id) -> Vec<u8> {
    let mut key = vec![ROW];
    key.extend(R::id_key(id));
    key
}

/// The beginning of every row's own key.
pub(super) const ROWS: &[u8] = &[ROW];

/// A text's beginning of at most so many bytes.
pub(super) fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

pub(super) fn clip_shared(text: Arc<str>, bytes_max: usize) -> Arc<str> {
    if text.len() <= bytes_max { text } else { clip(&text, bytes_max).into() }
}
