//! Who may name whom: the arrows between the crates, what the pure core may not touch, and the
//! crates that are kept behind one file.

use super::packages::{self, Package};
use super::policy::{self, Fenced};
use super::rust_paths::{Named, named};
use super::sources::{self, Source};

/// Which of our packages a folder's package may depend on. The tests may use everything.
const ARROWS: [(&str, &[&str]); 7] = [
    ("core", &[]),
    ("journal", &["backstitch-core"]),
    ("executors", &["backstitch-core"]),
    ("saga", &["backstitch-core", "backstitch-journal", "backstitch-executors"]),
    ("api", &["backstitch-core", "backstitch-journal", "backstitch-executors", "backstitch-saga"]),
    ("replay-tool", &["backstitch-core", "backstitch-journal", "backstitch-executors"]),
    (
        "tests",
        &[
            "backstitch-core",
            "backstitch-journal",
            "backstitch-executors",
            "backstitch-saga",
            "backstitch-api",
            "replay-tool",
        ],
    ),
];

/// What the core may not name: clocks, IO, randomness, concurrency, logging. (The trait
/// `std::io::Write` over memory is none of these.)
const NOT_IN_CORE: [&str; 19] = [
    "std::env",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "chrono::Local",
    "chrono::Utc::now",
    "getrandom",
    "log",
    "metrics",
    "rand",
    "std::hash::RandomState",
    "tokio",
    "tracing",
];

fn wrong_arrows(packages: &[Package]) -> Vec<String> {
    let ours: Vec<&Package> = packages.iter().filter(|package| package.is_ours()).collect();
    let mut problems = Vec::new();
    for package in &ours {
        let folder = package.folder();
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == folder) else {
            problems.push(format!("{folder}: has no place in the layers"));
            continue;
        };
        for dependency in &package.dependencies {
            let is_ours = ours.iter().any(|other| other.name == dependency.name);
            if is_ours && !allowed.contains(&dependency.name.as_str()) {
                problems.push(format!("{folder}: may not depend on {}", dependency.name));
            }
        }
    }
    problems
}

fn impurities(sources: &[Source]) -> Vec<String> {
    let shipped = |file: &&Source| file.is_rust() && !file.path.ends_with("tests.rs");
    let core = sources.iter().filter(shipped).filter(|file| file.path.starts_with("core/src/"));
    core.flat_map(|source| {
        let paths = named(&source.text).into_iter();
        let wrong = paths.filter(|path| NOT_IN_CORE.iter().any(|start| path.starts_with(start)));
        wrong.map(|path| format!("{}:{}: {}", source.path, path.line, path.path))
    })
    .collect()
}

/// Fenced crates named outside their file, or depended on by a package that has no fence for them.
fn outside_fences(sources: &[Source], packages: &[Package], fences: &[Fenced]) -> Vec<String> {
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for path in named(&source.text) {
            let fence = fences.iter().find(|fence| path.starts_with(&fence.name));
            if let Some(fence) = fence.filter(|fence| fence.file != source.path) {
                let Named { line, path } = path;
                problems.push(format!(
                    "{}:{line}: {path}, which only {} may name",
                    source.path, fence.file
                ));
            }
        }
    }
    for package in packages.iter().filter(|package| package.is_ours()) {
        let folder = format!("{}/", package.folder());
        for dependency in &package.dependencies {
            let fence = fences.iter().find(|fence| fence.name == dependency.name);
            if let Some(fence) = fence.filter(|fence| !fence.file.starts_with(&folder)) {
                problems
                    .push(format!("{folder}: depends on {}, kept in {}", fence.name, fence.file));
            }
        }
    }
    problems
}

#[test]
fn arrows_run_one_way() {
    super::assert_none(
        "dependencies against the layers",
        &wrong_arrows(&packages::of_this_platform()),
    );
}

#[test]
fn the_core_is_pure() {
    super::assert_none("the core may not name", &impurities(&sources::all()));
}

#[test]
fn fenced_crates_stay_behind_their_file() {
    let problems =
        outside_fences(&sources::all(), &packages::of_this_platform(), &policy::read().fenced);
    super::assert_none("fenced crates", &problems);
}

#[test]
fn wrong_arrows_are_found() {
    let mut core = Package::new("core", None, &["saga"]);
    core.name = "backstitch-core".to_owned();
    let saga = Package::new("saga", None, &["backstitch-core", "serde"]);
    let found = wrong_arrows(&[core, saga, Package::new("extra", None, &[])]);
    assert_eq!(found, ["core: may not depend on saga", "extra: has no place in the layers"]);
}

#[test]
fn impurities_are_found() {
    let text = "use std::{collections::BTreeMap, time::{Duration, Instant}};\n\
                fn random(rand: u8) { tracing::info!(\"tokio::spawn\"); }";
    let found = impurities(&[
        Source::new("core/src/decide.rs", text),
        Source::new("saga/src/driver.rs", text),
    ]);
    assert_eq!(
        found,
        ["core/src/decide.rs:1: std::time::Instant", "core/src/decide.rs:2: tracing::info",]
    );
}

#[test]
fn names_outside_their_fence_are_found() {
    let fences = policy::parse(
        "[[fenced]]\ncrate = 'sled'\nfile = 'journal/src/sled.rs'\nreason = 'one file'\n",
    )
    .fenced;
    let found = outside_fences(
        &[
            Source::new("journal/src/sled.rs", "use sled::Db;"),
            Source::new("journal/src/store.rs", "use crate::sled::Store;\ntype Db = sled::Db;"),
            Source::new("tests/tests/crash.rs", "use sled;"),
        ],
        &[Package::new("journal", None, &["sled"]), Package::new("saga", None, &["sled"])],
        &fences,
    );
    assert_eq!(
        found,
        [
            "journal/src/store.rs:2: sled::Db, which only journal/src/sled.rs may name",
            "tests/tests/crash.rs:1: sled, which only journal/src/sled.rs may name",
            "saga/: depends on sled, kept in journal/src/sled.rs",
        ]
    );
}
