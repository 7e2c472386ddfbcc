//! What a template reads, found when it is compiled, and the values themselves, fetched when
//! it is rendered.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use minijinja::value::Value;
use serde_json::{Map, Value as Json};

use super::READ_BYTES_MAX;
use super::convert::to_engine;
use super::weigh::{JSON_BYTES_PER_UNIT, METER, Meter, TREE_WORK_MAX, Work};
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::{Absent, Payload};
use crate::scope::{Scope, StepView};

/// What a template reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub input: bool,
    pub variables: bool,
    pub workflow: bool,
    /// The item of a loop, or its number.
    pub item: bool,
    /// Secrets, by reference: nothing is read of them.
    pub secrets: bool,
    /// Steps.
    pub steps: BTreeMap<StepIndex, StepRead>,
}

/// How a template reads a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepRead {
    pub id: Box<str>,
    pub output: OutputRead,
    /// Whether what its check was answered is read.
    pub check: bool,
}

/// How a template reads a step's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OutputRead {
    /// Not at all.
    None,
    /// As it is, so that it may be null.
    Whole,
    /// A field or item of it, so that it must be there.
    Below,
}

impl StepRead {
    fn join(&mut self, other: &Self) {
        self.output = self.output.max(other.output);
        self.check |= other.check;
    }

    /// What is read of a step, and nothing else of it.
    ///
    /// # Errors
    /// A payload that is read is not at hand.
    pub fn of(&self, view: StepView) -> Result<StepView, (&'static str, Absent)> {
        let output = view.output.filter(|_| self.output != OutputRead::None);
        let check = view.check.filter(|_| self.check);
        for (read, what) in [(&output, "output"), (&check, "check")] {
            if let Some(absent) = read.as_ref().and_then(Payload::absent) {
                return Err((what, absent.clone()));
            }
        }
        Ok(StepView { output, check, ..view })
    }
}

impl Reads {
    /// Notes a step.
    pub(super) fn step(&mut self, step: StepIndex, own: StepRead) {
        match self.steps.entry(step) {
            Entry::Vacant(place) => drop(place.insert(own)),
            Entry::Occupied(mut known) => known.get_mut().join(&own),
        }
    }

    /// Notes all that another template reads.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.input |= other.input;
        self.variables |= other.variables;
        self.workflow |= other.workflow;
        self.item |= other.item;
        self.secrets |= other.secrets;
        for (&step, read) in &other.steps {
            self.step(step, read.clone());
        }
    }

    /// Whether nothing but secrets is read.
    pub(crate) fn only_secrets(&self) -> bool {
        *self == Self { secrets: self.secrets, ..Self::default() }
    }

    /// Whether nothing at all is read.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The values a template reads, as JSON and as the engine takes them.
pub(super) struct Facts {
    pub json: Json,
    /// What the tree's strings spend.
    pub meter: Arc<Meter>,
    context: OnceCell<Value>,
}

impl Facts {
    /// Fetches what is read, and no more; reading it is work.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when it is more than one template may read.
    pub(super) fn gather(
        reads: &Reads,
        scope: &dyn Scope,
        place: &str,
        work: &mut Work,
    ) -> Result<Self, Failure> {
        let mut roots = Map::new();
        let at_hand = |payload: &Payload, what: &str| match payload.absent() {
            Some(absent) => Err(absent.failure(&format!("{place}: {what}, which it reads,"))),
            None => Ok(()),
        };
        let mut parsed = |payload: &Payload, what: &str| {
            at_hand(payload, what)?;
            work.add(payload.text().len() / JSON_BYTES_PER_UNIT);
            Ok(payload.value())
        };
        if reads.input {
            roots.insert("input".to_owned(), parsed(&scope.input(), "input")?);
        }
        if reads.variables {
            roots.insert("variables".to_owned(), parsed(&scope.variables(), "variables")?);
        }
        if reads.workflow {
            roots.insert("workflow".to_owned(), scope.workflow());
        }
        if reads.item {
            let (index, item) = scope.item().ok_or_else(|| {
                let message = format!("{place}: there is no item here");
                Failure::permanent(codes::EXPRESSION_FAILED, message)
            })?;
            roots.insert("item".to_owned(), parsed(&item, "the item")?);
            roots.insert("index".to_owned(), index.into());
        }
        if !reads.steps.is_empty() {
            let mut steps = Map::new();
            let mut read_bytes = 0;
            for (step, read) in &reads.steps {
                let view = read.of(scope.step(*step)).map_err(|(what, absent)| {
                    let what = format!("{place}: the {what} of `{}`, which it reads,", read.id);
                    absent.failure(&what)
                })?;
                let read_payloads = view.output.iter().chain(&view.check);
                read_bytes += read_payloads.map(|own| own.text().len()).sum::<usize>();
                if read_bytes > READ_BYTES_MAX {
                    let message = format!("{place}: the steps it reads answered more than 8 MiB");
                    return Err(Failure::permanent(codes::PAYLOAD_TOO_LARGE, message));
                }
                work.add(1);
                steps.insert(read.id.to_string(), view.value());
            }
            roots.insert("steps".to_owned(), Json::Object(steps));
            work.add(read_bytes / JSON_BYTES_PER_UNIT);
        }
        Ok(Self::of(roots, Arc::new(Meter::new(TREE_WORK_MAX))))
    }

    /// No facts, for templates that read none.
    pub(super) fn none(meter: Arc<Meter>) -> Self {
        Self::of(Map::new(), meter)
    }

    fn of(roots: Map<String, Json>, meter: Arc<Meter>) -> Self {
        Self { json: Json::Object(roots), meter, context: OnceCell::new() }
    }

    /// The facts as the engine takes them, made when the engine is first needed.
    pub(super) fn context(&self) -> Value {
        let make = || {
            let roots = self.json.as_object().into_iter().flatten();
            let roots = roots.map(|(name, root)| (name.clone(), to_engine(root)));
            let meter = (METER.to_owned(), Value::from_dyn_object(self.meter.clone()));
            roots.chain([meter]).collect::<BTreeMap<String, Value>>().into()
        };
        self.context.get_or_init(make).clone()
    }

    /// Whether a step that is read has succeeded, so that its output is what it answered.
    pub(super) fn has_succeeded(&self, id: &str) -> bool {
        let step = self.json.get("steps").and_then(|steps| steps.get(id));
        step.and_then(|step| step.get("status")).is_some_and(|status| status == "succeeded")
    }

    /// Those of some dotted paths that lead nowhere, and what is there instead.
    pub(super) fn missing(&self, paths: &[String]) -> Vec<String> {
        let missing = |path: &String| {
            let mut found = &self.json;
            let mut place = String::new();
            for name in path.split('.') {
                match found.get(name) {
                    Some(next) => found = next,
                    None if place.is_empty() => return None,
                    None => return Some(described(&place, &format!(".{name}"), found)),
                }
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(name);
            }
            None
        };
        paths.iter().filter_map(missing).take(PATHS_NAMED_MAX).collect()
    }
}

/// The most missing paths that a message names.
const PATHS_NAMED_MAX: usize = 3;
/// The most fields that a message names.
const FIELDS_NAMED_MAX: usize = 8;

/// Says that `place` has no `part` (`.field` or `[0]`), and what it has.
pub(super) fn described(place: &str, part: &str, found: &Json) -> String {
    let there = match found {
        Json::Object(fields) if fields.is_empty() => "is empty".to_owned(),
        Json::Object(fields) => {
            let short = |name: &String| name.chars().take(40).collect::<String>();
            let names: Vec<String> = fields.keys().take(FIELDS_NAMED_MAX).map(short).collect();
            let more = if fields.len() > FIELDS_NAMED_MAX { ", ..." } else { "" };
            format!("has {}{more}", names.join(", "))
        }
        Json::Array(items) => format!("is a list of {}", items.len()),
        Json::Null => "is null".to_owned(),
        Json::Bool(_) => "is a boolean".to_owned(),
        Json::Number(_) => "is a number".to_owned(),
        Json::String(_) => "is a text".to_owned(),
    };
    format!("`{place}{part}` is missing; `{place}` {there}")
}
