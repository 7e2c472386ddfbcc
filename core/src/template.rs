//! A JSON tree whose strings may hold templates, and conditions.
//!
//! Compiled once, with every name resolved; rendering parses nothing but the payloads it
//! reads. Knows nothing of when a step is rendered or what becomes of the result.

mod allowance;
mod compiled;
mod convert;
mod demands;
mod engine;
mod facts;
#[cfg(test)]
mod limit_tests;
mod marks;
mod names;
mod paths;
mod scan;
mod statements;
#[cfg(test)]
mod tests;
mod tokens;
mod weigh;
#[cfg(test)]
mod work_tests;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};
use crate::definition::problem::{Problem, Problems};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::{PAYLOAD_BYTES_MAX, nests_deeper};
use crate::scope::Scope;
use crate::secrets;
pub(crate) use allowance::Allowance;
pub use allowance::COMPUTED_STRINGS_MAX;
use compiled::{Compiled, Node, Unrendered, Why, render};
pub use engine::FUEL_MAX;
use facts::Facts;
pub(crate) use facts::{OutputRead, Reads};
pub(crate) use marks::KEYWORDS;
pub(crate) use names::{Names, OfEffect, secrets_in};
pub(crate) use scan::has_template;
pub(crate) use tokens::{Close, Spanned, Token, tokens};
use weigh::JSON_BYTES_PER_UNIT;
pub use weigh::{CONSTANTS_WORK_MAX, TREE_WORK_MAX, Work};

/// The longest text of one template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 64 * 1024;
/// The most words and signs of one expression.
pub const EXPRESSION_TOKENS_MAX: usize = 256;
/// The most `~` and `+` of one expression: what they make is not paid for with fuel.
pub const JOINS_MAX: usize = 32;
/// The most strings of one tree that the engine has to be asked for; those that only name
/// things do not count.
pub const TEMPLATES_MAX: usize = 1_000;
/// The most bytes that the outputs of the steps one template reads may have together.
pub const READ_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The deepest nesting of `{% for %}`.
pub const FOR_NESTING_MAX: usize = 3;
/// The deepest nesting of `{% if %}` and `{% for %}` together.
pub const BLOCK_NESTING_MAX: usize = 16;
/// The deepest nesting of a rendered value, so that its text can always be read back.
pub const RENDERED_NESTING_MAX: usize = 100;
/// The most characters of an expression that a failure quotes.
const QUOTED_CHARS_MAX: usize = 200;

/// The roots of names.
pub const ROOTS: [&str; 4] = ["input", "variables", "steps", "workflow"];
/// The roots of names inside `each` of a `foreach`, beside the others.
pub const ITEM_ROOTS: [&str; 2] = ["item", "index"];
/// Roots that mean something, here or elsewhere, and can't be ids of steps.
pub const RESERVED_ROOTS: [&str; 7] =
    ["input", "variables", "steps", "workflow", "secrets", "trigger_data", "event"];

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// One of the codes of problems.
    code: &'static str,
    /// What is wrong.
    message: String,
    /// Where, in bytes from the text's beginning.
    offset: usize,
}

impl SyntaxError {
    /// `line 1, column 9` of the offset.
    fn position(&self, source: &str) -> String {
        let mut end = self.offset.min(source.len());
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = &source[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        format!("line {line}, column {column}")
    }
}

/// A JSON tree whose strings may hold templates. A string that is exactly one `{{ }}` keeps
/// the JSON type of its value.
#[derive(Debug, Clone)]
pub struct Template {
    place: Arc<str>,
    root: Arc<Node>,
    reads: Arc<Reads>,
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
    /// What the templates of the definition may still take.
    pub allowance: &'a Allowance,
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
        let mut compiler = Compiler { site, reads: &mut reads, references, problems, engines: 0 };
        let root = match site.names.of_effect() {
            true => compiler.node(&secrets::escaped(value.clone()), &mut site.path.to_owned()),
            false => compiler.node(value, &mut site.path.to_owned()),
        };
        Self { place: site.place.into(), root: Arc::new(root), reads: Arc::new(reads) }
    }

    /// What it reads.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether the output of a step is read.
    pub(crate) fn reads_output_of(&self, step: StepIndex) -> bool {
        self.reads.steps.get(&step).is_some_and(|read| read.output != OutputRead::None)
    }

    /// Evaluates every template of the tree; `work` grows by what that took, also if it fails.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`, naming the place and the expression.
    pub fn render(&self, scope: &dyn Scope, work: &mut Work) -> Result<Value, Failure> {
        if let Node::Constant(value) = &*self.root {
            return Ok(value.clone());
        }
        self.render_with(scope, work, |facts, room_bytes, place| {
            render(&self.root, facts, room_bytes, place)
        })
    }

    /// Evaluates an object of templates, each on its own: an entry that looks for something
    /// below the output of a step that did not succeed is null.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` or `PAYLOAD_TOO_LARGE`, for any other reason.
    pub fn render_entries(&self, scope: &dyn Scope, work: &mut Work) -> Result<Value, Failure> {
        let Node::Object(entries) = &*self.root else { return self.render(scope, work) };
        self.render_with(scope, work, |facts, room_bytes, place| {
            let outer = place.len();
            let mut rendered = Map::new();
            for (key, entry) in entries {
                place.push('.');
                place.push_str(key);
                let value = match render(entry, facts, room_bytes, place) {
                    Err(unrendered) if unrendered.for_want_of_output => Value::Null,
                    other => other?,
                };
                rendered.insert(key.clone(), value);
                place.truncate(outer);
            }
            Ok(Value::Object(rendered))
        })
    }

    fn render_with(
        &self,
        scope: &dyn Scope,
        work: &mut Work,
        render: impl FnOnce(&Facts, &mut usize, &mut String) -> Result<Value, Unrendered>,
    ) -> Result<Value, Failure> {
        let facts = Facts::gather(&self.reads, scope, &self.place, work)?;
        let mut place = self.place.to_string();
        let mut room_bytes = PAYLOAD_BYTES_MAX;
        let rendered = render(&facts, &mut room_bytes, &mut place);
        work.add(facts.meter.spent());
        work.add((PAYLOAD_BYTES_MAX - room_bytes) / JSON_BYTES_PER_UNIT);
        let rendered = rendered.map_err(|unrendered| unrendered.failure)?;
        if nests_deeper(&rendered, RENDERED_NESTING_MAX) {
            let message = format!("`{place}` nests deeper than {RENDERED_NESTING_MAX}");
            return Err(Failure::permanent(codes::EXPRESSION_FAILED, message));
        }
        Ok(rendered)
    }
}

struct Compiler<'a, 's> {
    site: &'a Site<'s>,
    reads: &'a mut Reads,
    references: &'a mut Vec<Reference>,
    problems: &'a mut Problems,
    engines: usize,
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
        let compiled = scan::text(source, self.site.names)
            .and_then(|scanned| Ok((Compiled::compile(&scanned, source)?, scanned.reads)));
        let (compiled, reads) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                self.problems.push(syntax_problem(&error, source, path));
                return Node::Constant(Value::Null);
            }
        };
        note_references(&reads, path, self.references);
        self.reads.absorb(&reads);
        self.engines += usize::from(compiled.needs_engine());
        if compiled.needs_engine()
            && let Err(told) = self.site.allowance.take()
        {
            told.into_iter().for_each(|told| self.problems.add(path, EXPRESSION_LIMIT, told));
            return Node::Constant(Value::Null);
        }
        if self.engines == TEMPLATES_MAX + 1 {
            let message = format!("a field has at most {TEMPLATES_MAX} templates that compute");
            self.problems.add(self.site.path, EXPRESSION_LIMIT, message);
        }
        if self.engines > TEMPLATES_MAX {
            return Node::Constant(Value::Null);
        }
        if !reads.is_nothing() {
            return Node::Compiled(Box::new(compiled));
        }
        match compiled.value(&Facts::none(self.site.allowance.constants.clone())) {
            Ok(value) => Node::Constant(value),
            Err(why) => {
                self.problems.push(constant_problem(&why, path));
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

/// What reads nothing was evaluated and failed: it would fail in every run.
fn constant_problem(why: &Why, path: &str) -> Problem {
    let code = match why {
        Why::Missing(_) | Why::Failed(_) => BAD_EXPRESSION,
        Why::OutOfFuel | Why::TooLarge => EXPRESSION_LIMIT,
    };
    let message = format!("it can never work: {}", why.described());
    Problem { path: path.to_owned(), code, message }
}

fn syntax_problem(error: &SyntaxError, source: &str, path: &str) -> Problem {
    let message = format!("{} ({})", error.message, error.position(source));
    Problem { path: path.to_owned(), code: error.code, message }
}

/// A step's `when`.
#[derive(Debug, Clone)]
pub struct Condition {
    place: Arc<str>,
    compiled: Arc<Compiled>,
    reads: Arc<Reads>,
}

impl Condition {
    /// Compiles a condition, with or without its braces.
    pub(crate) fn compile(
        source: &str,
        site: &Site<'_>,
        references: &mut Vec<Reference>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let source = source.trim();
        let scanned = if has_template(source) {
            scan::text(source, site.names)
        } else {
            scan::expression(source, site.names)
        };
        let compiled = scanned.and_then(|scanned| {
            if !scanned.lone {
                let message = "a condition is one expression, alone or in one `{{ }}`";
                return Err(scan::error(0, message));
            }
            Ok((Compiled::compile(&scanned, source)?, scanned.reads))
        });
        let (compiled, reads) = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                problems.push(syntax_problem(&error, source, site.path));
                return None;
            }
        };
        if compiled.needs_engine()
            && let Err(told) = site.allowance.take()
        {
            told.into_iter().for_each(|told| problems.add(site.path, EXPRESSION_LIMIT, told));
            return None;
        }
        note_references(&reads, site.path, references);
        let (compiled, reads) = (Arc::new(compiled), Arc::new(reads));
        let condition = Self { place: site.place.into(), compiled, reads };
        if condition.reads.is_nothing() {
            match condition.compiled.value(&Facts::none(site.allowance.constants.clone())) {
                Ok(Value::Bool(_)) => {}
                Ok(_) => problems.add(site.path, BAD_EXPRESSION, NO_BOOLEAN),
                Err(why) => problems.push(constant_problem(&why, site.path)),
            }
        }
        Some(condition)
    }

    /// What it reads.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether the condition holds; `work` grows by what that took, also if it fails.
    ///
    /// # Errors
    /// `EXPRESSION_FAILED` when it cannot be evaluated, or is no boolean.
    pub fn holds(&self, scope: &dyn Scope, work: &mut Work) -> Result<bool, Failure> {
        let facts = Facts::gather(&self.reads, scope, &self.place, work)?;
        let value = self.compiled.evaluate(&facts, &self.place);
        work.add(facts.meter.spent());
        let value = value.map_err(|unrendered| unrendered.failure)?;
        value.as_bool().ok_or_else(|| {
            let message = format!("{}: `{}`: {NO_BOOLEAN}", self.place, self.compiled.source);
            Failure::permanent(codes::EXPRESSION_FAILED, message)
        })
    }
}

const NO_BOOLEAN: &str = "a condition must be true or false, as comparisons are";
