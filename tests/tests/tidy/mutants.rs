//! The lists of deliberate faults (docs/mutants.md) do not rot: every fault still has its place
//! in the sources, and the test that is to catch it is still there.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::sources::{self, Source};

const LISTS: &str = "tests/mutants/";
/// Fewer would leave a part of the promises without one.
const MUTANTS_MIN: usize = 40;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    fault: String,
    file: String,
    find: String,
    replace: String,
    test: Test,
}

/// A test as `cargo test` names it; the target is `lib` or the name of a file or folder in `tests`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    package: String,
    target: String,
    name: String,
}

impl Test {
    /// Whether the function stands in a file of its module or of one above it.
    fn is_among(&self, sources: &[Source]) -> bool {
        let package = self.package.trim_start_matches("backstitch-");
        let (folder, file) = match self.target.as_str() {
            "lib" => (format!("{package}/src/"), String::new()),
            target => {
                (format!("{package}/tests/{target}/"), format!("{package}/tests/{target}.rs"))
            }
        };
        let (modules, function) = self.name.rsplit_once("::").unwrap_or(("", &self.name));
        let definition = format!("fn {function}(");
        let holds = |path: &str| {
            let Some(own) = path.strip_prefix(&folder) else { return path == file };
            let own = own.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
            matches!(own.as_str(), "lib" | "main")
                || modules == own
                || modules.strip_prefix(&own).is_some_and(|rest| rest.starts_with("::"))
        };
        sources.iter().any(|own| holds(&own.path) && own.text.contains(&definition))
    }
}

/// What is wrong with one mutant, but for its name.
fn problems_of(own: &Mutant, sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    match sources.iter().find(|source| source.path == own.file) {
        None => problems.push(format!("there is no file `{}`", own.file)),
        Some(source) => match source.text.matches(&own.find).count() {
            1 => {}
            count => problems.push(format!("`find` occurs {count} times in {}", own.file)),
        },
    }
    if own.find.is_empty() || own.find == own.replace {
        problems.push("it changes nothing".to_owned());
    }
    if !own.fault.ends_with('.') {
        problems.push("`fault` is no sentence".to_owned());
    }
    if !own.test.is_among(sources) {
        problems.push(format!("there is no test `{}`", own.test.name));
    }
    problems
}

fn problems(lists: &[Source], sources: &[Source], mutants_min: usize) -> Vec<String> {
    let (mut problems, mut names) = (Vec::new(), BTreeSet::new());
    for list in lists {
        let read: List = match toml::from_str(&list.text) {
            Ok(read) => read,
            Err(why) => {
                problems.push(format!("{}: {why}", list.path));
                continue;
            }
        };
        for own in &read.mutant {
            let mut found = problems_of(own, sources);
            if !names.insert(own.name.clone()) {
                found.push("another one has its name".to_owned());
            }
            let place = format!("{}: {}", list.path, own.name);
            problems.extend(found.into_iter().map(|why| format!("{place}: {why}")));
        }
    }
    if names.len() < mutants_min {
        problems.push(format!("{} mutants, at least {mutants_min}", names.len()));
    }
    problems
}

#[test]
fn every_mutant_has_its_place_and_its_test() {
    let sources = sources::all();
    let is_list = |own: &&Source| own.path.starts_with(LISTS) && own.path.ends_with(".toml");
    let lists: Vec<_> = sources.iter().filter(is_list).cloned().collect();
    super::assert_none("mutants do not fit", &problems(&lists, &sources, MUTANTS_MIN));
}

#[test]
fn mutants_that_lost_their_place_or_test_are_found() {
    let mutant = |name: &str, find: &str, fault: &str, test: &str| {
        format!(
            "[[mutant]]\nname = '{name}'\nfault = '{fault}'\nfile = 'core/src/a.rs'\n\
             find = '{find}'\nreplace = 'b'\n\
             test = {{ package = 'backstitch-core', target = 'lib', name = '{test}' }}\n"
        )
    };
    let sources = [
        Source::new("core/src/a.rs", "if one { two(two) }\nmod tests { fn inner() {} }"),
        Source::new("core/src/c/tests.rs", "fn outer() {}"),
    ];
    let text = [
        mutant("right", "one", "Wrong.", "a::tests::inner"),
        mutant("right", "one", "Wrong.", "c::tests::outer"),
        mutant("often", "two", "Wrong", "c::tests::inner"),
        mutant("gone", "three", "Wrong.", "c::tests::outer"),
    ];
    let list = Source::new("tests/mutants/core.toml", &text.concat());
    let unknown = Source::new("tests/mutants/api.toml", "mutants = []");
    let found = problems(&[list, unknown], &sources, 4);
    let expected = [
        "core.toml: right: another one has its name",
        "core.toml: often: `find` occurs 2 times in core/src/a.rs",
        "core.toml: often: `fault` is no sentence",
        "core.toml: often: there is no test `c::tests::inner`",
        "core.toml: gone: `find` occurs 0 times in core/src/a.rs",
    ];
    let expected = expected.map(|own| format!("tests/mutants/{own}"));
    assert_eq!(found[..5], expected);
    assert!(found[5].starts_with("tests/mutants/api.toml: "), "{found:?}");
    assert_eq!(found[6..], ["3 mutants, at least 4"]);
}
