//! `policy.toml`: what is allowed and what is excepted, each with its reason.

use std::fs;

use serde::Deserialize;

use super::sources;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Policy {
    pub(super) licence: Vec<Licence>,
    pub(super) banned: Vec<Banned>,
    pub(super) fenced: Vec<Fenced>,
    pub(super) advisory: Vec<Advisory>,
    pub(super) several: Vec<Several>,
    pub(super) long_file: Vec<LongFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Licence {
    pub(super) id: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Banned {
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) reason: String,
}

/// A crate that only one file may name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fenced {
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) file: String,
    reason: String,
}

/// An advisory that is accepted, and the files through which its crate is reached.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advisory {
    pub(super) id: String,
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) fences: Vec<String>,
    reason: String,
}

/// A crate that is in the tree in several versions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Several {
    #[serde(rename = "crate")]
    pub(super) name: String,
    pub(super) versions: usize,
    reason: String,
}

/// A source file that may be longer than the rule says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LongFile {
    pub(super) path: String,
    pub(super) lines_max: usize,
    reason: String,
}

pub(super) fn read() -> Policy {
    let path = sources::root().join("policy.toml");
    let text = fs::read_to_string(&path).expect("policy.toml lies in the root");
    parse(&text)
}

pub(super) fn parse(text: &str) -> Policy {
    toml::from_str(text).unwrap_or_else(|error| panic!("policy.toml: {error}"))
}

/// Entries whose reason says nothing.
fn without_reason(policy: &Policy) -> Vec<String> {
    let Policy { licence, banned, fenced, advisory, several, long_file } = policy;
    let reasons = (licence.iter().map(|entry| (&entry.id, &entry.reason)))
        .chain(banned.iter().map(|entry| (&entry.name, &entry.reason)))
        .chain(fenced.iter().map(|entry| (&entry.name, &entry.reason)))
        .chain(advisory.iter().map(|entry| (&entry.id, &entry.reason)))
        .chain(several.iter().map(|entry| (&entry.name, &entry.reason)))
        .chain(long_file.iter().map(|entry| (&entry.path, &entry.reason)));
    reasons
        .filter(|(_, reason)| reason.trim().is_empty())
        .map(|(entry, _)| format!("{entry} has no reason"))
        .collect()
}

#[test]
fn every_exception_has_a_reason() {
    super::assert_none("policy.toml", &without_reason(&read()));
}

#[test]
fn an_empty_reason_is_found() {
    let policy = parse("[[banned]]\ncrate = 'left-pad'\nreason = ' '\n");
    assert_eq!(without_reason(&policy), ["left-pad has no reason"]);
}

#[test]
#[should_panic(expected = "unknown field `reasons`")]
fn a_misspelt_field_is_refused() {
    parse("[[banned]]\ncrate = 'left-pad'\nreasons = 'none'\n");
}
