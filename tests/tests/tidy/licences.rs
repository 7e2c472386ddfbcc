//! Every package's licence can be met with the licences that `policy.toml` allows.
//!
//! Reads SPDX expressions: `OR`, `AND`, `WITH`, parentheses, and the old `/` for `OR`. A licence
//! `WITH` an exception is allowed only as a whole.

use super::packages::{self, Package};
use super::policy::{self, Policy};

fn problems(packages: &[Package], policy: &Policy) -> Vec<String> {
    let allowed: Vec<&str> = policy.licence.iter().map(|licence| licence.id.as_str()).collect();
    (packages.iter())
        .filter_map(|Package { name, version, license, .. }| match license.as_deref() {
            None => Some(format!("{name} {version} names no licence")),
            Some(expression) => match satisfied(expression, &allowed) {
                Some(true) => None,
                Some(false) => Some(format!("{name} {version} is under {expression}")),
                None => Some(format!("{name} {version}: cannot read the licence {expression}")),
            },
        })
        .collect()
}

/// Whether the allowed licences satisfy the expression; None if it cannot be read.
fn satisfied(expression: &str, allowed: &[&str]) -> Option<bool> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    let satisfied = reader.any()?;
    reader.words.is_empty().then_some(satisfied)
}

/// Takes words off the front; `AND` binds tighter than `OR`.
struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl Reader<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut satisfied = self.all()?;
        while self.take("OR") {
            satisfied |= self.all()?;
        }
        Some(satisfied)
    }

    fn all(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.any()?;
            return self.take(")").then_some(satisfied);
        }
        let id = self.id()?;
        if self.take("WITH") {
            let exception = self.id()?;
            return Some(self.allowed.contains(&format!("{id} WITH {exception}").as_str()));
        }
        Some(self.allowed.contains(&id.as_str()))
    }

    fn id(&mut self) -> Option<String> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        (!["OR", "AND", "WITH", "(", ")"].contains(first)).then(|| (*first).to_owned())
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[test]
fn every_licence_is_allowed() {
    let problems = problems(&packages::of_this_platform(), &policy::read());
    super::assert_none("licences that policy.toml does not allow", &problems);
}

#[test]
fn other_licences_are_found() {
    let policy = policy::parse("[[licence]]\nid = 'MIT'\nreason = 'permissive'\n");
    let found = problems(
        &[
            Package::new("fine", Some("MIT OR GPL-3.0"), &[]),
            Package::new("copyleft", Some("GPL-3.0"), &[]),
            Package::new("silent", None, &[]),
            Package::new("torn", Some("MIT OR"), &[]),
        ],
        &policy,
    );
    assert_eq!(
        found,
        [
            "copyleft 1.0.0 is under GPL-3.0",
            "silent 1.0.0 names no licence",
            "torn 1.0.0: cannot read the licence MIT OR",
        ]
    );
}

#[test]
fn expressions() {
    let cases = [
        ("MIT", Some(true)),
        ("GPL-3.0", Some(false)),
        ("MIT/Apache-2.0", Some(true)),
        ("GPL-3.0 OR ISC", Some(true)),
        ("MIT AND GPL-3.0", Some(false)),
        ("GPL-3.0 OR MIT AND ISC", Some(true)),
        ("(GPL-3.0 OR MIT) AND ISC", Some(true)),
        ("(GPL-3.0 OR MIT) AND Zlib", Some(false)),
        ("MIT WITH LLVM-exception", Some(false)),
        ("Apache-2.0 WITH LLVM-exception", Some(true)),
        ("(MIT", None),
        ("MIT ISC", None),
        ("OR MIT", None),
        ("", None),
    ];
    for (expression, expected) in cases {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"];
        assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
    }
}
