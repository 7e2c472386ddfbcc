//! The form of document 002: `actions`, with declared `parameters`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::definition::WORKFLOW_ID_CHARS_MAX;
use crate::definition::problem::codes;

use super::draft::Draft;
use super::names::Naming;
use super::parts::{list, object, put_condition, put_needs, put_tree, text};
use super::table::{Rule, Shape, Table, To, rule};

pub(super) static DOCUMENT: Table = Table {
    about: "A workflow of document 002",
    open: false,
    required: &["name", "actions"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("version", Shape::Text, To::Field("version")),
        rule("tags", Shape::Texts, To::Field("tags")),
        rule("variables", Shape::Object, To::Field("variables")),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("parameters", Shape::List(&PARAMETER), To::Own),
        rule("actions", Shape::List(&ACTION), To::Own),
        rule("outputs", Shape::Object, To::Own),
        rule("callbacks", Shape::Any, To::Field("callbacks")),
    ],
};

static PARAMETER: Table = Table {
    about: "A parameter of the run",
    open: false,
    required: &["name"],
    fields: &[
        rule("name", Shape::Text, To::Own),
        rule("type", Shape::Words(&TYPES), To::Own),
        rule("description", Shape::Text, To::Own),
        rule("required", Shape::Boolean, To::Own),
        rule("default", Shape::Any, To::Own),
    ],
};

static ACTION: Table = Table {
    about: "An action of document 002",
    open: false,
    required: &["action_id", "action_type"],
    fields: &[
        rule("action_id", Shape::Text, To::Field("id")),
        rule("action_type", Shape::Text, To::Field("type")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("config", Shape::Object, To::Own),
        rule("depends_on", Shape::TextOrTexts, To::Own),
        rule("condition", Shape::Text, To::Own),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("retry", Shape::Retry, To::Field("retry")),
        rule("allow_failure", Shape::Boolean, To::Field("allow_failure")),
    ],
};

const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "object", "array"];
/// Characters of an id that are left for a number, should other content have it.
const NUMBER_CHARS: usize = 8;

pub(super) fn translate(fields: &Map<String, Value>, draft: &mut Draft) -> Map<String, Value> {
    let mut made = Map::new();
    DOCUMENT.copy(fields, ("", ""), &mut made, draft);
    if !fields.contains_key("id") {
        draft.lies_at("id", "name");
        made.extend(text(fields, "name").map(|name| ("id".to_owned(), slug(name).into())));
    }
    let actions = list(fields, "actions");
    let id = |action: &Value| action.get("action_id").and_then(Value::as_str).map(str::to_owned);
    let steps = actions.iter().filter_map(id).collect();
    let mut naming = Naming { bare: true, steps, ..Naming::default() };
    naming.parameters = Some(parameters(fields, &naming, &mut made, draft));
    draft.lies_at("steps", "actions");
    let each = |(at, value): (usize, &Value)| match object(Some(value)) {
        Some(fields) => Value::Object(action(at, fields, &naming, draft)),
        None => value.clone(),
    };
    let steps: Vec<Value> = actions.iter().enumerate().map(each).collect();
    made.insert("steps".to_owned(), steps.into());
    put_tree((fields, "", "outputs"), (&mut made, "", "outputs"), &naming, draft);
    made
}

fn action(
    at: usize,
    fields: &Map<String, Value>,
    naming: &Naming,
    draft: &mut Draft,
) -> Map<String, Value> {
    let (source, canonical) = (format!("actions[{at}]"), format!("steps[{at}]"));
    let mut made = Map::new();
    ACTION.copy(fields, (&source, &canonical), &mut made, draft);
    put_tree((fields, &source, "config"), (&mut made, &canonical, "with"), naming, draft);
    put_tree((fields, &source, "timeout"), (&mut made, &canonical, "timeout"), naming, draft);
    put_needs((fields, &source, "depends_on"), (&mut made, &canonical), draft);
    put_condition((fields, &source), (&mut made, &canonical), naming, draft);
    made
}

/// Reads the parameters, which make the input's schema.
fn parameters(
    fields: &Map<String, Value>,
    naming: &Naming,
    made: &mut Map<String, Value>,
    draft: &mut Draft,
) -> BTreeMap<String, Option<Value>> {
    let mut declared = BTreeMap::new();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (at, value) in list(fields, "parameters").iter().enumerate() {
        let Some(own) = object(Some(value)) else { continue };
        let path = format!("parameters[{at}].name");
        let Some(name) = text(own, "name") else {
            if !own.contains_key("name") {
                draft.problems.add(path, codes::MISSING_FIELD, "`name` is required");
            }
            continue;
        };
        let taken = if naming.steps.contains(name) { "an action" } else { "a parameter" };
        if naming.steps.contains(name) || declared.contains_key(name) {
            let shown: String = name.chars().take(64).collect();
            let message = format!("`{shown}` is already the name of {taken}");
            draft.problems.add(path, codes::DUPLICATE_ID, message);
            continue;
        }
        let is_property = |rule: &&Rule| ["type", "description", "default"].contains(&rule.name);
        let given = PARAMETER.fields.iter().filter(is_property);
        let property: Map<String, Value> = given
            .filter_map(|rule| {
                Some((rule.name, own.get(rule.name).filter(|v| rule.shape.fits(v))?))
            })
            .map(|(word, value)| (word.to_owned(), value.clone()))
            .collect();
        draft.lies_at(format!("input_schema.properties.{name}"), format!("parameters[{at}]"));
        properties.insert(name.to_owned(), property.into());
        if own.get("required") == Some(&Value::Bool(true)) {
            required.push(name);
        }
        declared.insert(name.to_owned(), own.get("default").cloned());
    }
    if !properties.is_empty() {
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        made.insert("input_schema".to_owned(), schema);
        draft.lies_at("input_schema", "parameters");
    }
    declared
}

/// An id made from a name: its letters and digits in lower case, with hyphens between.
#[must_use]
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(WORKFLOW_ID_CHARS_MAX - NUMBER_CHARS);
    slug.trim_end_matches('-').to_owned()
}
