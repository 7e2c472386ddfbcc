//! The form of document 001: `workflow` with steps over adapters, or a bare `router`.

use serde_json::{Map, Value, json};

use crate::plan::TaskTypes;

use crate::definition::problem::codes;

use super::canonical::PRIORITIES;
use super::draft::Draft;
use super::names::Naming;
use super::omnihub_router::Router;
use super::omnihub_undo::{COMPENSATION, compensation};
use super::parts::{below, list, object, put_condition, put_tree, text, texts};
use super::table::{Shape, Table, To, rule};

pub(super) static DOCUMENT: Table = Table {
    about: "A workflow or router of document 001",
    open: false,
    required: &[],
    fields: &[
        rule("workflow", Shape::One(&WORKFLOW), To::Own),
        rule("router", Shape::List(&ROUTE), To::Own),
        rule("id", Shape::Text, To::Own),
        rule("name", Shape::Text, To::Own),
        rule("callbacks", Shape::Any, To::Own),
        rule(
            "environments",
            Shape::Object,
            To::Later("the server's own settings hold in every environment"),
        ),
    ],
};

static WORKFLOW: Table = Table {
    about: "A workflow of document 001",
    open: false,
    required: &["name", "steps"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("version", Shape::Text, To::Field("version")),
        rule("tags", Shape::Texts, To::Field("tags")),
        rule("trigger", Shape::One(&TRIGGER), To::Later("only requests to the API start runs")),
        rule("variables", Shape::Object, To::Field("variables")),
        rule("input_schema", Shape::Object, To::Field("input_schema")),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("on_failure", Shape::Text, To::Field("on_failure")),
        rule("steps", Shape::List(&STEP), To::Own),
        rule("router", Shape::List(&ROUTE), To::Own),
        rule("priority", Shape::WordsOrTemplate(&PRIORITIES), To::Own),
        rule("outputs", Shape::Object, To::Own),
        rule("callbacks", Shape::Any, To::Field("callbacks")),
    ],
};

static TRIGGER: Table = Table {
    about: "What starts runs",
    open: false,
    required: &["type"],
    fields: &[
        rule("type", Shape::Text, To::Own),
        rule("source", Shape::Text, To::Own),
        rule("schedule", Shape::Text, To::Own),
    ],
};

static STEP: Table = Table {
    about: "A step of document 001",
    open: false,
    required: &["id", "adapter"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("adapter", Shape::Text, To::Field("type")),
        rule("with", Shape::Any, To::Own),
        rule("needs", Shape::TextOrTexts, To::Own),
        rule("depends_on", Shape::TextOrTexts, To::Own),
        rule("condition", Shape::Text, To::Own),
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("allow_failure", Shape::Boolean, To::Field("allow_failure")),
        rule("compensation", Shape::TextOr(&COMPENSATION), To::Own),
        rule("man-mode", Shape::Boolean, To::Own),
        rule("risk", Shape::Text, To::Later("no step waits for a person because of it")),
    ],
};

static ROUTE: Table = Table {
    about: "A route: the first whose condition holds is taken",
    open: false,
    required: &[],
    fields: &[
        rule("condition", Shape::Text, To::Own),
        rule("destination", Shape::Text, To::Own),
        rule("default", Shape::Text, To::Own),
    ],
};

/// A retry word that lets the run go on without the step.
const OPTIONAL: &str = "optional";
/// What a step is given that says nothing.
pub(super) const WHOLE_INPUT: &str = "{{ input }}";

pub(super) fn translate(
    fields: &Map<String, Value>,
    types: &dyn TaskTypes,
    draft: &mut Draft,
) -> Map<String, Value> {
    let mut made = Map::new();
    let naming = Naming { input_words: &["event", "trigger_data"], ..Naming::default() };
    let within = object(fields.get("workflow"));
    let router = match within.filter(|workflow| workflow.contains_key("router")) {
        Some(workflow) => {
            if fields.contains_key("router") {
                let message = "there is one `router` already, in `workflow`";
                draft.problems.add("router", codes::BAD_VALUE, message);
            }
            Router::of(list(workflow, "router"), "workflow.router", types, draft)
        }
        None => Router::of(list(fields, "router"), "router", types, draft),
    };
    match within {
        Some(workflow) => self::workflow(workflow, (router, types), &naming, &mut made, draft),
        None => router.alone(fields, &naming, &mut made, draft),
    }
    if let Some(callbacks) = fields.get("callbacks") {
        draft.lies_at("callbacks", "callbacks");
        made.insert("callbacks".to_owned(), callbacks.clone());
    }
    made
}

fn workflow(
    fields: &Map<String, Value>,
    (mut router, types): (Router<'_>, &dyn TaskTypes),
    naming: &Naming,
    made: &mut Map<String, Value>,
    draft: &mut Draft,
) {
    WORKFLOW.copy(fields, ("workflow", ""), made, draft);
    draft.lies_at("", "workflow");
    if !fields.contains_key("id") {
        draft.lies_at("id", "workflow.name");
        made.extend(text(fields, "name").map(|name| ("id".to_owned(), name.into())));
    }
    let mut steps = Vec::new();
    let mut before = Vec::new();
    let id = |step: &Value| step.get("id").and_then(Value::as_str).map(str::to_owned);
    router.leads_among(list(fields, "steps").iter().filter_map(id));
    for (at, value) in list(fields, "steps").iter().enumerate() {
        let source = format!("workflow.steps[{at}]");
        let Some(own) = object(Some(value)) else {
            draft.lies_at(format!("steps[{}]", steps.len()), source);
            steps.push(value.clone());
            continue;
        };
        let id = text(own, "id").unwrap_or_default();
        let led_to = router.leads_to(id);
        if led_to {
            before = router.choose(before, &mut steps, naming, draft);
        }
        let mut needs = if led_to { said(own).unwrap_or_default() } else { needs(own, &before) };
        if own.get("man-mode") == Some(&Value::Bool(true)) {
            let approval = approval(own, &needs, &source, steps.len(), draft);
            needs = approval["id"].as_str().map(str::to_owned).into_iter().collect();
            router.replace(id, &needs);
            steps.push(approval);
        }
        let at = steps.len();
        let mut made = step(own, needs, (&source, at), naming, draft);
        compensation(own, &mut made, (&source, at), (types, naming), draft);
        steps.push(made.into());
        if !led_to {
            before.clear();
        }
        before.extend(text(own, "id").map(str::to_owned));
    }
    router.end(before, &mut steps, naming, draft);
    if fields.contains_key("steps") {
        made.insert("steps".to_owned(), steps.into());
    }
    put_tree((fields, "workflow", "outputs"), (made, "", "outputs"), naming, draft);
    put_tree((fields, "workflow", "priority"), (made, "", "priority"), naming, draft);
}

/// The words with which a step says what it waits for.
const SAID: [&str; 2] = ["needs", "depends_on"];

/// What a step waits for: what it says, else the step written before it; behind steps that a
/// router leads to, all of these.
fn needs(fields: &Map<String, Value>, before: &[String]) -> Vec<String> {
    said(fields).unwrap_or_else(|| before.to_vec())
}

/// Where each thing is written that a step says it waits for.
fn said_at(fields: &Map<String, Value>, source: &str) -> Vec<String> {
    let places = |name: &str| -> Vec<String> {
        let own = below(source, name);
        match fields.get(name) {
            Some(Value::String(_)) => vec![own],
            Some(Value::Array(items)) => {
                let texts = items.iter().enumerate().filter(|(_, item)| item.is_string());
                texts.map(|(at, _)| format!("{own}[{at}]")).collect()
            }
            _ => Vec::new(),
        }
    };
    SAID.into_iter().flat_map(places).collect()
}

/// What a step says that it waits for, if it says so.
fn said(fields: &Map<String, Value>) -> Option<Vec<String>> {
    let said = SAID.into_iter().any(|name| fields.contains_key(name));
    let given = || SAID.into_iter().flat_map(|name| texts(fields, name));
    said.then(|| given().map(str::to_owned).collect())
}

/// A step of its own that a person has to pass, with a signal of its name.
fn approval(
    fields: &Map<String, Value>,
    needs: &[String],
    source: &str,
    at: usize,
    draft: &mut Draft,
) -> Value {
    let id = text(fields, "id").unwrap_or_default();
    for part in ["", ".id", ".type", ".needs"] {
        draft.lies_at(format!("steps[{at}]{part}"), below(source, "man-mode"));
    }
    let own = below(source, "man-mode");
    draft.all_lie_at(&format!("steps[{at}].needs"), needs.len(), &own);
    let signal = format!("approve-{id}");
    json!({ "id": signal, "type": "wait", "needs": needs, "with": { "signal": signal } })
}

fn step(
    fields: &Map<String, Value>,
    needs: Vec<String>,
    places: (&str, usize),
    naming: &Naming,
    draft: &mut Draft,
) -> Map<String, Value> {
    let (source, at) = places;
    let canonical = format!("steps[{at}]");
    let mut made = Map::new();
    draft.lies_at(canonical.as_str(), source);
    STEP.copy(fields, (source, &canonical), &mut made, draft);
    if fields.contains_key("depends_on") {
        draft.lies_at(below(&canonical, "needs"), below(source, "depends_on"));
        for (at, place) in said_at(fields, source).into_iter().enumerate() {
            draft.lies_at(format!("{canonical}.needs[{at}]"), place);
        }
    } else if !fields.contains_key("needs") {
        draft.all_lie_at(&below(&canonical, "needs"), needs.len(), source);
    }
    if !needs.is_empty() {
        made.insert("needs".to_owned(), needs.into());
    }
    put_tree((fields, source, "with"), (&mut made, &canonical, "with"), naming, draft);
    put_tree((fields, source, "timeout"), (&mut made, &canonical, "timeout"), naming, draft);
    made.entry("with").or_insert_with(|| WHOLE_INPUT.into());
    put_condition((fields, source), (&mut made, &canonical), naming, draft);
    match fields.get("retry") {
        Some(Value::String(word)) if word == OPTIONAL => {
            made.insert("allow_failure".to_owned(), true.into());
        }
        Some(retry @ (Value::String(_) | Value::Object(_))) => {
            made.insert("retry".to_owned(), retry.clone());
        }
        _ => {}
    }
    made
}
