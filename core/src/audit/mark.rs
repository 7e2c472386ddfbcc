//! What a record says of the request that it came of, beside what happened.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id of a request, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// The longest name of who acts, and of whom for, in bytes.
pub const ACTOR_BYTES_MAX: usize = 256;
/// More than the bytes that any mark has in a record.
pub const MARK_BYTES_MAX: usize = 512;

/// The request that had something done. Stands in the record of the deed itself, so that there is
/// none without the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    request_id: Arc<str>,
    on_behalf_of: Option<Arc<str>>,
}

impl Mark {
    /// Of a request's id, and for whom its sender says that it was sent. What is longer than may
    /// be is cut off.
    #[must_use]
    pub fn new(request_id: &str, on_behalf_of: Option<&str>) -> Self {
        let clip = |text: &str, bytes_max| Arc::from(&text[..text.floor_char_boundary(bytes_max)]);
        Self {
            request_id: clip(request_id, REQUEST_ID_BYTES_MAX),
            on_behalf_of: on_behalf_of.map(|name| clip(name, ACTOR_BYTES_MAX)),
        }
    }

    /// Whether it is as [`Mark::new`] makes one, of text that fits on a line: one that was read
    /// elsewhere may not be.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let plain = |text: &str, bytes_max| {
            let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            (1..=bytes_max).contains(&text.len()) && text.bytes().all(visible)
        };
        plain(&self.request_id, REQUEST_ID_BYTES_MAX)
            && self.on_behalf_of().is_none_or(|name| plain(name, ACTOR_BYTES_MAX))
    }

    /// The request's id, as it was answered and logged.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// For whom, as whoever sent it says.
    #[must_use]
    pub fn on_behalf_of(&self) -> Option<&str> {
        self.on_behalf_of.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mark_is_larger_than_is_left_for_it() {
        let long = "x".repeat(MARK_BYTES_MAX);
        let mark = Mark::new(&long, Some(&long));
        let lengths = (mark.request_id().len(), mark.on_behalf_of().map(str::len));
        assert_eq!(lengths, (REQUEST_ID_BYTES_MAX, Some(ACTOR_BYTES_MAX)));
        assert!(mark.is_plain() && !Mark::new("a\nb", None).is_plain());
        // Each length takes three bytes at most, and whether there is a second text one.
        const { assert!(REQUEST_ID_BYTES_MAX + ACTOR_BYTES_MAX + 7 <= MARK_BYTES_MAX) }
    }
}
