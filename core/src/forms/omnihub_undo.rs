//! `compensation` of document 001: which adapter undoes a step, and what it is given.

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::names::Naming;
use super::parts::{below, put_tree, text};
use super::table::{Shape, Table, To, rule};
use crate::definition::problem::codes;
use crate::plan::TaskTypes;

pub(super) static COMPENSATION: Table = Table {
    about: "How a step is undone: an adapter, and what it is given",
    open: false,
    required: &["adapter"],
    fields: &[
        rule("adapter", Shape::Text, To::Field("type")),
        rule("with", Shape::Any, To::Own),
        rule("retry", Shape::Retry, To::Field("retry")),
        rule("timeout", Shape::Limit, To::Own),
    ],
};

/// The undo of a step that names one.
pub(super) fn compensation(
    fields: &Map<String, Value>,
    step: &mut Map<String, Value>,
    (source, at): (&str, usize),
    (types, naming): (&dyn TaskTypes, &Naming),
    draft: &mut Draft,
) {
    let (source, canonical) = (below(source, "compensation"), format!("steps[{at}].undo"));
    let mut undo = Map::new();
    match fields.get("compensation") {
        Some(Value::String(adapter)) => {
            undo.insert("type".to_owned(), adapter.as_str().into());
            draft.lies_at(canonical.as_str(), source.as_str());
            draft.lies_at(below(&canonical, "type"), source.as_str());
            check(adapter, (fields, &source), types, draft);
        }
        Some(Value::Object(own)) => {
            draft.lies_at(canonical.as_str(), source.as_str());
            COMPENSATION.copy(own, (&source, &canonical), &mut undo, draft);
            put_tree((own, &source, "timeout"), (&mut undo, &canonical, "timeout"), naming, draft);
            put_tree((own, &source, "with"), (&mut undo, &canonical, "with"), naming, draft);
        }
        _ => return,
    }
    let adapter = undo.get("type").and_then(Value::as_str);
    // What is built in takes fields of its own.
    let is_own = adapter.is_some_and(|adapter| types.effectful().contains(&adapter));
    if let (false, false, Some(id)) = (is_own, undo.contains_key("with"), text(fields, "id")) {
        let output = format!("{{{{ steps[{}].output }}}}", Value::from(id));
        let input = step.get("with").cloned().unwrap_or_default();
        undo.insert("with".to_owned(), json!({ "input": input, "output": output }));
    }
    step.insert("undo".to_owned(), undo.into());
}

/// An adapter that is named alone has to be one that needs nothing said.
fn check(
    adapter: &str,
    (fields, path): (&Map<String, Value>, &str),
    types: &dyn TaskTypes,
    draft: &mut Draft,
) {
    if !types.effectful().contains(&adapter) {
        return;
    }
    let lacks = types.check(adapter, &Map::new().into());
    let Some((field, why)) = lacks.first() else { return };
    let id = Value::from(text(fields, "id").unwrap_or_default());
    let message = format!(
        "`{adapter}` does not know by itself what to undo (`{field}` {why}): write `compensation: \
         {{ adapter: {adapter}, with: {{ {field}: ... }} }}`, with `{{{{ steps[{id}].output }}}}` \
         for what the step answered"
    );
    draft.problems.add(path, codes::BAD_VALUE, message);
}
