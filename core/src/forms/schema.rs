//! JSON Schemas read off the tables, so that they cannot say anything else.

use serde_json::{Map, Value, json};

use super::table::{Shape, Table, To};
use super::{Form, unified_tasks};

/// A text that holds a template.
const TEMPLATE: &str = "\\{\\{.*\\}\\}";
/// A duration: `1h30m`.
const DURATION: &str = "^\\s*([0-9]+(ms|s|m|h|d))+\\s*$";

/// The schema of a form.
pub(super) fn of(form: Form) -> Value {
    let mut schema = of_table(form.table());
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = format!("Backstitch workflow definition, form `{}`", form.word()).into();
    match form {
        Form::Omnihub => {
            schema["anyOf"] = json!([{ "required": ["workflow"] }, { "required": ["router"] }]);
        }
        Form::Unified => {
            let each = unified_tasks::PARAMETERS.iter().map(|(task_type, table)| {
                json!({
                    "if": { "properties": { "task_type": { "const": task_type } },
                            "required": ["task_type"] },
                    "then": { "properties": { "parameters": of_table(table) } },
                })
            });
            schema["properties"]["tasks"]["items"]["allOf"] = each.collect();
        }
        Form::Canonical | Form::Ecosystem | Form::Swarmguard => {}
    }
    schema
}

fn of_table(table: &Table) -> Value {
    let mut properties = Map::new();
    for rule in table.fields {
        let mut field = of_shape(&rule.shape);
        if table.open && !matches!(rule.shape, Shape::Text | Shape::Any) {
            field = json!({ "anyOf": [field, { "type": "string", "pattern": TEMPLATE }] });
        }
        if let To::Later(why) = rule.to {
            field["$comment"] = format!("not in force yet: {why}").into();
        }
        properties.insert(rule.name.to_owned(), field);
    }
    let mut schema =
        json!({ "description": table.about, "type": "object", "properties": properties });
    if !table.open {
        schema["additionalProperties"] = false.into();
    }
    if !table.required.is_empty() {
        schema["required"] = table.required.into();
    }
    schema
}

fn of_shape(shape: &Shape) -> Value {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Texts => texts(),
        Shape::TextOrTexts => json!({ "anyOf": [{ "type": "string" }, texts()] }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Number(least, most) => json!({ "anyOf": [
            { "type": "number", "minimum": least, "maximum": most },
            { "type": "string", "pattern": TEMPLATE },
        ] }),
        Shape::Whole(least, most) => json!({ "anyOf": [
            { "type": "integer", "minimum": least, "maximum": most },
            { "type": "string", "pattern": TEMPLATE },
        ] }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION }),
        Shape::Limit => json!({ "anyOf": [
            { "type": "string", "pattern": DURATION },
            { "type": "string", "pattern": TEMPLATE },
        ] }),
        Shape::Object => json!({ "type": "object" }),
        Shape::Any => json!({ "not": { "type": "null" } }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::WordsOrTemplate(words) => json!({ "anyOf": [
            { "enum": words },
            { "type": "string", "pattern": TEMPLATE },
        ] }),
        Shape::Retry => json!({ "type": ["string", "object"] }),
        Shape::Breaker => json!({ "type": ["boolean", "string", "object"] }),
        Shape::One(table) => of_table(table),
        Shape::TruthOr(table) => json!({ "anyOf": [{ "type": "boolean" }, of_table(table)] }),
        Shape::TextOr(table) => json!({ "anyOf": [{ "type": "string" }, of_table(table)] }),
        Shape::WordOr(word, table) => json!({ "anyOf": [{ "const": word }, of_table(table)] }),
        Shape::List(table) => json!({ "type": "array", "items": of_table(table) }),
        Shape::OneOrList(table) => json!({ "anyOf": [
            of_table(table), { "type": "array", "items": of_table(table) },
        ] }),
    }
}
