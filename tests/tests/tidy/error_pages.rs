//! Every error code has its page `docs/errors/CODE.md`, and every page its code.
//!
//! A code is a constant whose text is its own name: `pub const CYCLE: &str = "CYCLE";`.

use std::collections::BTreeMap;

use super::sources::{self, Source};

const FOLDER: &str = "docs/errors/";

fn problems(sources: &[Source]) -> Vec<String> {
    let mut codes = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_rust() && source.path.contains("src/")) {
        for code in codes_of(&source.text) {
            codes.entry(code).or_insert(&source.path);
        }
    }
    let pages: Vec<&str> = (sources.iter())
        .filter_map(|source| source.path.strip_prefix(FOLDER)?.strip_suffix(".md"))
        .filter(|page| *page != "README")
        .collect();
    let missing = (codes.iter())
        .filter(|(code, _)| !pages.contains(&code.as_str()))
        .map(|(code, path)| format!("{FOLDER}{code}.md is missing; the code is in {path}"));
    let idle = (pages.iter())
        .filter(|page| !codes.contains_key(**page))
        .map(|page| format!("{FOLDER}{page}.md describes a code that does not exist"));
    missing.chain(idle).collect()
}

/// The codes that a source declares, also where the declaration is broken over lines.
fn codes_of(text: &str) -> Vec<String> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (words.split("const ").skip(1))
        .filter_map(|rest| {
            let (name, rest) = rest.split_once(':')?;
            let (kind, rest) = rest.split_once('=')?;
            let value = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            let is_text = ["&str", "&'static str"].contains(&kind.trim());
            let is_code =
                name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            (is_text && is_code && name == value).then(|| name.to_owned())
        })
        .collect()
}

#[test]
fn every_error_code_has_its_page() {
    super::assert_none("error codes and their pages differ", &problems(&sources::all()));
}

#[test]
fn missing_and_idle_pages_are_found() {
    let code = r#"
        pub const CYCLE: &str = "CYCLE";
        pub(crate) const NO_STEPS: &'static str =
            "NO_STEPS";
        pub const NOOP: &str = "noop";
        pub const STEPS_MAX: usize = 10_000;
    "#;
    let found = problems(&[
        Source::new("core/src/problem.rs", code),
        Source::new("tests/tests/main.rs", r#"const ONLY_HERE: &str = "ONLY_HERE";"#),
        Source::new("docs/errors/CYCLE.md", ""),
        Source::new("docs/errors/GONE.md", ""),
        Source::new("docs/errors/README.md", ""),
    ]);
    assert_eq!(
        found,
        [
            "docs/errors/NO_STEPS.md is missing; the code is in core/src/problem.rs",
            "docs/errors/GONE.md describes a code that does not exist",
        ]
    );
}
