//! A JSON Schema in a few words of HTML: `list of Execution`, `text or null`.

use serde_json::{Map, Value};

/// How deep objects in objects are written out.
const DEPTH_MAX: usize = 3;

/// HTML of a text.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// HTML of a text in which `` `words` `` are code.
pub(super) fn prose(text: &str) -> String {
    let parts = escaped(text);
    let parts = parts.split('`').enumerate();
    let written = parts.map(|(at, part)| match at % 2 {
        1 => format!("<code>{part}</code>"),
        _ => part.to_owned(),
    });
    written.collect()
}

/// HTML of a schema's type.
pub(super) fn type_of(schema: &Value) -> String {
    within(schema, DEPTH_MAX)
}

fn within(schema: &Value, depth: usize) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|own| own.rsplit('/').next()) {
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(any) = schema["anyOf"].as_array().filter(|own| own[0]["required"].is_null()) {
        let each: Vec<_> = any.iter().map(|own| within(own, depth)).collect();
        return each.join(" or ");
    }
    if let Some(value) = schema.get("const") {
        return format!("<code>{}</code>", escaped(&value.to_string()));
    }
    if let Some(words) = schema["enum"].as_array() {
        let each: Vec<_> =
            words.iter().map(|own| format!("<code>{}</code>", escaped(&bare(own)))).collect();
        return each.join(" ");
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return "any JSON".to_owned(),
    };
    let each: Vec<_> = kinds.into_iter().map(|kind| named(kind, schema, depth)).collect();
    each.join(" or ")
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn named(kind: &str, schema: &Value, depth: usize) -> String {
    match kind {
        "string" if schema["format"] == "date-time" => "instant".to_owned(),
        "string" => format!("text{}", range(schema, "minLength", "maxLength", " characters")),
        "integer" => format!("whole number{}", range(schema, "minimum", "maximum", "")),
        "number" => format!("number{}", range(schema, "minimum", "maximum", "")),
        "boolean" => "true or false".to_owned(),
        "array" => format!("list of {}", within(&schema["items"], depth)),
        "object" => match (schema["properties"].as_object(), &schema["additionalProperties"]) {
            (Some(own), _) if depth > 0 => object(own, schema, depth),
            (None, of @ Value::Object(_)) => format!("object of {}", within(of, depth)),
            _ => "object".to_owned(),
        },
        other => escaped(other),
    }
}

/// Bounds that say something: not that a number is not negative.
fn range(schema: &Value, least: &str, most: &str, unit: &str) -> String {
    match (schema[least].as_u64().filter(|own| *own > 0), schema[most].as_u64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}{unit}"),
        (None, Some(most)) => format!(", at most {most}{unit}"),
        (Some(least), None) => format!(", from {least}{unit}"),
        (None, None) => String::new(),
    }
}

fn object(fields: &Map<String, Value>, schema: &Value, depth: usize) -> String {
    let field = |(name, of): (&String, &Value)| {
        let mark = if is_required(schema, name) { "" } else { "?" };
        format!("<code>{}</code>{mark}: {}", escaped(name), within(of, depth - 1))
    };
    let each: Vec<_> = fields.iter().map(field).collect();
    format!("{{ {} }}", each.join(", "))
}

/// Whether an object must have the field.
pub(super) fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().into_iter().flatten().any(|own| own == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_told_in_words() {
        let of = |schema: Value| type_of(&schema);
        assert_eq!(of(json!({})), "any JSON");
        assert_eq!(
            of(json!({ "type": ["string", "null"], "format": "date-time" })),
            "instant or null"
        );
        assert_eq!(
            of(json!({ "type": "integer", "minimum": 1, "maximum": 9 })),
            "whole number, 1 to 9"
        );
        let item = json!({ "$ref": "#/components/schemas/Step" });
        let linked = "<a href=\"#schema-Step\">Step</a>";
        assert_eq!(of(json!({ "type": "array", "items": item })), format!("list of {linked}"));
        assert_eq!(
            of(json!({ "type": "object", "additionalProperties": item })),
            format!("object of {linked}")
        );
        let object = json!({ "type": "object", "properties": { "a": {}, "b": { "enum": ["x"] } }, "required": ["a"] });
        assert_eq!(of(object), "{ <code>a</code>: any JSON, <code>b</code>?: <code>x</code> }");
    }

    #[test]
    fn nothing_that_is_said_becomes_markup() {
        assert_eq!(prose("`a<b` & c"), "<code>a&lt;b</code> &amp; c");
        assert_eq!(
            type_of(&json!({ "const": "<script>" })),
            "<code>&quot;&lt;script&gt;&quot;</code>"
        );
    }
}
