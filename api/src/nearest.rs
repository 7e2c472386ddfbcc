//! What somebody may have meant: the nearest known word.

/// Edits that still count as a slip.
const EDITS_MAX: usize = 3;

/// The known word that is nearest to a given one, if any is near.
#[must_use]
pub fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |word: &str| strsim::damerau_levenshtein(given, word);
    let near = known.iter().map(|&word| (distance(word), word)).min_by_key(|(edits, _)| *edits);
    near.filter(|&(edits, word)| edits <= EDITS_MAX && edits < word.len()).map(|(_, word)| word)
}

/// A sentence about an unknown word: what it is, and what may have been meant.
#[must_use]
pub fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let shown: String = given.chars().take(64).collect();
    match nearest(&shown, known) {
        Some(word) => format!("unknown {what} `{shown}`; did you mean `{word}`?"),
        None => format!("unknown {what} `{shown}`; known are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["input", "variables", "wait_seconds"];
        assert_eq!(nearest("inptu", &known), Some("input"));
        assert_eq!(nearest("wait_second", &known), Some("wait_seconds"));
        assert_eq!(nearest("priority", &known), None);
        assert_eq!(
            unknown("field", "priority", &known),
            "unknown field `priority`; known are: input, variables, wait_seconds"
        );
    }
}
