//! Lists of words that clients meet are whole in the documents: each has every word of the program.

use backstitch_core::audit::AuditAction;
use backstitch_core::event::CallbackEvent;
use backstitch_core::report::letter_word;
use backstitch_core::summary::{LetterStatus, RunStatus};

use super::sources::{self, Source};

const API: &str = "docs/api.md";
/// A list: the page, what the stretch that holds it begins with (it ends with an empty line), and
/// its words.
type List = (&'static str, &'static str, Vec<&'static str>);

fn lists() -> Vec<List> {
    let callbacks = || CallbackEvent::WORDS.map(|(word, _)| word).to_vec();
    vec![
        (API, "## Audit\n\n", AuditAction::ALL.map(AuditAction::word).to_vec()),
        ("docs/callbacks.md", "| event | when |", callbacks()),
        ("docs/writing-a-workflow.md", "Ids that mean something else in URLs:", callbacks()),
        (API, "| `GET /api/v1/dlq?...` |", LetterStatus::ALL.map(letter_word).to_vec()),
        (API, "`status` is one of `pending", RunStatus::ALL.map(RunStatus::word).to_vec()),
    ]
}

fn problems(sources: &[Source], lists: &[List]) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, begins, words) in lists {
        let page = sources.iter().find(|own| own.path == *path);
        let Some((_, rest)) = page.and_then(|own| own.text.split_once(begins)) else {
            problems.push(format!("{path} has no `{}`", begins.trim()));
            continue;
        };
        let stretch = rest.split("\n\n").next().unwrap_or_default();
        let is_part = |own: char| own.is_ascii_alphanumeric() || "._".contains(own);
        let known: Vec<_> = format!("{begins}{stretch}")
            .split(|own| !is_part(own))
            .map(|own| own.trim_end_matches('.').to_owned())
            .collect();
        let missing = words.iter().filter(|word| !known.iter().any(|own| own == *word));
        problems
            .extend(missing.map(|word| format!("{path}: `{}...` lacks `{word}`", begins.trim())));
    }
    problems
}

#[test]
fn every_list_of_words_is_whole() {
    super::assert_none("lists of words are not whole", &problems(&sources::all(), &lists()));
}

#[test]
fn a_word_that_a_list_lacks_is_found() {
    let page =
        Source::new("docs/a.md", "intro\n\nOne of `red blue\ngreen.light`.\n\n`black` is none");
    let lists = [
        ("docs/a.md", "One of", vec!["red", "green.light", "green", "black"]),
        ("docs/b.md", "Two of", vec![]),
    ];
    let expected = [
        "docs/a.md: `One of...` lacks `green`",
        "docs/a.md: `One of...` lacks `black`",
        "docs/b.md has no `Two of`",
    ];
    assert_eq!(problems(&[page], &lists), expected);
}
