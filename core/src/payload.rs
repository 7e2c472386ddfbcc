//! Opaque JSON: inputs, outputs and details as the text they were written in.
//!
//! A small text is written into its record. A large one, or one that may have to be erased
//! one day, stays beside it: the record then holds only its digest and length, as a text that
//! no JSON begins like. Knows nothing of where such a content is kept.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::failure::{Failure, codes};
use crate::ids::Digest;

/// The most bytes one payload may have. Larger ones are refused where they enter.
pub const PAYLOAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The largest text that is written into its record; larger ones are kept beside it.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that all payloads of one run may have together.
pub const RUN_PAYLOAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Of [`RUN_PAYLOAD_BYTES_MAX`], what is kept back for the run's undos.
pub const UNDO_PAYLOAD_BYTES: usize = 8 * 1024 * 1024;
/// Of [`RUN_PAYLOAD_BYTES_MAX`], what all signals that come in may have together: whoever sends
/// signals leaves room for the run's steps.
pub const SIGNAL_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Whether a value nests deeper than so many levels.
#[must_use]
pub fn nests_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels == 0 || items.iter().any(|item| nests_deeper(item, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0 || fields.values().any(|field| nests_deeper(field, levels - 1))
        }
        _ => false,
    }
}

/// How a record says that a payload's text is not in it. JSON never begins with this byte.
const REFERENCE: &str = "\u{1}blob ";

/// A JSON text, shared and never changed. Events carry it without looking inside.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Content);

#[derive(Clone, PartialEq, Eq)]
enum Content {
    /// Written into the record.
    Inside(Arc<str>),
    /// Kept beside the record.
    Beside(Arc<Beside>),
    /// Kept beside the record, and not at hand.
    Absent(Arc<Absent>),
}

#[derive(PartialEq, Eq)]
struct Beside {
    digest: Digest,
    text: Arc<str>,
}

/// A payload whose content cannot be had: what is still known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// blake3 of its text.
    pub digest: Digest,
    /// Bytes of its text.
    pub length_bytes: u64,
    /// Why there is no more.
    pub why: AbsentWhy,
    /// What is shown in its place, as JSON.
    shown: Arc<str>,
}

/// Why a payload's content cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbsentWhy {
    /// Nobody has looked for it yet.
    NotRead,
    /// It is not where it was kept.
    Missing,
    /// What is kept there is something else.
    Damaged,
    /// It was erased on purpose.
    Erased,
}

impl AbsentWhy {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotRead => "not_read",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Erased => "erased",
        }
    }
}

impl Absent {
    fn of(digest: Digest, length_bytes: u64, why: AbsentWhy) -> Self {
        let about = json!({
            "digest": digest.to_string(), "bytes": length_bytes, "why": why.word(),
        });
        let shown = json!({ "$absent": about }).to_string().into();
        Self { digest, length_bytes, why, shown }
    }

    /// The failure of whatever cannot do without it.
    #[must_use]
    pub fn failure(&self, what: &str) -> Failure {
        let Self { digest, length_bytes, why, .. } = self;
        let (code, why) = match why {
            AbsentWhy::Erased => (codes::PAYLOAD_ERASED, "was erased"),
            AbsentWhy::Missing => (codes::PAYLOAD_MISSING, "is missing from `blobs`"),
            AbsentWhy::Damaged => (codes::PAYLOAD_MISSING, "is damaged in `blobs`"),
            AbsentWhy::NotRead => (codes::PAYLOAD_MISSING, "was not read"),
        };
        let message = format!("{what} {why}: {digest} of {length_bytes} bytes");
        Failure::permanent(code, message)
    }
}

impl Payload {
    /// The text of a value, with the keys of objects in order.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::holding(value.to_string().into())
    }

    /// `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(Content::Inside("null".into()))
    }

    fn holding(text: Arc<str>) -> Self {
        if text.len() <= INLINE_BYTES_MAX { Self(Content::Inside(text)) } else { beside(text) }
    }

    /// The JSON text; of an absent payload, what is shown in its place. Whoever acts on a
    /// payload asks [`Self::absent`] first.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.0 {
            Content::Inside(text) => text,
            Content::Beside(own) => &own.text,
            Content::Absent(own) => &own.shown,
        }
    }

    /// The value of [`Self::text`]. A text that is not JSON (only a damaged record has one)
    /// reads as a string.
    #[must_use]
    pub fn value(&self) -> Value {
        let text = self.text();
        serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
    }

    /// Bytes of the text, also of one that is absent.
    #[must_use]
    pub fn length_bytes(&self) -> usize {
        match &self.0 {
            Content::Inside(text) => text.len(),
            Content::Beside(own) => own.text.len(),
            Content::Absent(own) => usize::try_from(own.length_bytes).unwrap_or(usize::MAX),
        }
    }

    /// What is known of a payload whose content cannot be had.
    #[must_use]
    pub fn absent(&self) -> Option<&Absent> {
        match &self.0 {
            Content::Absent(own) => Some(own),
            Content::Inside(_) | Content::Beside(_) => None,
        }
    }

    /// The digest and length that its record holds, where it does not hold the text.
    #[must_use]
    pub fn reference(&self) -> Option<(Digest, u64)> {
        match &self.0 {
            Content::Inside(_) => None,
            Content::Beside(own) => Some((own.digest, own.text.len() as u64)),
            Content::Absent(own) => Some((own.digest, own.length_bytes)),
        }
    }

    /// The text that must be kept beside the record, with its digest.
    #[must_use]
    pub fn kept_beside(&self) -> Option<(Digest, Arc<str>)> {
        match &self.0 {
            Content::Beside(own) => Some((own.digest, own.text.clone())),
            Content::Inside(_) | Content::Absent(_) => None,
        }
    }

    /// Keeps the text beside the record, however small it is.
    pub fn keep_beside(&mut self) {
        if let Content::Inside(text) = &self.0 {
            *self = beside(text.clone());
        }
    }

    /// Lets the text go; its digest and length stay. A text that is in its record stays too.
    pub fn let_go(&mut self, why: AbsentWhy) {
        if let Some((digest, length_bytes)) = self.reference() {
            self.0 = Content::Absent(Arc::new(Absent::of(digest, length_bytes, why)));
        }
    }

    /// Gives a payload that is absent its text back, or says why there is none. The caller
    /// has compared the text with the digest; one that is at hand stays as it is.
    pub fn give_back(&mut self, found: Result<Arc<str>, AbsentWhy>) {
        let Content::Absent(own) = &self.0 else { return };
        let (digest, length_bytes) = (own.digest, own.length_bytes);
        self.0 = match found {
            Ok(text) => Content::Beside(Arc::new(Beside { digest, text })),
            Err(why) => Content::Absent(Arc::new(Absent::of(digest, length_bytes, why))),
        };
    }
}

fn beside(text: Arc<str>) -> Payload {
    let digest = Digest::of(text.as_bytes());
    Payload(Content::Beside(Arc::new(Beside { digest, text })))
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.reference() {
            None => serializer.serialize_str(self.text()),
            Some((digest, length_bytes)) => {
                serializer.serialize_str(&format!("{REFERENCE}{digest} {length_bytes}"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Arc::<str>::deserialize(deserializer)?;
        let Some(reference) = text.strip_prefix(REFERENCE) else {
            return Ok(Self(Content::Inside(text)));
        };
        let (digest, length_bytes) = read_reference(reference)
            .ok_or_else(|| de::Error::custom("a payload's digest and length are malformed"))?;
        let absent = Absent::of(digest, length_bytes, AbsentWhy::NotRead);
        Ok(Self(Content::Absent(Arc::new(absent))))
    }
}

/// 64 hex digits, a space, a length; written in exactly one way.
fn read_reference(reference: &str) -> Option<(Digest, u64)> {
    let (hex, length) = reference.split_once(' ')?;
    let (digest, length_bytes) = (Digest::parse(hex)?, length.parse::<u64>().ok()?);
    (length == length_bytes.to_string()).then_some((digest, length_bytes))
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through_json(payload: &Payload) -> Payload {
        let written = serde_json::to_string(payload).expect("plain data");
        serde_json::from_str(&written).expect("it was written here")
    }

    #[test]
    fn small_texts_stay_in_the_record_and_large_ones_leave_it() {
        let small = Payload::of(&json!("x".repeat(INLINE_BYTES_MAX - 2)));
        assert_eq!(through_json(&small), small);
        assert_eq!(small.reference(), None);
        let large = Payload::of(&json!("x".repeat(INLINE_BYTES_MAX - 1)));
        let (digest, text) = large.kept_beside().expect("it is larger than a record takes");
        let mut read = through_json(&large);
        assert_eq!(read.reference(), Some((digest, text.len() as u64)));
        assert_eq!(read.length_bytes(), text.len());
        assert_eq!(read.absent().map(|own| own.why), Some(AbsentWhy::NotRead));
        read.give_back(Ok(text));
        assert_eq!(read, large);
    }

    #[test]
    fn a_small_text_leaves_when_told_to_and_reads_back() {
        let mut payload = Payload::of(&json!({ "name": "Ada" }));
        payload.keep_beside();
        let (digest, _) = payload.kept_beside().expect("it was told to leave");
        assert_eq!(digest, Digest::of(br#"{"name":"Ada"}"#));
        let mut read = through_json(&payload);
        read.give_back(Err(AbsentWhy::Erased));
        assert_eq!(read.value()["$absent"]["why"], "erased");
        let failure = read.absent().expect("it is absent").failure("the input");
        assert_eq!(failure.code, codes::PAYLOAD_ERASED);
    }

    #[test]
    fn no_json_reads_as_a_reference_and_no_damage_as_one() {
        let forged = Payload::of(&json!(format!("{REFERENCE}{:064} 5", 0)));
        assert_eq!(through_json(&forged), forged);
        let hex = "ab".repeat(32);
        for bad in [format!("{hex} x"), hex.clone(), format!("{hex} 05"), format!("{hex}  5")] {
            let written = serde_json::to_string(&format!("{REFERENCE}{bad}")).expect("text");
            assert!(serde_json::from_str::<Payload>(&written).is_err(), "{bad}");
        }
    }
}
