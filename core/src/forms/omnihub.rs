//! The form of document 001: `workflow` with steps over adapters, or a bare `router`.

use serde_json::{Map, Value, json};

use crate::definition::problem::codes;
use crate::ids::Digest;
use crate::template::has_template;

use super::draft::Draft;
use super::names::Naming;
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
        rule("timeout", Shape::Duration, To::Field("timeout")),
        rule("on_failure", Shape::Text, To::Field("on_failure")),
        rule("steps", Shape::List(&STEP), To::Own),
        rule("router", Shape::List(&ROUTE), To::Later("all steps run")),
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
        rule("timeout", Shape::Duration, To::Field("timeout")),
        rule("allow_failure", Shape::Boolean, To::Field("allow_failure")),
        rule("compensation", Shape::Text, To::Own),
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
/// The most routes of a router.
const ROUTES_MAX: usize = 1_000;
/// The step of a bare router that chooses.
const CHOOSE: &str = "choose";
/// What a step is given that says nothing.
const WHOLE_INPUT: &str = "{{ input }}";

pub(super) fn translate(fields: &Map<String, Value>, draft: &mut Draft) -> Map<String, Value> {
    let mut made = Map::new();
    let naming = Naming { input_words: &["event", "trigger_data"], ..Naming::default() };
    match object(fields.get("workflow")) {
        Some(workflow) => {
            self::workflow(workflow, &naming, &mut made, draft);
            if fields.contains_key("router") {
                draft.not_in_force("router", "`router` is not in force here yet: all steps run");
            }
        }
        None => router(fields, &naming, &mut made, draft),
    }
    if let Some(callbacks) = fields.get("callbacks") {
        draft.lies_at("callbacks", "callbacks");
        made.insert("callbacks".to_owned(), callbacks.clone());
    }
    made
}

fn workflow(
    fields: &Map<String, Value>,
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
    let mut before = None;
    for (at, value) in list(fields, "steps").iter().enumerate() {
        let source = format!("workflow.steps[{at}]");
        let Some(own) = object(Some(value)) else {
            draft.lies_at(format!("steps[{}]", steps.len()), source);
            steps.push(value.clone());
            continue;
        };
        let mut needs = needs(own, before.as_deref());
        if own.get("man-mode") == Some(&Value::Bool(true)) {
            let approval = approval(own, &needs, &source, steps.len(), draft);
            needs = approval["id"].as_str().map(str::to_owned).into_iter().collect();
            steps.push(approval);
        }
        steps.push(step(own, needs, (&source, steps.len()), naming, draft));
        before = text(own, "id").map(str::to_owned);
    }
    if fields.contains_key("steps") {
        made.insert("steps".to_owned(), steps.into());
    }
    put_tree((fields, "workflow", "outputs"), (made, "", "outputs"), naming, draft);
}

/// What a step waits for: what it says, else the step written before it.
fn needs(fields: &Map<String, Value>, before: Option<&str>) -> Vec<String> {
    if fields.contains_key("needs") || fields.contains_key("depends_on") {
        let given = ["needs", "depends_on"].into_iter().flat_map(|name| texts(fields, name));
        return given.map(str::to_owned).collect();
    }
    before.map(str::to_owned).into_iter().collect()
}

/// A step of its own that a person has to pass. Nothing performs it yet, so that a run stops
/// there rather than go on unseen.
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
    json!({ "id": format!("approve-{id}"), "type": "approval", "needs": needs,
            "with": { "step": id } })
}

fn step(
    fields: &Map<String, Value>,
    needs: Vec<String>,
    places: (&str, usize),
    naming: &Naming,
    draft: &mut Draft,
) -> Value {
    let (source, at) = places;
    let canonical = format!("steps[{at}]");
    let mut made = Map::new();
    draft.lies_at(canonical.as_str(), source);
    STEP.copy(fields, (source, &canonical), &mut made, draft);
    if fields.contains_key("depends_on") {
        draft.lies_at(below(&canonical, "needs"), below(source, "depends_on"));
    }
    if !needs.is_empty() {
        made.insert("needs".to_owned(), needs.into());
    }
    put_tree((fields, source, "with"), (&mut made, &canonical, "with"), naming, draft);
    let with = made.entry("with").or_insert_with(|| WHOLE_INPUT.into()).clone();
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
    if let (Some(compensation), Some(id)) = (text(fields, "compensation"), text(fields, "id")) {
        let output = format!("{{{{ steps[{}].output }}}}", Value::from(id));
        draft.lies_at(below(&canonical, "undo"), below(source, "compensation"));
        draft.lies_at(below(&canonical, "undo.type"), below(source, "compensation"));
        let undo = json!({ "type": compensation, "with": { "input": with, "output": output } });
        made.insert("undo".to_owned(), undo);
    }
    Value::Object(made)
}

/// A bare router: one step chooses, and each destination is a step that runs if it was chosen.
fn router(
    fields: &Map<String, Value>,
    naming: &Naming,
    made: &mut Map<String, Value>,
    draft: &mut Draft,
) {
    let mut routes = list(fields, "router");
    if routes.len() > ROUTES_MAX {
        let message = format!("`router` has at most {ROUTES_MAX} items, not {}", routes.len());
        draft.problems.add("router", codes::OUT_OF_RANGE, message);
        routes = &[];
    }
    let digest = fields.get("router").map(|routes| Digest::of(routes.to_string().as_bytes()));
    let id = text(fields, "id").or(text(fields, "name")).map_or_else(
        || format!("router-{:.12}", digest.unwrap_or_default().to_string()),
        str::to_owned,
    );
    let at_name = if fields.contains_key("id") { "id" } else { "name" };
    draft.lies_at("id", at_name);
    made.insert("id".to_owned(), id.into());
    made.extend(text(fields, "name").map(|name| ("name".to_owned(), name.into())));
    draft.lies_at("steps", "router");
    for part in ["", ".with", ".with.destination"] {
        draft.lies_at(format!("steps[0]{part}"), "router");
    }
    let (choice, destinations) = choice(routes, naming, draft);
    let mut steps =
        vec![json!({ "id": CHOOSE, "type": "transform", "with": { "destination": choice } })];
    for (at, destination) in destinations {
        let place = format!("steps[{}]", steps.len());
        let named = if routes[at].get("default").is_some() { "default" } else { "destination" };
        draft.lies_at(below(&place, "type"), format!("router[{at}].{named}"));
        draft.lies_at(place, format!("router[{at}]"));
        let when = format!("steps.{CHOOSE}.output.destination == {}", Value::from(destination));
        let id = step_id(destination, steps.len());
        steps.push(json!({
            "id": id, "type": destination, "needs": [CHOOSE], "when": when, "with": WHOLE_INPUT,
        }));
    }
    if steps.len() == 1 {
        steps.clear();
    }
    made.insert("steps".to_owned(), steps.into());
}

/// The text that renders to the destination, and each destination with its first place.
fn choice<'v>(
    routes: &'v [Value],
    naming: &Naming,
    draft: &mut Draft,
) -> (String, Vec<(usize, &'v str)>) {
    let mut choice = String::new();
    let mut destinations: Vec<(usize, &str)> = Vec::new();
    let mut default = None;
    for (at, route) in routes.iter().enumerate() {
        let path = format!("router[{at}]");
        let Some(own) = object(Some(route)) else { continue };
        let condition = text(own, "condition");
        let destination = match (condition, text(own, "destination"), text(own, "default")) {
            (Some(_), Some(destination), None) | (None, None, Some(destination)) => destination,
            _ => {
                let message = "a route has `condition` and `destination`, or `default` alone";
                draft.problems.add(path, codes::BAD_VALUE, message);
                continue;
            }
        };
        if has_template(destination) || destination.is_empty() {
            let message = "a destination is the name of a workflow or adapter";
            draft.problems.add(path, codes::BAD_VALUE, message);
            continue;
        }
        if destinations.iter().all(|(_, known)| *known != destination) {
            destinations.push((at, destination));
        }
        let Some(condition) = condition else {
            if default.replace(destination).is_some() {
                draft.problems.add(path, codes::BAD_VALUE, "there is one `default` already");
            }
            continue;
        };
        let condition = condition.trim();
        let lone = condition.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let places = (below(&path, "condition"), "steps[0].with.destination".to_owned());
        let bare = naming.condition(lone.unwrap_or(condition).trim(), (&places.0, ""), draft);
        let word = if choice.is_empty() { "if" } else { "elif" };
        choice.push_str(&format!("{{% {word} {bare} %}}{destination}"));
    }
    if choice.is_empty() {
        return (default.unwrap_or_default().to_owned(), destinations);
    }
    choice.push_str(&format!("{{% else %}}{}{{% endif %}}", default.unwrap_or_default()));
    (choice, destinations)
}

/// A destination's name as a step's id, where it is fit for one.
fn step_id(destination: &str, at: usize) -> String {
    let plain = destination.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    let begins = destination.starts_with(|c: char| c.is_ascii_alphabetic());
    match plain && begins && destination.len() <= 64 && destination != CHOOSE {
        true => destination.to_owned(),
        false => format!("route-{at}"),
    }
}
