//! No source file is longer than a reader likes. The length of functions is clippy's.

use super::policy::{self, Policy};
use super::sources::{self, Source};

const LINES_MAX: usize = 400;

fn problems(sources: &[Source], policy: &Policy) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let lines = source.text.lines().count();
        let exception = policy.long_file.iter().find(|entry| entry.path == source.path);
        let lines_max = exception.map_or(LINES_MAX, |entry| entry.lines_max);
        if lines > lines_max {
            problems.push(format!("{}: {lines} lines, at most {lines_max}", source.path));
        } else if exception.is_some() && lines <= LINES_MAX {
            problems.push(format!("{}: needs its exception no longer", source.path));
        }
    }
    for entry in &policy.long_file {
        if !sources.iter().any(|source| source.path == entry.path) {
            problems.push(format!("{}: has an exception and does not exist", entry.path));
        }
    }
    problems
}

#[test]
fn no_file_is_too_long() {
    super::assert_none("source files are too long", &problems(&sources::all(), &policy::read()));
}

#[test]
fn long_files_and_idle_exceptions_are_found() {
    let entry = |path, lines| {
        format!("[[long_file]]\npath = '{path}'\nlines_max = {lines}\nreason = 'a table'\n")
    };
    let policy = policy::parse(
        &[entry("table.rs", 500), entry("short.rs", 500), entry("gone.rs", 500)].concat(),
    );
    let file = |path, lines| Source::new(path, &"\n".repeat(lines));
    let found = problems(
        &[
            file("at_the_limit.rs", 400),
            file("long.rs", 401),
            file("table.rs", 501),
            file("short.rs", 10),
            file("prose.md", 9_000),
        ],
        &policy,
    );
    assert_eq!(
        found,
        [
            "long.rs: 401 lines, at most 400",
            "table.rs: 501 lines, at most 500",
            "short.rs: needs its exception no longer",
            "gone.rs: has an exception and does not exist",
        ]
    );
}
