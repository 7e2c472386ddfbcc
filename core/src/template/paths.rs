//! Templates that only name things, by far the most: read straight from the facts, with no
//! engine, no copies of what is not asked for, and an exact word on what is missing.

use std::borrow::Cow;

use serde_json::Value;

use super::facts::described;
use super::tokens::{Spanned, Token};
use super::{ITEM_ROOTS, ROOTS, scan};

/// A path from a root: `input.customer.tags[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    root: Box<str>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Field(Box<str>),
    Item(usize),
}

/// A piece of a text that holds nothing but paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(Box<str>),
    Path(Path),
    /// What a secret of this name is, which nobody knows here.
    Secret(Box<str>),
}

impl Path {
    /// The path that all of some tokens make, if they make one.
    pub(super) fn of(tokens: &[Spanned<'_>]) -> Option<Self> {
        let (first, mut rest) = tokens.split_first()?;
        let Token::Name(root) = first.token else { return None };
        if !ROOTS.contains(&root) && !ITEM_ROOTS.contains(&root) {
            return None;
        }
        let mut parts = Vec::new();
        while let Some((mark, after)) = rest.split_first() {
            let (part, closed) = match (&mark.token, after) {
                (Token::Symbol("."), [part, after @ ..]) => (part, after),
                (Token::Symbol("["), [part, close, after @ ..])
                    if close.token == Token::Symbol("]") =>
                {
                    (part, after)
                }
                _ => return None,
            };
            parts.push(match &part.token {
                Token::Name(name) if mark.token == Token::Symbol(".") => {
                    Part::Field((*name).into())
                }
                Token::Text(name) => Part::Field(name.as_str().into()),
                Token::Number(place) => Part::Item(place.parse().ok()?),
                _ => return None,
            });
            rest = closed;
        }
        Some(Self { root: root.into(), parts })
    }

    /// What is there.
    ///
    /// # Errors
    /// A sentence on what is missing.
    pub(super) fn find<'f>(&self, facts: &'f Value) -> Result<&'f Value, String> {
        let mut found = facts.get(&*self.root).unwrap_or(&Value::Null);
        for (at, part) in self.parts.iter().enumerate() {
            let next = match part {
                Part::Field(name) => found.get(&**name),
                Part::Item(place) => found.get(place),
            };
            found = next.ok_or_else(|| described(&self.written(at), &part.written(), found))?;
        }
        Ok(found)
    }

    /// The path up to a part, as its author may have written it.
    fn written(&self, parts: usize) -> String {
        let parts: String = self.parts[..parts].iter().map(Part::written).collect();
        format!("{}{parts}", self.root)
    }
}

impl Part {
    fn written(&self) -> String {
        match self {
            Self::Item(place) => format!("[{place}]"),
            Self::Field(name) if scan::is_name(name) => format!(".{name}"),
            Self::Field(name) => format!("[\"{name}\"]"),
        }
    }
}

/// A value in the middle of a text: texts as they are, everything else as JSON.
pub(super) fn as_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}
