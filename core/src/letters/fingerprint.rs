//! Which dead letters are alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::normal;
use crate::failure::{Failure, FailureClass};
use crate::report::kind_word;
use crate::summary::LetterKind;

/// What dead letters of one cause share: the kind of the operation, its workflow and step, the
/// last failure's class, code and status, and its message in [normal](super::normal) form.
/// Printed as 16 hex digits.
///
/// The first eight bytes of a blake3 hash over those words, each behind its length: the same
/// everywhere and for ever. A callback has no step; its event and URL, in normal form, stand
/// in its place.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of an operation of a workflow; `subject` is the step's id, or the callback's URL.
    #[must_use]
    pub fn of(kind: LetterKind, workflow: &str, subject: &str, failure: &Failure) -> Self {
        let subject = match kind {
            LetterKind::Step | LetterKind::Undo => subject.to_owned(),
            LetterKind::Callback => path_of(subject),
        };
        let class = match failure.class {
            FailureClass::Retryable => "retryable",
            FailureClass::Permanent => "permanent",
        };
        let message = normal(&failure.message);
        let status = status_of(failure);
        let words = [kind_word(kind), workflow, &subject, class, &failure.code, &status, &message];
        let mut hasher = blake3::Hasher::new();
        for word in words {
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let first = hasher.finalize().as_bytes().first_chunk().copied();
        Self(u64::from_be_bytes(first.expect("a hash is longer")))
    }
}

/// A URL's host and path, each part of it in normal form; its query tells one run from another.
fn path_of(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let parts: Vec<String> = url[..end]
        .split('/')
        .map(|part| if part.contains([':', '.']) { part.to_owned() } else { normal(part) })
        .collect();
    parts.join("/")
}

/// The status that a service answered with, if it did: a number that means something.
fn status_of(failure: &Failure) -> String {
    let details = failure.details.as_ref().map(|details| details.value());
    details.and_then(|own| own["status"].as_u64()).map(|own| own.to_string()).unwrap_or_default()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a fingerprint (16 hex digits)")]
pub struct BadFingerprint {
    given: String,
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let bad = || BadFingerprint { given: text.chars().take(64).collect() };
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(lower) {
            return Err(bad());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::payload::Payload;

    fn refused(status: u16, message: &str) -> Failure {
        let details = Payload::of(&json!({ "status": status, "body": message }));
        Failure::permanent("HTTP_STATUS", message).with_details(details)
    }

    fn of_step(step: &str, failure: &Failure) -> Fingerprint {
        Fingerprint::of(LetterKind::Step, "order", step, failure)
    }

    #[test]
    fn alike_is_what_differs_in_numbers_and_ids_only() {
        let one = of_step("charge", &refused(409, "card 4711 of `ann` was refused"));
        assert_eq!(one, of_step("charge", &refused(409, "card 9 of `bob` was refused")));
        let others = [
            of_step("ship", &refused(409, "card 9 of `bob` was refused")),
            of_step("charge", &refused(410, "card 9 of `bob` was refused")),
            of_step("charge", &refused(409, "card 9 of `bob` was stolen")),
            Fingerprint::of(
                LetterKind::Undo,
                "order",
                "charge",
                &refused(409, "card 9 of `bob` was refused"),
            ),
            Fingerprint::of(
                LetterKind::Step,
                "refund",
                "charge",
                &refused(409, "card 9 of `bob` was refused"),
            ),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn a_callback_is_told_by_its_host_and_path() {
        let failure = Failure::retryable("NETWORK_ERROR", "refused");
        let of = |url| Fingerprint::of(LetterKind::Callback, "order", url, &failure);
        let one = of("https://shop.example/orders/12/done?token=a1");
        assert_eq!(one, of("https://shop.example/orders/77/done?token=b2"));
        assert_ne!(one, of("https://other.example/orders/12/done"));
    }

    /// What a fingerprint is made of never changes: people keep them, and rules name them.
    #[test]
    fn a_known_failure_keeps_its_fingerprint() {
        let found = of_step("charge", &refused(409, "card 4711 was refused"));
        assert_eq!(found.to_string(), "abccd2b16ec564e9");
        assert_eq!(found.to_string().parse(), Ok(found));
        for bad in ["", "4", "3B8F0000000000000", "g000000000000000"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
