//! A part of a definition, put into the whole: a new revision of what there is and what is given.

use axum::http::HeaderMap;
use axum::response::Response;
use backstitch_core::yaml::{self, Format};
use backstitch_saga::Error;
use backstitch_saga::catalog::{Catalog, Listed, Revision};
use backstitch_saga::handle::{Defined, SubmittedText};
use backstitch_saga::partition::Expected;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::document::Document;
use super::path::PathId;
use super::preconditions::{expected, tagged};
use super::refusal::Refusal;
use super::workflows::defined_json;
use super::{answer, codes};

/// What the body of an update must be.
const FIELDS: &str = "an object with the fields to change";
/// How what is given is put into the fields that there are.
type Put = fn(&mut Map<String, Value>, &Map<String, Value>);

/// How often an update is put into what somebody else has just made of the workflow.
const TRIES_MAX: usize = 8;

/// What a revision was submitted as; its canonical form if nobody says.
pub(super) fn submitted(catalog: &Catalog, namespace: &str, own: &Revision) -> Value {
    let source = catalog.source(namespace, &own.plan.workflow, own.plan.digest);
    let read = source.and_then(|source| {
        let format = if &*source.format == "json" { Format::Json } else { Format::Yaml };
        yaml::parse(source.text.as_bytes(), format).ok()
    });
    read.or_else(|| serde_json::from_str(&own.text).ok()).unwrap_or(Value::Null)
}

/// The newest revision of a workflow.
///
/// # Errors
/// 404 if there is none.
pub(super) fn newest(caller: &Caller, workflow: &str) -> Result<Revision, Refusal> {
    let found = caller.engine()?.catalog().latest(caller.namespace(), workflow);
    found.ok_or_else(|| not_found(workflow))
}

fn not_found(workflow: &str) -> Refusal {
    let workflow = workflow.chars().take(256).collect();
    backstitch_saga::Error::WorkflowNotFound { workflow }.into()
}

/// A workflow as lists show it.
///
/// # Errors
/// 404 if there is none.
pub(super) fn listed(caller: &Caller, workflow: &str) -> Result<Listed, Refusal> {
    let found = caller.engine()?.catalog().listed_one(caller.namespace(), workflow);
    found.ok_or_else(|| not_found(workflow))
}

/// Makes a new revision of a workflow of its newest one and what is given: `put` puts that into
/// the definition as it was submitted. Nothing that was defined in between is lost.
///
/// # Errors
/// 404 if there is no such workflow; 412 if the newest revision is another than the headers say;
/// 422 if the whole is wrong then.
pub(super) async fn updated(
    caller: &Caller,
    workflow: &str,
    headers: &HeaderMap,
    (document, put): (Document, Put),
) -> Result<Defined, Refusal> {
    let engine = caller.engine()?;
    let expected = expected(headers)?;
    let (given, share) = document.required(FIELDS)?;
    let Value::Object(given) = given else {
        return Err(Refusal::bad_request(format!("the body must be {FIELDS}")));
    };
    let mut tries = 0;
    let defined = loop {
        tries += 1;
        let before = newest(caller, workflow)?;
        let current = before.plan.digest;
        if !expected.holds(Some(current)) {
            let (workflow, current) = (before.plan.workflow.clone(), Some(current));
            return Err(Error::NotExpected { workflow, current }.into());
        }
        let mut whole = submitted(engine.catalog(), caller.namespace(), &before);
        put(fields_of(&mut whole, &given)?, &given);
        // Where an id is made of the name, another name is not another workflow.
        fields_of(&mut whole, &given)?.insert("id".to_owned(), workflow.into());
        let text = Some(SubmittedText { format: Format::Json, text: whole.to_string().into() });
        let wish = (Expected::OneOf(vec![current]), &*caller.actor());
        match engine.define_if(caller.namespace(), &whole, text, wish).await {
            // Somebody else was faster: it is put into what they made.
            Err(Error::NotExpected { .. }) if tries < TRIES_MAX => {}
            defined => break defined?,
        }
    };
    drop(share);
    Ok(defined)
}

/// The fields of a submitted definition that an update is about.
fn fields_of<'a>(
    whole: &'a mut Value,
    given: &Map<String, Value>,
) -> Result<&'a mut Map<String, Value>, Refusal> {
    let below = whole.get("workflow").is_some() && !given.contains_key("workflow");
    // Document 001 has everything below `workflow`, and no ids beside it.
    let fields = if below { whole.get_mut("workflow") } else { Some(whole) };
    let unreadable = "the definition that there is can't be read";
    let fields = fields.and_then(Value::as_object_mut);
    fields.ok_or_else(|| Refusal::new(codes::INTERNAL, unreadable))
}

/// The fields that are given stand in place of those there are.
pub(super) fn replace(fields: &mut Map<String, Value>, given: &Map<String, Value>) {
    fields.extend(given.clone());
}

/// As RFC 7396 has it: objects are put into each other, null takes away, the rest is replaced.
fn merge(fields: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (name, value) in given {
        match (fields.get_mut(name), value) {
            (_, Value::Null) => drop(fields.remove(name)),
            (Some(Value::Object(own)), Value::Object(value)) => merge(own, value),
            (_, Value::Object(value)) => {
                let mut own = Map::new();
                merge(&mut own, value);
                fields.insert(name.clone(), own.into());
            }
            (_, value) => drop(fields.insert(name.clone(), value.clone())),
        }
    }
}

/// `PATCH /api/v1/workflows/{id}`: a new revision with what is given put into the newest one.
pub(super) async fn patch(
    caller: Caller,
    PathId(workflow): PathId,
    headers: HeaderMap,
    document: Document,
) -> Result<Response, Refusal> {
    let defined = updated(&caller, &workflow, &headers, (document, merge)).await?;
    Ok(tagged(answer::ok(&defined_json(&defined)), &defined.digest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A, whose patch and target are objects.
    #[test]
    fn a_patch_is_merged_as_the_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut own = target.clone();
            let (fields, given) = (own.as_object_mut(), patch.as_object());
            merge(fields.expect("an object"), given.expect("an object"));
            assert_eq!(own, result, "{target} and {patch}");
        }
    }

    #[test]
    fn what_is_given_stands_in_place_of_what_there_is() {
        let mut own = json!({ "a": { "b": 1 }, "c": 2 });
        let given = json!({ "a": { "d": 3 } });
        replace(own.as_object_mut().expect("an object"), given.as_object().expect("an object"));
        assert_eq!(own, json!({ "a": { "d": 3 }, "c": 2 }));
    }
}
