//! The names that templates of the documents use, and what they are in the canonical form.
//!
//! Rewrites tokens and leaves the rest of a text as it is; what can't be read is left alone, so
//! that the canonical form's own check says what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::definition::nearest::nearest;
use crate::definition::problem::codes;
use crate::template::{Close, KEYWORDS, Spanned, Token, has_template, tokens};

use super::draft::Draft;

/// Roots that mean the same in every form.
const ROOTS: [&str; 5] = ["input", "variables", "steps", "secrets", "loop"];

/// What bare names mean.
#[derive(Debug, Default)]
pub(super) struct Naming {
    /// Roots that are the run's input.
    pub input_words: &'static [&'static str],
    /// Whether a bare name is a parameter or a step.
    pub bare: bool,
    /// Ids of steps.
    pub steps: BTreeSet<String>,
    /// Parameters that are declared, with their defaults; nobody declares any if absent.
    pub parameters: Option<BTreeMap<String, Option<Value>>>,
    /// Whether `workflow.id` is the run's id.
    pub workflow_id_is_run: bool,
}

/// One text on its way.
struct Rewriting<'a> {
    naming: &'a Naming,
    source: &'a str,
    path: &'a str,
    made: String,
    from: usize,
    loops: Vec<&'a str>,
}

impl Naming {
    /// A tree with its templates rewritten; `places` is its path in the document and in the
    /// canonical form.
    pub fn tree(&self, value: &Value, places: (&str, &str), draft: &mut Draft) -> Value {
        match value {
            Value::String(text) if has_template(text) => self.text(text, places, draft).into(),
            Value::Array(items) => {
                let each = |(at, item): (usize, &Value)| {
                    let (source, canonical) = places;
                    let below = (format!("{source}[{at}]"), format!("{canonical}[{at}]"));
                    self.tree(item, (&below.0, &below.1), draft)
                };
                items.iter().enumerate().map(each).collect()
            }
            Value::Object(fields) => {
                let mut made = serde_json::Map::new();
                for (name, field) in fields {
                    let (source, canonical) = places;
                    let below = (format!("{source}.{name}"), format!("{canonical}.{name}"));
                    made.insert(name.clone(), self.tree(field, (&below.0, &below.1), draft));
                }
                Value::Object(made)
            }
            other => other.clone(),
        }
    }

    /// A condition, with braces or without.
    pub fn condition(&self, text: &str, places: (&str, &str), draft: &mut Draft) -> String {
        if has_template(text) {
            return self.text(text, places, draft);
        }
        let (path, canonical) = places;
        let mut rewriting = self.begin(text, path);
        let Ok(read) = tokens(text, 0, Close::EndOfText) else { return text.to_owned() };
        rewriting.expression(&read.list, draft);
        rewriting.end(canonical, draft)
    }

    fn text(&self, text: &str, places: (&str, &str), draft: &mut Draft) -> String {
        let (path, canonical) = places;
        let mut rewriting = self.begin(text, path);
        let mut at = 0;
        while let Some((offset, close)) = next_mark(text, at) {
            let start = offset + 2 + usize::from(text[offset + 2..].starts_with('-'));
            let Some(close) = close else {
                let Some(length) = text[start..].find("#}") else { return text.to_owned() };
                at = start + length + 2;
                continue;
            };
            let Ok(read) = tokens(text, start, close) else { return text.to_owned() };
            match close {
                Close::Statement => rewriting.statement(&read.list, draft),
                Close::Emit | Close::EndOfText => rewriting.expression(&read.list, draft),
            }
            at = read.end;
        }
        rewriting.end(canonical, draft)
    }

    fn begin<'a>(&'a self, source: &'a str, path: &'a str) -> Rewriting<'a> {
        Rewriting { naming: self, source, path, made: String::new(), from: 0, loops: Vec::new() }
    }
}

/// The next place where something that is no text begins; a comment has no close.
fn next_mark(text: &str, from: usize) -> Option<(usize, Option<Close>)> {
    let marks = [("{{", Some(Close::Emit)), ("{%", Some(Close::Statement)), ("{#", None)];
    let found = marks.into_iter().filter_map(|(mark, close)| {
        let at = text[from..].find(mark)?;
        Some((from + at, close))
    });
    found.min_by_key(|(at, _)| *at)
}

impl<'a> Rewriting<'a> {
    fn statement(&mut self, tokens: &[Spanned<'a>], draft: &mut Draft) {
        let Some((Spanned { token: Token::Name(word), .. }, rest)) = tokens.split_first() else {
            return;
        };
        match *word {
            "for" => {
                let at = rest.iter().position(|one| one.token == Token::Name("in"));
                let (bound, data) = rest.split_at(at.map_or(rest.len(), |at| at));
                self.expression(data, draft);
                self.loops.extend(bound.iter().filter_map(|one| match one.token {
                    Token::Name(name) => Some(name),
                    _ => None,
                }));
            }
            "if" | "elif" => self.expression(rest, draft),
            _ => {}
        }
    }

    fn expression(&mut self, tokens: &[Spanned<'a>], draft: &mut Draft) {
        let mut at = 0;
        while at < tokens.len() {
            let used = match tokens[at].token {
                Token::Name(name) if is_root(tokens, at) => self.root(name, tokens, at, draft),
                _ => 1,
            };
            at += used;
        }
    }

    /// Rewrites a name; answers how many tokens it was.
    fn root(&mut self, name: &str, tokens: &[Spanned<'a>], at: usize, draft: &mut Draft) -> usize {
        let naming = self.naming;
        if self.loops.contains(&name) || ROOTS.contains(&name) {
            return 1;
        }
        if naming.input_words.contains(&name) {
            self.put(&tokens[at], tokens[at].end, "input");
            return 1;
        }
        if name == "workflow" {
            return self.workflow(tokens, at, draft);
        }
        if !naming.bare {
            return 1;
        }
        if let Some(length) = hyphenated(naming, tokens, at) {
            return length;
        }
        if naming.steps.contains(name) {
            return self.step(name, tokens, at);
        }
        match &naming.parameters {
            None => {
                let ids = naming.steps.iter().map(String::as_str);
                let near = if draft.warnings.is_full() { None } else { nearest(name, ids) };
                let hint =
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                let message = format!("`{name}` is no task, so it is read as `input.{name}`{hint}");
                draft.warnings.add(self.path, codes::UNDECLARED_PARAMETER, message);
                self.put(&tokens[at], tokens[at].end, &format!("input.{name}"));
            }
            Some(declared) => match declared.get(name) {
                Some(None) => self.put(&tokens[at], tokens[at].end, &format!("input.{name}")),
                Some(Some(default)) => {
                    let read = format!("(input.{name} | default({}))", literal(default));
                    self.put(&tokens[at], tokens[at].end, &read);
                }
                None => {}
            },
        }
        1
    }

    /// `workflow.id`, where that is the run's.
    fn workflow(&mut self, tokens: &[Spanned<'a>], at: usize, draft: &mut Draft) -> usize {
        let field = tokens.get(at + 1..at + 3).map(|two| (&two[0].token, &two[1].token));
        if !self.naming.workflow_id_is_run
            || field != Some((&Token::Symbol("."), &Token::Name("id")))
        {
            return 1;
        }
        let message = "`workflow.id` is the execution id; ids such as \
                       `<name>-<unix milliseconds>` are not in force yet";
        draft.not_in_force(self.path, message);
        self.put(&tokens[at], tokens[at + 2].end, "workflow.execution_id");
        3
    }

    /// `step.field.and[0]`, read by the rules of the filter `field`.
    fn step(&mut self, id: &str, tokens: &[Spanned<'a>], at: usize) -> usize {
        let mut parts = Vec::new();
        let mut next = at + 1;
        loop {
            let token = |nth: usize| tokens.get(next + nth).map(|one| &one.token);
            let (part, length) = match (token(0), token(1), token(2)) {
                (Some(Token::Symbol(".")), Some(Token::Name(name)), _) => (literal_text(name), 2),
                (Some(Token::Symbol(".")), Some(Token::Number(place)), _) => {
                    ((*place).to_owned(), 2)
                }
                (Some(Token::Symbol("[")), Some(Token::Text(name)), Some(Token::Symbol("]"))) => {
                    (literal_text(name), 3)
                }
                (
                    Some(Token::Symbol("[")),
                    Some(Token::Number(place)),
                    Some(Token::Symbol("]")),
                ) if !parts.is_empty() => ((*place).to_owned(), 3),
                _ => break,
            };
            parts.push(part);
            next += length;
        }
        let id = literal_text(id);
        let read = match parts.is_empty() {
            true => format!("steps[{id}].output"),
            false => {
                let filter = if is_asked_for(&tokens[next..]) { "optional_field" } else { "field" };
                format!("(steps[{id}] | {filter}({}))", parts.join(", "))
            }
        };
        self.put(&tokens[at], tokens[next - 1].end, &read);
        next - at
    }

    fn put(&mut self, first: &Spanned<'a>, end: usize, text: &str) {
        self.made.push_str(&self.source[self.from..first.start]);
        self.made.push_str(text);
        self.from = end;
    }

    fn end(mut self, canonical: &str, draft: &mut Draft) -> String {
        if self.from == 0 {
            return self.source.to_owned();
        }
        self.made.push_str(&self.source[self.from..]);
        draft.reads(canonical, &self.made);
        self.made
    }
}

/// Whether what follows a value asks whether it is there.
fn is_asked_for(after: &[Spanned<'_>]) -> bool {
    let word = |at: usize| match after.get(at).map(|one| &one.token) {
        Some(Token::Name(word)) => *word,
        _ => "",
    };
    match after.first().map(|one| &one.token) {
        Some(Token::Symbol("|")) => ["default", "d"].contains(&word(1)),
        Some(Token::Name("is")) => {
            let test = if word(1) == "not" { word(2) } else { word(1) };
            ["defined", "undefined"].contains(&test)
        }
        _ => false,
    }
}

/// Whether a name stands where a value begins.
fn is_root(tokens: &[Spanned<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| &tokens[before].token);
    let negated = at >= 2 && tokens[at - 2].token == Token::Name("is");
    let next = tokens.get(at + 1).map(|one| &one.token);
    let Token::Name(name) = tokens[at].token else { return false };
    let called = match before {
        Some(Token::Symbol("." | "|") | Token::Name("is")) => true,
        Some(Token::Name("not")) => negated,
        _ => false,
    };
    !called && !KEYWORDS.contains(&name) && next != Some(&Token::Symbol("="))
}

/// The tokens of a step's id with hyphens, if one begins here; it is refused with a hint.
fn hyphenated(naming: &Naming, tokens: &[Spanned<'_>], at: usize) -> Option<usize> {
    let Token::Name(first) = tokens[at].token else { return None };
    let mut id = first.to_owned();
    let mut last = &tokens[at];
    for (nth, pair) in tokens[at + 1..].chunks_exact(2).enumerate() {
        let touching = pair[0].start == last.end && pair[1].start == pair[0].end;
        match pair[1].token {
            Token::Name(word) | Token::Number(word)
                if touching && pair[0].token == Token::Symbol("-") =>
            {
                id = format!("{id}-{word}");
            }
            _ => return None,
        }
        if naming.steps.contains(&id) {
            return Some(3 + 2 * nth);
        }
        last = &pair[1];
    }
    None
}

fn literal_text(text: &str) -> String {
    Value::from(text).to_string()
}

/// A constant as expressions write it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{}: {}", literal_text(name), literal(value))
            };
            format!("{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
