//! The form of document 003: `tasks` with `type`.

use serde_json::{Map, Value};

use super::draft::Draft;
use super::names::Naming;
use super::parts::{list, object, put_condition, put_needs, put_tree, text};
use super::table::{Shape, Table, To, rule};

pub(super) static DOCUMENT: Table = Table {
    about: "A workflow of document 003",
    open: false,
    required: &["name", "tasks"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("version", Shape::Text, To::Field("version")),
        rule("tags", Shape::Texts, To::Field("tags")),
        rule("input_schema", Shape::Object, To::Field("input_schema")),
        rule("variables", Shape::Object, To::Field("variables")),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("tasks", Shape::List(&TASK), To::Own),
        rule("outputs", Shape::Object, To::Own),
        rule("callbacks", Shape::Any, To::Field("callbacks")),
    ],
};

static TASK: Table = Table {
    about: "A task of document 003",
    open: false,
    required: &["id", "type"],
    fields: &[
        rule("id", Shape::Text, To::Field("id")),
        rule("name", Shape::Text, To::Field("name")),
        rule("description", Shape::Text, To::Field("description")),
        rule("type", Shape::Text, To::Field("type")),
        rule("url", Shape::Text, To::Own),
        rule("method", Shape::Text, To::Own),
        rule("headers", Shape::Any, To::Own),
        rule("query", Shape::Any, To::Own),
        rule("body", Shape::Any, To::Own),
        rule("script", Shape::Text, To::Own),
        rule("timeout", Shape::Limit, To::Field("timeout")),
        rule("retry", Shape::Retry, To::Field("retry")),
        rule("depends_on", Shape::TextOrTexts, To::Own),
        rule("condition", Shape::Text, To::Own),
        rule("allow_failure", Shape::Boolean, To::Field("allow_failure")),
        rule("cacheable", Shape::Boolean, To::Field("cache")),
    ],
};

/// The fields of a task that are its input.
const INPUT: [&str; 6] = ["url", "method", "headers", "query", "body", "script"];

pub(super) fn translate(fields: &Map<String, Value>, draft: &mut Draft) -> Map<String, Value> {
    let mut made = Map::new();
    DOCUMENT.copy(fields, ("", ""), &mut made, draft);
    if !fields.contains_key("id") {
        draft.lies_at("id", "name");
        made.extend(text(fields, "name").map(|name| ("id".to_owned(), name.into())));
    }
    let tasks = list(fields, "tasks");
    let id = |task: &Value| task.get("id").and_then(Value::as_str).map(str::to_owned);
    let naming = Naming {
        bare: true,
        workflow_id_is_run: true,
        steps: tasks.iter().filter_map(id).collect(),
        ..Naming::default()
    };
    draft.lies_at("steps", "tasks");
    let each = |(at, value): (usize, &Value)| match object(Some(value)) {
        Some(fields) => Value::Object(task(at, fields, &naming, draft)),
        None => value.clone(),
    };
    let steps: Vec<Value> = tasks.iter().enumerate().map(each).collect();
    made.insert("steps".to_owned(), steps.into());
    put_tree((fields, "", "outputs"), (&mut made, "", "outputs"), &naming, draft);
    made
}

fn task(
    at: usize,
    fields: &Map<String, Value>,
    naming: &Naming,
    draft: &mut Draft,
) -> Map<String, Value> {
    let (source, canonical) = (format!("tasks[{at}]"), format!("steps[{at}]"));
    let mut made = Map::new();
    TASK.copy(fields, (&source, &canonical), &mut made, draft);
    let mut input = Map::new();
    let with = format!("{canonical}.with");
    draft.lies_at(with.as_str(), source.as_str());
    for name in INPUT {
        put_tree((fields, &source, name), (&mut input, &with, name), naming, draft);
    }
    if !input.is_empty() {
        made.insert("with".to_owned(), input.into());
    }
    put_tree((fields, &source, "timeout"), (&mut made, &canonical, "timeout"), naming, draft);
    put_needs((fields, &source, "depends_on"), (&mut made, &canonical), draft);
    put_condition((fields, &source), (&mut made, &canonical), naming, draft);
    made
}
