//! No file names a place of the machine it was written on.

use super::sources::{self, Source};

/// Starts of absolute paths that no other machine has, in two parts so that this file passes.
/// Temporary folders are included: tests ask for one (`tempfile`, `mktemp`), papers use relative
/// paths.
const STARTS: [(&str, &str); 5] =
    [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/t", "mp/")];

fn problems(sources: &[Source]) -> Vec<String> {
    let starts = STARTS.map(|(head, tail)| format!("{head}{tail}"));
    let mut problems = Vec::new();
    for source in sources {
        for (index, line) in source.text.lines().enumerate() {
            for start in starts.iter().filter(|start| names(line, start)) {
                problems.push(format!("{}:{}: {start}", source.path, index + 1));
            }
        }
    }
    problems
}

/// Whether the start begins a path in the line, rather than continuing one (`net/work/`).
fn names(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}>~$".contains(c))
    })
}

#[test]
fn no_file_names_this_machine() {
    super::assert_none("paths of one machine", &problems(&sources::all()));
}

#[test]
fn paths_of_a_machine_are_found_and_others_are_not() {
    let (head, tail) = STARTS[0];
    let text = format!(
        "see `{head}{tail}notes`\nnet{head}{tail}notes\n${{dir}}{head}{tail}x\nhttps://a.b{head}{tail}x"
    );
    let found = problems(&[Source::new("a.md", &text)]);
    assert_eq!(found, [format!("a.md:1: {head}{tail}")]);
}
