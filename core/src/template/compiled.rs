//! Compiled strings, and rendering the tree they sit in.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Map, Value};

use super::facts::{Facts, OutputRead};
use super::paths::{self, Path, Piece};
use super::scan::Scanned;
use super::weigh::EVALUATION_WORK;
use super::{QUOTED_CHARS_MAX, SyntaxError, convert, engine};
use crate::definition::problem::codes::BAD_EXPRESSION;
use crate::failure::{Failure, codes};
use crate::payload::PAYLOAD_BYTES_MAX;
use crate::secrets;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value),
    Compiled(Box<Compiled>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Why a node has no value.
pub(super) struct Unrendered {
    pub failure: Failure,
    /// Whether it looked for something below the output of a step that did not succeed.
    pub for_want_of_output: bool,
}

impl From<Failure> for Unrendered {
    fn from(failure: Failure) -> Self {
        Self { failure, for_want_of_output: false }
    }
}

/// Renders one node; `place` names it and is as before when all went well. What templates
/// make is taken from `room_bytes`, so that many of them cannot make more than fits.
pub(super) fn render(
    node: &Node,
    facts: &Facts,
    room_bytes: &mut usize,
    place: &mut String,
) -> Result<Value, Unrendered> {
    let outer = place.len();
    match node {
        Node::Constant(value) => Ok(value.clone()),
        Node::Compiled(compiled) => {
            let value = compiled.evaluate(facts, place)?;
            let left = room_bytes.checked_sub(size_bytes(&value));
            *room_bytes = left.ok_or_else(|| too_large(place))?;
            Ok(value)
        }
        Node::List(items) => {
            let mut rendered = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                place.push_str(&format!("[{at}]"));
                rendered.push(render(item, facts, room_bytes, place)?);
                place.truncate(outer);
            }
            Ok(Value::Array(rendered))
        }
        Node::Object(fields) => {
            let mut rendered = Map::new();
            for (key, field) in fields {
                place.push('.');
                place.push_str(key);
                rendered.insert(key.clone(), render(field, facts, room_bytes, place)?);
                place.truncate(outer);
            }
            Ok(Value::Object(rendered))
        }
    }
}

/// No more bytes than the value takes as JSON.
fn size_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 1 + items.iter().map(|item| 1 + size_bytes(item)).sum::<usize>(),
        Value::Object(fields) => {
            1 + fields.iter().map(|(key, item)| key.len() + 4 + size_bytes(item)).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

fn too_large(place: &str) -> Failure {
    let message = format!("{place}: what it makes is larger than {PAYLOAD_BYTES_MAX} bytes");
    Failure::permanent(codes::PAYLOAD_TOO_LARGE, message)
}

/// One compiled string or condition.
#[derive(Debug)]
pub(super) struct Compiled {
    code: Code,
    /// As its author wrote it.
    pub source: Box<str>,
    /// The dotted paths it reads, for messages.
    paths: Vec<String>,
    /// The steps below whose outputs it reads.
    below: Vec<Box<str>>,
    /// Whether what it makes is data where references to secrets may stand.
    escapes: bool,
}

#[derive(Debug)]
enum Code {
    /// One path, which keeps its type.
    Path(Path),
    /// A text with nothing but paths in it.
    Paths(Vec<Piece>),
    /// The same with secrets.
    Secret(Vec<Piece>),
    /// One expression, which keeps its type.
    Expression(engine::Expression),
    /// A text with templates in it.
    Text(engine::Text),
}

impl Compiled {
    /// Compiles a text that passed its checks.
    pub fn compile(scanned: &Scanned, original: &str) -> Result<Self, SyntaxError> {
        let syntax = |error: minijinja::Error| SyntaxError {
            code: BAD_EXPRESSION,
            message: engine::described(&error),
            offset: engine::offset(&error, original),
        };
        let source: Box<str> = original.into();
        let read = scanned.reads.steps.values();
        let below = read.filter(|read| read.output == OutputRead::Below);
        let below: Vec<Box<str>> = below.map(|read| read.id.clone()).collect();
        let escapes = scanned.of_effect && !scanned.reads.secrets;
        match (&scanned.paths, scanned.lone) {
            (Some(pieces), _) if scanned.reads.secrets => {
                let code = Code::Secret(pieces.clone());
                return Ok(Self { code, source, paths: Vec::new(), below, escapes });
            }
            (Some(pieces), true) => {
                if let [Piece::Path(path)] = &pieces[..] {
                    let code = Code::Path(path.clone());
                    return Ok(Self { code, source, paths: Vec::new(), below, escapes });
                }
            }
            (Some(pieces), false) => {
                let code = Code::Paths(pieces.clone());
                return Ok(Self { code, source, paths: Vec::new(), below, escapes });
            }
            (None, _) => {}
        }
        let (code, paths) = if scanned.lone {
            let expression = engine::compile_expression(&scanned.source).map_err(syntax)?;
            let paths = expression.undeclared_variables(true);
            (Code::Expression(expression), paths)
        } else {
            let text = engine::Text::compile(&scanned.source).map_err(syntax)?;
            let paths = text.paths();
            (Code::Text(text), paths)
        };
        let mut paths: Vec<String> = paths.into_iter().filter(|path| path.contains('.')).collect();
        paths.sort_unstable();
        Ok(Self { code, source, paths, below, escapes })
    }

    /// Whether the engine has to be asked.
    pub fn needs_engine(&self) -> bool {
        matches!(self.code, Code::Expression(_) | Code::Text(_))
    }

    /// The value, or a failure that names the place.
    pub fn evaluate(&self, facts: &Facts, place: &str) -> Result<Value, Unrendered> {
        self.value(facts).map_err(|why| match why {
            Why::TooLarge => too_large(place).into(),
            other => {
                let missing = matches!(other, Why::Missing(_));
                let for_want_of_output =
                    missing && self.below.iter().any(|id| !facts.has_succeeded(id));
                let quoted: String = self.source.chars().take(QUOTED_CHARS_MAX).collect();
                let message = format!("{place}: `{quoted}`: {}", other.described());
                let failure = Failure::permanent(codes::EXPRESSION_FAILED, message);
                Unrendered { failure, for_want_of_output }
            }
        })
    }

    /// The value, or why there is none.
    pub fn value(&self, facts: &Facts) -> Result<Value, Why> {
        let value = self.computed(facts)?;
        Ok(if self.escapes { secrets::escaped(value) } else { value })
    }

    fn computed(&self, facts: &Facts) -> Result<Value, Why> {
        let engine = |error: minijinja::Error| self.why(&error, facts);
        match &self.code {
            Code::Path(path) => path.find(&facts.json).cloned().map_err(Why::Missing),
            Code::Paths(pieces) => joined(pieces, facts).map(Value::String),
            Code::Secret(pieces) => referring(pieces, facts),
            Code::Expression(expression) => {
                paid(facts, EVALUATION_WORK)?;
                let evaluate = || convert::to_json(&expression.eval(facts.context())?);
                guarded(evaluate).map_err(engine)
            }
            Code::Text(text) => {
                paid(facts, EVALUATION_WORK)?;
                let rendered = guarded(|| text.render(facts.context()));
                let took = rendered.as_ref().map_or(engine::FUEL_MAX, |&(_, took)| took);
                let enough = paid(facts, usize::try_from(took).unwrap_or(usize::MAX));
                let (text, _) = rendered.map_err(engine)?;
                enough.map(|()| Value::String(text))
            }
        }
    }

    /// Why the engine failed: by name, if something is missing.
    fn why(&self, error: &minijinja::Error, facts: &Facts) -> Why {
        match error.kind() {
            minijinja::ErrorKind::OutOfFuel => Why::OutOfFuel,
            minijinja::ErrorKind::WriteFailure => Why::TooLarge,
            minijinja::ErrorKind::UndefinedError => match facts.missing(&self.paths) {
                missing if missing.is_empty() => Why::Missing(engine::described(error)),
                missing => Why::Missing(missing.join("; ")),
            },
            _ => Why::Failed(engine::described(error)),
        }
    }
}

/// A panic of the template engine, such as of its arithmetic where overflow is checked, is a
/// failure of the expression and not of the run.
fn guarded<T>(
    evaluate: impl FnOnce() -> Result<T, minijinja::Error>,
) -> Result<T, minijinja::Error> {
    catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|_| {
        let (kind, why) = (minijinja::ErrorKind::InvalidOperation, "the template engine gave up");
        Err(minijinja::Error::new(kind, why))
    })
}

fn paid(facts: &Facts, units: usize) -> Result<(), Why> {
    if facts.meter.pay(units) { Ok(()) } else { Err(Why::OutOfFuel) }
}

fn joined(pieces: &[Piece], facts: &Facts) -> Result<String, Why> {
    let mut text = String::new();
    for piece in pieces {
        let part = match piece {
            Piece::Literal(literal) => Cow::Borrowed(&**literal),
            Piece::Path(path) => paths::as_text(path.find(&facts.json).map_err(Why::Missing)?),
            // It has no text here.
            Piece::Secret(_) => continue,
        };
        if text.len() + part.len() > PAYLOAD_BYTES_MAX {
            return Err(Why::TooLarge);
        }
        text.push_str(&part);
    }
    Ok(text)
}

/// The text, as a reference to the secrets in it.
fn referring(pieces: &[Piece], facts: &Facts) -> Result<Value, Why> {
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Secret(name) => Ok(secrets::Piece::Secret(name.to_string())),
        text => joined(std::slice::from_ref(text), facts).map(secrets::Piece::Text),
    });
    pieces.collect::<Result<_, _>>().map(secrets::reference)
}

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Why {
    /// Something is not there.
    Missing(String),
    /// An operation does not apply.
    Failed(String),
    /// It takes more work than a rendering may.
    OutOfFuel,
    /// It is larger than a payload may be.
    TooLarge,
}

impl Why {
    /// For a person.
    pub fn described(&self) -> &str {
        match self {
            Self::Missing(why) | Self::Failed(why) => why,
            Self::OutOfFuel => "it takes more work than a rendering may",
            Self::TooLarge => "what it makes is larger than 4 MiB",
        }
    }
}
