//! No file holds two versions of a merge that was not finished.

use super::sources::{self, Source};

/// What stands for the beginning and the end of a version, seven times.
const MARKS: [&str; 2] = ["<", ">"];

fn problems(sources: &[Source]) -> Vec<String> {
    let marks = MARKS.map(|mark| format!("{} ", mark.repeat(7)));
    let mut problems = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.starts_with(mark)) {
                problems.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    problems
}

#[test]
fn no_file_holds_two_versions() {
    super::assert_none("merges that were not finished", &problems(&sources::all()));
}

#[test]
fn unfinished_merges_are_found_and_quotes_are_not() {
    let marks = MARKS.map(|mark| mark.repeat(7));
    let text =
        format!("{} ours\none\n=======\ntwo\n{} theirs\n> {}\n", marks[0], marks[1], marks[0]);
    let found = problems(&[Source::new("a.md", &text)]);
    assert_eq!(found, ["a.md:1", "a.md:5"]);
}
