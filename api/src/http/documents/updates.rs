//! A part of a definition, put into the whole: the fields that are given replace those there are.

use axum::http::StatusCode;
use backstitch_core::yaml::{self, Format};
use backstitch_saga::catalog::{Catalog, Listed, Revision};
use backstitch_saga::handle::{Defined, SubmittedText};
use serde_json::Value;

use crate::http::caller::Caller;
use crate::http::codes;
use crate::http::document::Document;
use crate::http::refusal::Refusal;

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

/// Makes a new revision of a workflow with some fields replaced.
///
/// # Errors
/// 404 if there is no such workflow; 422 if the whole is wrong then.
pub(super) async fn updated(
    caller: &Caller,
    workflow: &str,
    document: Document,
) -> Result<(StatusCode, Defined), Refusal> {
    let engine = caller.engine()?;
    let before = newest(caller, workflow)?;
    let (given, share) = document.required("an object with the fields to replace")?;
    let Value::Object(given) = given else {
        return Err(Refusal::bad_request("the body must be an object with the fields to replace"));
    };
    let mut whole = submitted(engine.catalog(), caller.namespace(), &before);
    let fields = match &mut whole {
        // Document 001 has everything below `workflow`, and no ids beside it.
        Value::Object(fields)
            if fields.contains_key("workflow") && !given.contains_key("workflow") =>
        {
            fields.get_mut("workflow").and_then(Value::as_object_mut)
        }
        whole => whole.as_object_mut(),
    };
    let Some(fields) = fields else {
        return Err(Refusal::new(codes::INTERNAL, "the definition that there is can't be read"));
    };
    fields.extend(given);
    // Where an id is made of the name, another name is not another workflow.
    fields.insert("id".to_owned(), workflow.into());
    let text = Some(SubmittedText { format: Format::Json, text: whole.to_string().into() });
    let defined = engine.define_from(caller.namespace(), &whole, text, &caller.actor()).await?;
    drop(share);
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, defined))
}
