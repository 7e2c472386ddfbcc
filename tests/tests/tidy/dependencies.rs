//! What may be in the tree: banned crates, crates in several versions, accepted advisories.
//!
//! Works on `Cargo.lock`, so it sees every platform. It cannot know of new advisories: the list in
//! `policy.toml` was compared with the database by hand; here it is kept from going stale.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::packages::{self, Locked};
use super::policy::{self, Policy};
use super::sources;

fn banned(locked: &[Locked], policy: &Policy) -> Vec<String> {
    (policy.banned.iter())
        .filter(|entry| locked.iter().any(|package| package.name == entry.name))
        .map(|entry| format!("{} is banned: {}", entry.name, entry.reason))
        .collect()
}

fn several(locked: &[Locked], policy: &Policy) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in locked {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let listed: BTreeMap<&str, usize> =
        policy.several.iter().map(|entry| (entry.name.as_str(), entry.versions)).collect();
    let mut problems = Vec::new();
    for (name, versions) in &versions {
        let expected = listed.get(name).copied().unwrap_or(1);
        if versions.len() != expected {
            let found = versions.iter().copied().collect::<Vec<_>>().join(", ");
            problems.push(format!("{name}: {found}, policy.toml says {expected}"));
        }
    }
    let gone = listed.keys().filter(|name| !versions.contains_key(**name));
    problems.extend(gone.map(|name| format!("{name}: in policy.toml, no longer in the tree")));
    problems
}

/// Advisories whose crate has left the tree, whose id is no id, or whose fence does not exist.
fn advisories(locked: &[Locked], policy: &Policy, root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in &policy.advisory {
        if !locked.iter().any(|package| package.name == entry.name) {
            problems.push(format!("{}: {} is no longer in the tree", entry.id, entry.name));
        }
        if !is_advisory_id(&entry.id) {
            problems.push(format!("{}: not of the form RUSTSEC-0000-0000", entry.id));
        }
        if entry.fences.is_empty() {
            problems.push(format!("{}: names no fence", entry.id));
        }
        for fence in entry.fences.iter().filter(|fence| !root.join(fence).is_file()) {
            problems.push(format!("{}: its fence {fence} does not exist", entry.id));
        }
    }
    for entry in policy.fenced.iter().filter(|entry| !root.join(&entry.file).is_file()) {
        problems.push(format!("{}: its fence {} does not exist", entry.name, entry.file));
    }
    problems
}

fn is_advisory_id(id: &str) -> bool {
    let digits = |part: &str| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(id.split('-').collect::<Vec<_>>()[..], ["RUSTSEC", year, number]
        if digits(year) && digits(number))
}

#[test]
fn no_banned_crate_is_in_the_tree() {
    super::assert_none("banned crates", &banned(&packages::locked(), &policy::read()));
}

#[test]
fn crates_in_several_versions_are_listed() {
    super::assert_none("several versions", &several(&packages::locked(), &policy::read()));
}

#[test]
fn accepted_advisories_are_current() {
    let problems = advisories(&packages::locked(), &policy::read(), &sources::root());
    super::assert_none("advisories", &problems);
}

fn tree(packages: &[(&str, &str)]) -> Vec<Locked> {
    (packages.iter())
        .map(|(name, version)| Locked { name: (*name).into(), version: (*version).into() })
        .collect()
}

#[test]
fn banned_crates_are_found() {
    let policy = policy::parse("[[banned]]\ncrate = 'native-tls'\nreason = 'a second TLS'\n");
    let found = banned(&tree(&[("rustls", "0.23.0"), ("native-tls", "0.2.0")]), &policy);
    assert_eq!(found, ["native-tls is banned: a second TLS"]);
    assert!(banned(&tree(&[("rustls", "0.23.0")]), &policy).is_empty());
}

#[test]
fn unlisted_and_idle_versions_are_found() {
    let entry = |name: &str, versions| {
        format!("[[several]]\ncrate = '{name}'\nversions = {versions}\nreason = 'moving'\n")
    };
    let policy = policy::parse(&[entry("rand", 2), entry("syn", 2), entry("gone", 2)].concat());
    let packages =
        [("base64", "0.21.0"), ("base64", "0.22.0"), ("rand", "0.8.0"), ("rand", "0.9.0")];
    let found = several(&tree(&[&packages[..], &[("syn", "2.0.0")]].concat()), &policy);
    assert_eq!(
        found,
        [
            "base64: 0.21.0, 0.22.0, policy.toml says 1",
            "syn: 2.0.0, policy.toml says 2",
            "gone: in policy.toml, no longer in the tree",
        ]
    );
}

#[test]
fn stale_advisories_and_missing_fences_are_found() {
    let entry = |id: &str, name: &str, fences: &str| {
        format!("[[advisory]]\nid = '{id}'\ncrate = '{name}'\nfences = {fences}\nreason = 'old'\n")
    };
    let policy = policy::parse(
        &[
            entry("RUSTSEC-2020-0001", "here", "['Cargo.toml']"),
            entry("RUSTSEC-2020-0002", "gone", "['Cargo.toml']"),
            entry("RUSTSEC-2020-2", "here", "[]"),
            entry("RUSTSEC-2020-0003", "here", "['core/src/nowhere.rs']"),
        ]
        .concat(),
    );
    assert_eq!(
        advisories(&tree(&[("here", "1.0.0")]), &policy, &sources::root()),
        [
            "RUSTSEC-2020-0002: gone is no longer in the tree",
            "RUSTSEC-2020-2: not of the form RUSTSEC-0000-0000",
            "RUSTSEC-2020-2: names no fence",
            "RUSTSEC-2020-0003: its fence core/src/nowhere.rs does not exist",
        ]
    );
}
