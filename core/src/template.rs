//! A JSON tree whose strings may hold templates, and conditions.
//!
//! Compiled once, with every name resolved; rendering parses nothing but the payloads it
//! reads. Knows nothing of when a step is rendered or what becomes of the result.

use serde_json::{Map, Value};

use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};
use crate::definition::problem::{Problem, Problems};
use crate::expression::{
    Evaluation, Expression, Facts, Fault, Meter, Names, Piece, Reads, SyntaxError, Text,
    has_template, parse_expression, parse_text,
};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::PAYLOAD_BYTES_MAX;
use crate::scope::Scope;

/// The deepest nesting of a rendered value, so that its text can always be read back.
pub const RENDERED_NESTING_MAX: usize = 100;
/// The most characters of an expression that a failure quotes.
const QUOTED_CHARS_MAX: usize = 200;

/// A JSON tree whose strings may hold templates. A string that is exactly one `{{ }}` keeps
/// the JSON type of its value.
#[derive(Debug)]
pub struct Template {
    place: String,
    root: Node,
    reads: Reads,
}

#[derive(Debug)]
enum Node {
    Constant(Value),
    Expression { expression: Expression, source: Box<str> },
    Text { text: Text, source: Box<str> },
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A step that a template reads, and where.
pub(crate) struct Reference {
    pub path: String,
    pub step: StepIndex,
}

/// Where a template sits and what its names mean.
pub(crate) struct Site<'a> {
    /// The path in the definition, for problems: `steps[2].with`.
    pub path: &'a str,
    /// The path by ids, for failures of runs: `steps.charge.with`.
    pub place: &'a str,
    pub names: &'a dyn Names,
}

impl Template {
    /// Compiles a tree, noting every problem. What reads nothing is evaluated here and now.
    pub(crate) fn compile(
        value: &Value,
        site: &Site<'_>,
        references: &mut Vec<Reference>,
        problems: &mut Problems,
    ) -> Self {
        let mut reads = Reads::default();
        let mut meter = Meter::full();
        let mut compiler =
            Compiler { site, reads: &mut reads, references, meter: &mut meter, problems };
        let root = compiler.node(value, &mut site.path.to_owned());
        Self { place: site.place.to_owned(), root, reads }
    }

    /// Whether the output of a step is read.
    pub(crate) fn reads_output_of(&self, step: StepIndex) -> bool {
        self.reads.steps.get(&step) == Some(&true)
    }

    /// Evaluates every template of the tree.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`, naming the place and the expression.
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, Failure> {
        if let Node::Constant(value) = &self.root {
            return Ok(value.clone());
        }
        let facts = Facts::gather(&self.reads, scope);
        let mut place = self.place.clone();
        let rendered = render(&self.root, &facts, &mut Meter::full(), &mut place)?;
        if nests_deeper(&rendered, RENDERED_NESTING_MAX) {
            let message = format!("`{place}` nests deeper than {RENDERED_NESTING_MAX}");
            return Err(Failure::permanent(codes::EXPRESSION_FAILED, message));
        }
        Ok(rendered)
    }
}

fn nests_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels == 0 || items.iter().any(|item| nests_deeper(item, levels - 1))
        }
        Value::Object(fields) => {
            levels == 0 || fields.values().any(|field| nests_deeper(field, levels - 1))
        }
        _ => false,
    }
}

/// Renders one node; `place` names it and is as before when all went well.
fn render(
    node: &Node,
    facts: &Facts,
    meter: &mut Meter,
    place: &mut String,
) -> Result<Value, Failure> {
    let outer = place.len();
    match node {
        Node::Constant(value) => {
            meter.pay_walk(value).map_err(|fault| failure(&fault, place, ""))?;
            Ok(value.clone())
        }
        Node::Expression { expression, source } => Evaluation::new(facts, meter)
            .owned(expression)
            .map_err(|fault| failure(&fault, place, source)),
        Node::Text { text, source } => Evaluation::new(facts, meter)
            .text(text)
            .map(Value::String)
            .map_err(|fault| failure(&fault, place, source)),
        Node::List(items) => {
            let mut rendered = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                place.push_str(&format!("[{at}]"));
                rendered.push(render(item, facts, meter, place)?);
                place.truncate(outer);
            }
            Ok(Value::Array(rendered))
        }
        Node::Object(fields) => {
            let mut rendered = Map::new();
            for (key, field) in fields {
                place.push('.');
                place.push_str(key);
                rendered.insert(key.clone(), render(field, facts, meter, place)?);
                place.truncate(outer);
            }
            Ok(Value::Object(rendered))
        }
    }
}

fn failure(fault: &Fault, place: &str, source: &str) -> Failure {
    let quoted: String = source.chars().take(QUOTED_CHARS_MAX).collect();
    let (code, why) = match fault {
        Fault::Missing(why) | Fault::Failed(why) => (codes::EXPRESSION_FAILED, why.clone()),
        Fault::OutOfFuel => {
            (codes::EXPRESSION_FAILED, "it takes more work than a rendering may".to_owned())
        }
        Fault::TooLarge => {
            (codes::PAYLOAD_TOO_LARGE, format!("its text is longer than {PAYLOAD_BYTES_MAX} bytes"))
        }
    };
    Failure::permanent(code, format!("{place}: `{quoted}`: {why}"))
}

struct Compiler<'a, 's> {
    site: &'a Site<'s>,
    reads: &'a mut Reads,
    references: &'a mut Vec<Reference>,
    meter: &'a mut Meter,
    problems: &'a mut Problems,
}

impl Compiler<'_, '_> {
    fn node(&mut self, value: &Value, path: &mut String) -> Node {
        let outer = path.len();
        match value {
            Value::String(source) if has_template(source) => self.template(source, path),
            Value::Array(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    path.push_str(&format!("[{at}]"));
                    nodes.push(self.node(item, path));
                    path.truncate(outer);
                }
                folded(Node::List(nodes), value)
            }
            Value::Object(fields) => {
                let mut nodes = Vec::with_capacity(fields.len());
                for (key, field) in fields {
                    path.push('.');
                    path.push_str(key);
                    nodes.push((key.clone(), self.node(field, path)));
                    path.truncate(outer);
                }
                folded(Node::Object(nodes), value)
            }
            constant => Node::Constant(constant.clone()),
        }
    }

    fn template(&mut self, source: &str, path: &str) -> Node {
        let (text, reads) = match parse_text(source, self.site.names) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.problems.push(syntax_problem(&error, source, path));
                return Node::Constant(Value::Null);
            }
        };
        let constant = reads.is_nothing();
        note_references(&reads, path, self.references);
        self.reads.absorb(&reads);
        let node = node_of(text, source);
        if !constant {
            return node;
        }
        match evaluate_constant(&node, self.meter) {
            Ok(value) => Node::Constant(value),
            Err(fault) => {
                self.problems.push(constant_problem(&fault, path));
                Node::Constant(Value::Null)
            }
        }
    }
}

fn note_references(reads: &Reads, path: &str, references: &mut Vec<Reference>) {
    references.extend(reads.steps.keys().map(|&step| Reference { path: path.to_owned(), step }));
}

/// A tree of constants is one constant.
fn folded(node: Node, value: &Value) -> Node {
    let unchanged =
        |node: &Node, value: &Value| matches!(node, Node::Constant(same) if same == value);
    let constant = match (&node, value) {
        (Node::List(nodes), Value::Array(items)) => {
            nodes.iter().zip(items).all(|(node, item)| unchanged(node, item))
        }
        (Node::Object(nodes), Value::Object(fields)) => {
            nodes.iter().zip(fields.values()).all(|((_, node), field)| unchanged(node, field))
        }
        _ => false,
    };
    if constant { Node::Constant(value.clone()) } else { node }
}

fn node_of(mut text: Text, source: &str) -> Node {
    let source = source.into();
    if let [Piece::Emit(_)] = &text.pieces[..]
        && let Some(Piece::Emit(expression)) = text.pieces.pop()
    {
        return Node::Expression { expression, source };
    }
    Node::Text { text, source }
}

fn evaluate_constant(node: &Node, meter: &mut Meter) -> Result<Value, Fault> {
    let facts = Facts::default();
    let mut evaluation = Evaluation::new(&facts, meter);
    match node {
        Node::Expression { expression, .. } => evaluation.owned(expression),
        Node::Text { text, .. } => evaluation.text(text).map(Value::String),
        Node::Constant(_) | Node::List(_) | Node::Object(_) => Ok(Value::Null),
    }
}

fn constant_problem(fault: &Fault, path: &str) -> Problem {
    let (code, why) = match fault {
        Fault::Missing(why) | Fault::Failed(why) => (BAD_EXPRESSION, why.as_str()),
        Fault::OutOfFuel => (EXPRESSION_LIMIT, "it takes more work than a rendering may"),
        Fault::TooLarge => (EXPRESSION_LIMIT, "its text is longer than 64 KiB"),
    };
    Problem { path: path.to_owned(), code, message: format!("it can never work: {why}") }
}

fn syntax_problem(error: &SyntaxError, source: &str, path: &str) -> Problem {
    let message = format!("{} ({})", error.message, error.position(source));
    Problem { path: path.to_owned(), code: error.code, message }
}

/// A step's `when`.
#[derive(Debug)]
pub struct Condition {
    place: String,
    source: String,
    expression: Expression,
    reads: Reads,
}

impl Condition {
    /// Compiles a condition, with or without its braces.
    pub(crate) fn compile(
        source: &str,
        site: &Site<'_>,
        references: &mut Vec<Reference>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let bare = source.trim();
        let bare = bare
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .filter(|rest| !rest.contains("}}") || !rest.contains("{{"))
            .unwrap_or(bare)
            .trim();
        let (expression, reads) = match parse_expression(bare, site.names) {
            Ok(parsed) => parsed,
            Err(error) => {
                problems.push(syntax_problem(&error, bare, site.path));
                return None;
            }
        };
        note_references(&reads, site.path, references);
        let (place, source) = (site.place.to_owned(), bare.to_owned());
        let condition = Self { place, source, expression, reads };
        if condition.reads.is_nothing() {
            let facts = Facts::default();
            match Evaluation::new(&facts, &mut Meter::full()).owned(&condition.expression) {
                Ok(Value::Bool(_)) => {}
                Ok(_) => problems.add(site.path, BAD_EXPRESSION, NO_BOOLEAN),
                Err(fault) => problems.push(constant_problem(&fault, site.path)),
            }
        }
        Some(condition)
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` when it cannot be evaluated, or is no boolean.
    pub fn holds(&self, scope: &dyn Scope) -> Result<bool, Failure> {
        let facts = Facts::gather(&self.reads, scope);
        let failed = |fault: &Fault| failure(fault, &self.place, &self.source);
        match Evaluation::new(&facts, &mut Meter::full()).value(&self.expression) {
            Ok(value) => {
                value.as_bool().ok_or_else(|| failed(&Fault::Failed(NO_BOOLEAN.to_owned())))
            }
            Err(fault) => Err(failed(&fault)),
        }
    }
}

const NO_BOOLEAN: &str = "a condition must be true or false, as comparisons are";
