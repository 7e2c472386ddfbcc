//! `/api/v1/workflows`: definitions and their revisions.

use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::forms::{Compiled, Form};
use backstitch_core::ids::ExecutionId;
use backstitch_core::yaml::{self, Format};
use backstitch_saga::catalog::Revision;
use backstitch_saga::handle::Defined;
use serde_json::{Value, json};

use super::caller::Caller;
use super::document::{Document, SourceDocument};
use super::documents::omnihub;
use super::path::PathId;
use super::preconditions::{expected, tagged};
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};
use super::{answer, codes};
use crate::nearest::unknown;

/// What a definition's body must be.
const A_DEFINITION: &str = "a workflow definition in JSON or YAML";

/// Words of `form` that a definition is asked for in.
const FORMS: [&str; 2] = [CANONICAL, SUBMITTED];
const CANONICAL: &str = "canonical";
const SUBMITTED: &str = "submitted";

/// Adds a definition to its workflow.
///
/// # Errors
/// As `POST /api/v1/workflows` is refused.
pub(super) async fn defined(
    caller: &Caller,
    headers: &HeaderMap,
    submitted: SourceDocument,
) -> Result<Defined, Refusal> {
    let expected = expected(headers)?;
    let SourceDocument { document, text } = submitted;
    let (definition, share) = document.required(A_DEFINITION)?;
    let (engine, caller) = (caller.engine()?.clone(), caller.clone());
    // Defining goes on when its client goes away, and so it keeps its share until it ends.
    let defining = tokio::spawn(async move {
        let (namespace, actor) = (caller.namespace(), caller.actor());
        let wish = (expected, &*actor);
        let defined = engine.define_if(namespace, &definition, text, wish).await;
        drop((definition, share));
        defined
    });
    let defined = defining.await.map_err(|_| Refusal::new(codes::INTERNAL, "not defined"))?;
    Ok(defined?)
}

/// `POST /api/v1/workflows`: 201 for new content, 200 for a revision there is; with `execute` a
/// run is begun, too.
pub(super) async fn define(
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    submitted: SourceDocument,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["execute"])?;
    let execute = asked.word("execute", &["true", "false"], |word| word.parse::<bool>().ok())?;
    if execute == Some(true) {
        caller.needs(Permission::WorkflowsExecute)?;
    }
    let defined = defined(&caller, &headers, submitted).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut body = defined_json(&defined);
    if execute == Some(true) {
        let begun = omnihub::begin(&caller, &headers, &defined.workflow).await?;
        body["execution_id"] = begun.execution.to_string().into();
        body["status"] = begun.status.into();
        body["repeated"] = begun.repeated.into();
    }
    let location = format!("/api/v1/workflows/{}", defined.workflow);
    let response = answer::with_header(answer::json(status, &body), LOCATION, &location);
    Ok(tagged(response, &defined.digest))
}

/// A revision that there is now, as whoever defined it is told.
pub(super) fn defined_json(defined: &Defined) -> Value {
    json!({
        "workflow_id": defined.workflow,
        "revision": defined.revision,
        "digest": defined.digest.to_string(),
        "created": defined.created,
        "form": defined.form.word(),
        "warnings": defined.warnings,
    })
}

/// `POST /api/v1/workflows/validate`: all that defining checks, and nothing is recorded.
pub(super) async fn validate(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let (engine, namespace) = (caller.engine()?.clone(), caller.namespace().clone());
    let (definition, share) = document.required(A_DEFINITION)?;
    let compiling = tokio::task::spawn_blocking(move || {
        let compiled = engine.compile(&namespace, &definition);
        drop((definition, share));
        compiled
    });
    let compiled = compiling.await.map_err(|_| Refusal::new(codes::INTERNAL, "not checked"))?;
    let Compiled { form, plan, warnings, .. } = compiled?;
    Ok(answer::ok(&json!({
        "valid": true,
        "form": form.word(),
        "warnings": warnings,
        "workflow_id": plan.workflow,
        "digest": plan.digest.to_string(),
        "steps": plan.steps.len(),
        "unknown_outcomes": plan.unknown_outcomes_json(),
    })))
}

/// `GET /api/v1/workflows/{id}`: the newest revision, or the one asked for, in the canonical
/// form or as it was submitted. The id of an execution shows that.
pub(super) async fn show(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Parameters::of(&uri, &["revision", "form"])?;
    let number = asked.number("revision", 1..=u32::MAX)?;
    let as_submitted = asked.word("form", &FORMS, |word| match word {
        CANONICAL => Some(false),
        SUBMITTED => Some(true),
        _ => None,
    })?;
    if let Ok(run) = workflow.parse::<ExecutionId>() {
        caller.needs(Permission::ExecutionsRead)?;
        return Ok(answer::ok(&*caller.engine()?.execution(run).await?));
    }
    let mut revisions = revisions_of(&caller, &workflow)?;
    let found = match number {
        None => revisions.pop(),
        Some(number) => revisions.into_iter().find(|revision| revision.number == number),
    };
    let revision = found.ok_or_else(|| no_such_revision(&workflow))?;
    let digest = revision.plan.digest;
    let catalog = caller.engine()?.catalog();
    let source = catalog.source(caller.namespace(), &workflow, digest);
    let mut shown = row(&revision);
    let standing = omnihub::standing(&caller, &workflow).await?;
    shown.as_object_mut().into_iter().for_each(|fields| fields.extend(standing.clone()));
    let canonical = || serde_json::from_str(&revision.text).unwrap_or(Value::Null);
    shown["submitted_form"] = source.as_ref().map_or(CANONICAL, |source| &*source.form).into();
    match (as_submitted.unwrap_or(false), source) {
        (false, _) => {
            shown["form"] = CANONICAL.into();
            shown["definition"] = canonical();
        }
        // What was submitted is the canonical text, as far as anybody knows.
        (true, None) => add_source(&mut shown, (CANONICAL, "json"), &revision.text, canonical()),
        (true, Some(source)) => {
            let format = if &*source.format == "json" { Format::Json } else { Format::Yaml };
            let value = yaml::parse(source.text.as_bytes(), format).unwrap_or(Value::Null);
            add_source(&mut shown, (&source.form, &source.format), &source.text, value);
        }
    }
    Ok(tagged(answer::ok(&shown), &digest))
}

fn add_source(shown: &mut Value, written: (&str, &str), text: &str, value: Value) {
    let (form, format) = written;
    shown["form"] = form.into();
    shown["format"] = format.into();
    shown["source"] = text.into();
    shown["definition"] = value;
}

/// `GET /api/v1/schemas`: the forms of definitions, and where their schemas are.
pub(super) async fn schemas(uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let part = window.counted_part(Form::ALL.to_vec())?;
    let row = |form: &Form| {
        let word = form.word();
        json!({ "form": word, "url": format!("/api/v1/schemas/{word}") })
    };
    Ok(answer::ok(&window.told(json!({}), "schemas", &part, row)))
}

/// `GET /api/v1/schemas/{form}`: a form's JSON Schema.
pub(super) async fn schema(PathId(word): PathId) -> Result<Response, Refusal> {
    let words = Form::ALL.map(Form::word);
    let form = Form::of_word(&word)
        .ok_or_else(|| Refusal::new(codes::NOT_FOUND, unknown("form", &word, &words)))?;
    Ok(answer::ok(&form.schema()))
}

/// `GET /api/v1/workflows/{id}/revisions`, oldest first.
pub(super) async fn revisions(
    caller: Caller,
    PathId(workflow): PathId,
    uri: Uri,
) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let part = window.part(revisions_of(&caller, &workflow)?, |own| own.number)?;
    Ok(answer::ok(&window.told(json!({ "workflow_id": workflow }), "revisions", &part, row)))
}

pub(super) fn no_such_revision(workflow: &str) -> Refusal {
    let message = format!("workflow `{workflow}` has no such revision");
    Refusal::new(codes::WORKFLOW_NOT_FOUND, message)
}

pub(super) fn revisions_of(caller: &Caller, workflow: &str) -> Result<Vec<Revision>, Refusal> {
    let revisions = caller.engine()?.catalog().revisions(caller.namespace(), workflow);
    if revisions.is_empty() {
        let workflow = workflow.chars().take(256).collect();
        return Err(backstitch_saga::Error::WorkflowNotFound { workflow }.into());
    }
    Ok(revisions)
}

pub(super) fn row(revision: &Revision) -> Value {
    let plan = &revision.plan;
    json!({
        "workflow_id": plan.workflow,
        "name": plan.name,
        "version": plan.label,
        "revision": revision.number,
        "digest": plan.digest.to_string(),
        "tags": plan.tags,
        "steps": plan.steps.len(),
        "defined_at": revision.defined_at.to_string(),
        "defined_by": revision.actor,
    })
}
