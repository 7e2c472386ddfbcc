//! The forms in which a secret may come back.

use backstitch_executors::http::url_told;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Where executors cut what services say.
const CUT: char = '…';
/// The least of a secret that is told from other text, in bytes.
const PART_BYTES_MIN: usize = 4;
/// The same, of what a URL leaves of it.
const URL_PART_BYTES_MIN: usize = 8;

/// Bytes that stand for themselves in URLs (RFC 3986, 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// One secret, and how its text may be written.
pub(super) struct Forms {
    instead: String,
    /// The longest first: one may be a part of another.
    forms: Vec<String>,
}

impl Forms {
    pub(super) fn of(name: &str, text: &str) -> Self {
        let json = serde_json::Value::from(text).to_string();
        let json = json[1..json.len() - 1].to_owned();
        let mut forms = vec![text.to_owned(), json];
        for space in ["%20", "+"] {
            forms.push(percent_encoded(text, space, |byte| format!("%{byte:02X}")));
            forms.push(percent_encoded(text, space, |byte| format!("%{byte:02x}")));
        }
        for before in 0..3 {
            forms.extend(within_base64(text.as_bytes(), before));
        }
        forms.extend(within_urls(text));
        forms.retain(|form| !form.is_empty());
        forms.sort_unstable_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
        forms.dedup();
        Self { instead: format!("[secret {name}]"), forms }
    }

    /// A text without the secret.
    pub(super) fn blot(&self, mut text: String) -> String {
        for form in &self.forms {
            if text.contains(&**form) {
                text = text.replace(&**form, &self.instead);
            }
        }
        self.without_beginning(text)
    }

    /// A text that was cut, without what is left of the secret before the cut.
    fn without_beginning(&self, text: String) -> String {
        let Some(cut) = text.strip_suffix(CUT) else { return text };
        let left = |form: &String| {
            let lengths = (PART_BYTES_MIN..form.len()).rev();
            lengths.filter_map(|length| form.get(..length)).find_map(|part| cut.strip_suffix(part))
        };
        let shortest = self.forms.iter().filter_map(left).min_by_key(|own| own.len());
        shortest.map_or_else(|| text.clone(), |before| format!("{before}{}{CUT}", self.instead))
    }
}

fn percent_encoded(text: &str, space: &str, escape: impl Fn(u8) -> String) -> String {
    let byte = |byte: u8| match byte {
        b' ' => space.to_owned(),
        byte if is_unreserved(byte) => char::from(byte).to_string(),
        byte => escape(byte),
    };
    text.bytes().map(byte).collect()
}

/// What failures tell of a URL that is the secret, and of one whose path ends with it.
fn within_urls(text: &str) -> impl Iterator<Item = String> + use<'_> {
    let told = move |before: &str| {
        let told = url_told(&format!("{before}{text}"))?;
        Some(told.strip_prefix(before).map(str::to_owned).unwrap_or(told))
    };
    ["", "https://x/"].into_iter().filter_map(told).filter(|own| own.len() >= URL_PART_BYTES_MIN)
}

/// What base64 makes of the secret where so many bytes of a group stand before it: the characters
/// that nothing but the secret has a part in.
fn within_base64(text: &[u8], before: usize) -> [String; 2] {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(text);
    // The bits of the bytes before end within this character, those of the last byte within that.
    let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|own| own[first..last].to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    #[test]
    fn what_a_failure_tells_of_a_url_has_nothing_of_a_secret_in_it() {
        for (secret, told) in [
            (
                "https://Chat.example:443/hooks/ID/TOKEN?wait=true",
                "https://chat.example/hooks/ID/TOKEN",
            ),
            ("T0/B0/TOKEN?wait=true", "https://hooks.example/T0/B0/TOKEN"),
            ("of the TOKEN/x#y", "https://hooks.example/of%20the%20TOKEN/x"),
        ] {
            let blotted = Forms::of("s", secret).blot(format!("POST {told} answered 404"));
            assert!(blotted.contains("[secret s]") && !blotted.contains("TOKEN"), "{blotted}");
        }
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let secret = "pass word/+\"ü1";
        let forms = Forms::of("s", secret);
        for said in [
            secret.to_owned(),
            r#"{"echo":"pass word/+\"ü1"}"#.to_owned(),
            "q=pass%20word%2F%2B%22%C3%BC1&x".to_owned(),
            "q=pass+word%2F%2B%22%C3%BC1&x".to_owned(),
            "q=pass%20word%2f%2b%22%c3%bc1&x".to_owned(),
        ] {
            let blotted = forms.blot(said.clone());
            assert!(
                blotted.contains("[secret s]") && !blotted.contains("word"),
                "{said}: {blotted}"
            );
        }
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zz", "zzz"] {
                let whole = format!("{before}{secret}{after}");
                for said in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                    let blotted = forms.blot(format!("Basic {said}"));
                    assert!(blotted.contains("[secret s]"), "{before} {after}: {blotted}");
                    let rest = blotted.replace("Basic ", "").replace("[secret s]", "");
                    let most = (before.len() + after.len()) * 4 / 3 + 8;
                    assert!(rest.len() <= most, "{before} {after}: {rest}");
                }
            }
        }
        for (said, blotted) in [
            ("no: pass word/…", "no: [secret s]…"),
            ("no: pass%20wor…", "no: [secret s]…"),
            ("no: pass…", "no: [secret s]…"),
            ("no: pas…", "no: pas…"),
            ("pass word…, and more", "pass word…, and more"),
        ] {
            assert_eq!(forms.blot(said.to_owned()), blotted);
        }
        let plain = "nothing of it".to_owned();
        assert_eq!(forms.blot(plain.clone()), plain);
    }
}
