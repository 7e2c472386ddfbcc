//! The items of a loop: what a chunk of them is given, what each reads, and what they answer.
//!
//! A chunk carries all that its items read, so that its run can be told, replayed and kept
//! without its parent's: its input holds the items, its variables hold what the templates of
//! `each` read of the parent's run, the same for every chunk. Knows nothing of messages.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::allot::room_bytes;
use crate::arrows::StepStatus;
use crate::event::ItemCounts;
use crate::failure::{Failure, codes};
use crate::ids::StepIndex;
use crate::payload::{PAYLOAD_BYTES_MAX, Payload};
use crate::plan::{Each, ITEMS_MAX};
use crate::report::failure_json;
use crate::scope::{Scope, StepView};
use crate::state::{State, Subject};

/// Bytes kept free for what stands around the results in an output.
const AROUND_RESULTS_BYTES: usize = 64 * 1024;

/// The items of a rendered `with`.
///
/// # Errors
/// `ITEMS_INVALID`, or that the input is kept no more.
pub(crate) fn list(input: &Payload) -> Result<Vec<Value>, Failure> {
    if let Some(absent) = input.absent() {
        return Err(absent.failure("the input"));
    }
    let invalid = |why| Err(Failure::permanent(codes::ITEMS_INVALID, why));
    let Value::Object(mut with) = input.value() else {
        return invalid("`with` holds `items`, a list".to_owned());
    };
    match with.remove("items") {
        Some(Value::Array(items)) if items.len() <= ITEMS_MAX => Ok(items),
        Some(Value::Array(items)) => {
            invalid(format!("`items` has {} items; at most {ITEMS_MAX} are taken", items.len()))
        }
        Some(other) => {
            let found = crate::definition::read_fields::type_of(&other);
            invalid(format!("`items` is a list, and this is {found}"))
        }
        None => invalid("`items` is missing".to_owned()),
    }
}

/// What the items of a loop read of the run it belongs to.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE`, or that something is kept no more.
pub(crate) fn values(state: &State, each: &Each) -> Result<Payload, Failure> {
    let at_hand = |payload: Payload, what: &str| match payload.absent() {
        Some(absent) => Err(absent.failure(&format!("{what}, which items read,"))),
        None => Ok(payload.value()),
    };
    let reads = &each.reads;
    let mut values = Map::new();
    if reads.input {
        values.insert("input".to_owned(), at_hand(state.input(), "the run's input")?);
    }
    if reads.variables {
        values.insert("variables".to_owned(), at_hand(state.variables(), "the variables")?);
    }
    if reads.workflow {
        values.insert("workflow".to_owned(), state.workflow());
    }
    if !reads.steps.is_empty() {
        let mut steps = Map::new();
        for (step, read) in &reads.steps {
            let view = read.of(Scope::step(state, *step)).map_err(|(what, absent)| {
                absent.failure(&format!("the {what} of `{}`, which items read,", read.id))
            })?;
            steps.insert(read.id.to_string(), view.value());
        }
        values.insert("steps".to_owned(), Value::Object(steps));
    }
    let values = Payload::of(&Value::Object(values));
    let bytes = values.length_bytes();
    if bytes > PAYLOAD_BYTES_MAX {
        let message =
            format!("what its items read has {bytes} bytes; at most {PAYLOAD_BYTES_MAX} are kept");
        return Err(Failure::permanent(codes::PAYLOAD_TOO_LARGE, message));
    }
    Ok(values)
}

/// What the items of a chunk read, taken apart when one of them is first rendered.
#[derive(Debug, Default)]
pub(crate) struct ChunkValues(OnceLock<Parts>);

#[derive(Debug)]
struct Parts {
    items: Vec<Payload>,
    input: Payload,
    variables: Payload,
    workflow: Value,
    steps: BTreeMap<String, StepView>,
}

impl Parts {
    fn of(state: &State) -> Self {
        let submitted = &state.submitted;
        // What is kept no more is passed on as such: whoever reads it says so.
        let absent = |whole: &Payload| whole.absent().map(|_| whole.clone());
        let items = match (absent(&submitted.input), submitted.input.value()) {
            (Some(absent), _) => vec![absent; state.steps.len()],
            (None, mut own) => match own.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items.iter().map(Payload::of).collect(),
                _ => Vec::new(),
            },
        };
        let gone = absent(&submitted.variables);
        let mut values = match &gone {
            Some(_) => Value::Null,
            None => submitted.variables.value(),
        };
        let mut value = |name: &str| values.get_mut(name).map(Value::take).unwrap_or_default();
        let root = |value: &Value| gone.clone().unwrap_or_else(|| Payload::of(value));
        let (input, variables) = (root(&value("input")), root(&value("variables")));
        let (workflow, steps) = (value("workflow"), value("steps"));
        let steps = steps.as_object().into_iter().flatten();
        let steps = steps.map(|(id, own)| (id.clone(), view(own))).collect();
        Self { items, input, variables, workflow, steps }
    }
}

/// A step's view again, from its JSON.
fn view(own: &Value) -> StepView {
    let word = own["status"].as_str().unwrap_or_default();
    let status = STATUS_WORDS.into_iter().find(|known| *known == word).unwrap_or("succeeded");
    let attempts = own["attempts"].as_u64().and_then(|own| u16::try_from(own).ok());
    let given = |field: &str| own.get(field).filter(|value| !value.is_null());
    StepView {
        status,
        attempts: attempts.unwrap_or(0),
        output: given("output").map(Payload::of),
        error: given("error").cloned(),
        check: given("check").map(Payload::of),
        idempotency_key: own["idempotency_key"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The words of steps that a loop may read: they are settled, or undone by now.
const STATUS_WORDS: [&str; 8] =
    ["succeeded", "failed", "skipped", "pruned", "cancelled", "undoing", "undone", "undo_failed"];

/// What the templates of one item read.
pub(crate) struct ItemScope<'a> {
    state: &'a State,
    parts: &'a Parts,
    step: StepIndex,
}

impl<'a> ItemScope<'a> {
    /// Of a step of a chunk; nothing for a step of any other run.
    pub fn of(state: &'a State, step: StepIndex) -> Option<Self> {
        let values = state.chunk.as_deref()?;
        let parts = values.0.get_or_init(|| Parts::of(state));
        Some(Self { state, parts, step })
    }
}

impl Scope for ItemScope<'_> {
    fn input(&self) -> Payload {
        self.parts.input.clone()
    }

    fn variables(&self) -> Payload {
        self.parts.variables.clone()
    }

    fn workflow(&self) -> Value {
        self.parts.workflow.clone()
    }

    fn step(&self, step: StepIndex) -> StepView {
        let part = self.state.plan.part.as_ref();
        if part.is_some_and(|part| part.step == step) {
            // Its own loop: in an undo, what this item answered.
            return Scope::step(self.state, self.step);
        }
        let id = part.and_then(|part| part.whole.steps.get(step.at())).map(|own| &*own.id);
        let known = id.and_then(|id| self.parts.steps.get(id)).cloned();
        known.unwrap_or_else(|| {
            let output = self
                .state
                .submitted
                .variables
                .absent()
                .map(|_| self.state.submitted.variables.clone());
            StepView {
                status: "succeeded",
                attempts: 0,
                output,
                error: None,
                check: None,
                idempotency_key: String::new(),
            }
        })
    }

    fn item(&self) -> Option<(u64, Payload)> {
        let index = self.state.plan.part.as_ref()?.index(self.step);
        let item = self.parts.items.get(self.step.at()).cloned();
        Some((index, item.unwrap_or_else(Payload::null)))
    }
}

/// How the items of a chunk ended.
pub(crate) fn counts(state: &State) -> ItemCounts {
    let mut counts = ItemCounts::default();
    for step in &state.steps {
        match step.status {
            StepStatus::Succeeded => counts.succeeded += 1,
            StepStatus::Failed => counts.failed += 1,
            StepStatus::Skipped => counts.skipped += 1,
            _ => {}
        }
    }
    counts
}

/// One item as results list it.
#[must_use]
pub fn item_json(state: &State, step: StepIndex) -> Value {
    let own = State::step(state, step);
    let index = state.plan.part.as_ref().map(|part| part.index(step));
    let mut item = json!({ "index": index, "status": own.word() });
    if let Some(output) = &own.output {
        item["output"] = output.value();
    }
    if let Some(failure) = &own.failure {
        item["error"] = failure_json(failure);
    }
    item
}

/// One item as lists of items show it: with the run and the step that it is.
#[must_use]
pub fn item_row(state: &State, step: StepIndex) -> Value {
    let own = State::step(state, step);
    let mut row = item_json(state, step);
    row["execution_id"] = state.id.to_string().into();
    row["step"] = state.plan.step(step).id.as_ref().into();
    row["attempts"] = own.attempt.into();
    row["idempotency_key"] = state.idempotency_key(Subject::Step(step)).into();
    row["started_at"] = own.started_at.map(|at| at.to_string()).into();
    row["completed_at"] = own.completed_at.map(|at| at.to_string()).into();
    row
}

/// What a chunk answers when all its items are settled: results only where they fit.
pub(crate) fn answer(state: &State) -> Payload {
    let ItemCounts { succeeded, failed, skipped } = counts(state);
    let mut answer = json!({ "succeeded": succeeded, "failed": failed, "skipped": skipped });
    let outputs = || state.steps.iter().filter_map(|step| step.output.as_ref());
    let bytes: usize = outputs().map(Payload::length_bytes).sum();
    let room = room_bytes(state).min(PAYLOAD_BYTES_MAX);
    let whole = outputs().all(|own| own.absent().is_none());
    if whole && bytes + AROUND_RESULTS_BYTES <= room {
        let steps = (0..).map(StepIndex).take(state.steps.len());
        answer["results"] = steps.map(|step| item_json(state, step)).collect();
        let payload = Payload::of(&answer);
        if payload.length_bytes() <= room {
            return payload;
        }
        answer["results"] = Value::Null;
    }
    answer.as_object_mut().into_iter().for_each(|own| drop(own.remove("results")));
    Payload::of(&answer)
}

/// What a chunk answered, taken apart: counts, and results if they came and still fit beside
/// those of the chunks before.
pub(crate) fn answered(
    state: &State,
    step: StepIndex,
    output: &Payload,
) -> (ItemCounts, Option<Payload>) {
    let mut output = output.value();
    let count = |name: &str| output[name].as_u64().and_then(|own| u32::try_from(own).ok());
    let counts = ItemCounts {
        succeeded: count("succeeded").unwrap_or(0),
        failed: count("failed").unwrap_or(0),
        skipped: count("skipped").unwrap_or(0),
    };
    let known = state.links.as_ref().and_then(|links| links.loops.get(&step));
    let kept = known.and_then(|own| own.results.as_ref());
    let kept = kept.map(|own| own.iter().map(Payload::length_bytes).sum::<usize>());
    let results = output.get_mut("results").map(Value::take).filter(Value::is_array);
    let results = results.zip(kept).map(|(results, kept)| (Payload::of(&results), kept));
    let fits = |(results, kept): &(Payload, usize)| {
        let bytes = results.length_bytes();
        // They are written once more as the step's output.
        let twice = kept + 2 * bytes + AROUND_RESULTS_BYTES;
        kept + bytes + AROUND_RESULTS_BYTES <= PAYLOAD_BYTES_MAX && twice <= room_bytes(state)
    };
    (counts, results.filter(fits).map(|(results, _)| results))
}

/// What the step answers when all its items have ended.
pub(crate) fn finished(state: &State, step: StepIndex) -> Payload {
    let Some(links) = state.links.as_deref() else { return nothing() };
    let Some(own) = links.loops.get(&step) else { return nothing() };
    let ItemCounts { succeeded, failed, skipped } = own.counts;
    let mut output = json!({
        "count": own.items, "succeeded": succeeded, "failed": failed, "skipped": skipped,
    });
    let parts = own.results.iter().flatten();
    let whole = own.results.is_some() && parts.clone().all(|part| part.absent().is_none());
    if whole {
        let items = parts.map(Payload::value).flat_map(|part| match part {
            Value::Array(items) => items,
            _ => Vec::new(),
        });
        output["results"] = items.collect();
    } else {
        let runs = links.chunks(step, own.attempt).map(|chunk| chunk.run.to_string());
        output["results_in"] = runs.collect();
    }
    Payload::of(&output)
}

/// What the step answers for an empty list.
pub(crate) fn nothing() -> Payload {
    Payload::of(&json!({
        "count": 0, "succeeded": 0, "failed": 0, "skipped": 0, "results": [],
    }))
}
