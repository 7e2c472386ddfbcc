//! What an author may have meant.

/// The longest word compared: longer ones are no slips of the pen.
const WORD_BYTES_MAX: usize = 64;

/// The known word most like a given one, if they differ by a third at most.
pub(crate) fn nearest<'k>(
    given: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let given = given.to_ascii_lowercase();
    known
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(|word| (strsim::osa_distance(&given, &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1.max(word.len().max(given.len()) / 3))
        .min()
        .map(|(_, word)| word)
}

/// The known word that a given one is but for a slip of the pen: one letter, or the case.
pub(crate) fn slip<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let given = given.to_ascii_lowercase();
    let is = |word: &&str| strsim::osa_distance(&given, &word.to_ascii_lowercase()) <= 1;
    known.into_iter().find(is)
}
