//! Rules about the sources that no compiler checks: layers, lengths, licences, advisories, links,
//! error pages, paths, merges, mutants; and that the documents name what there is: routes, flags, words.
//!
//! Each rule is a function from texts to a list of problems, tried on wrong input as well as on the
//! project, and it reports everything it finds at once. Lints, formatting and the length of
//! functions belong to clippy and rustfmt. Exceptions live in `policy.toml` with their reasons.

mod command_line;
mod conflicts;
mod dependencies;
mod error_pages;
mod layering;
mod length;
mod licences;
mod links;
mod machine_paths;
mod mutants;
mod packages;
mod policy;
mod routes;
mod rust_paths;
mod sources;
mod word_lists;

/// Fails with the whole list when there is one.
#[track_caller]
fn assert_none(rule: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{rule}\n  {}\n", problems.join("\n  "));
}
