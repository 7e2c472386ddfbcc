//! Patterns of names: `*` stands for any characters, everything else for itself.

/// Whether a text is what a pattern says.
#[must_use]
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut in_text) = (0, 0);
    let mut star = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(own) if *own == text[in_text] => (at, in_text) = (at + 1, in_text + 1),
            _ => {
                // The last `*` takes one more.
                let Some((before, taken)) = star else { return false };
                star = Some((before, taken + 1));
                (at, in_text) = (before + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|own| *own == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("**", "x", true),
            ("billing", "billing", true),
            ("billing", "billing-2", false),
            ("billing-*", "billing-", true),
            ("*-run", "billing-run-run", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a?", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
