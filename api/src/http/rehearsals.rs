//! `/api/v1/workflows/{id}/dry-run`: a run played with mocks; nothing is recorded.

use axum::response::Response;
use backstitch_core::access::Permission;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::ids::ExecutionId;
use backstitch_core::rehearsal::Unmocked;
use backstitch_core::time::Timestamp;
use backstitch_saga::handle::RehearsalWish;
use serde_json::Value;

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::refusal::Refusal;

const FIELDS: [&str; 9] = [
    "revision",
    "definition",
    "input",
    "variables",
    "mocks",
    "recorded",
    "input_of",
    "unmocked",
    "starts_at",
];

/// `POST /api/v1/workflows/{id}/dry-run`.
pub(super) async fn dry_run(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let wish = read(workflow, document)?;
    if wish.recorded.is_some() || wish.input_of.is_some() {
        caller.needs(Permission::ExecutionsRead)?;
    }
    Ok(answer::ok(&engine.rehearse(caller.namespace(), wish).await?))
}

fn read(workflow: String, document: Document) -> Result<RehearsalWish, Refusal> {
    let mut fields = Fields::of(document, &FIELDS);
    let revision = fields.whole("revision", u64::from(u32::MAX));
    let wish = RehearsalWish {
        workflow,
        revision: revision.and_then(|own| u32::try_from(own).ok()),
        definition: fields.take("definition"),
        input: fields.take("input"),
        variables: fields.take("variables"),
        mocks: fields.take("mocks").unwrap_or(Value::Null),
        recorded: run(&mut fields, "recorded"),
        input_of: run(&mut fields, "input_of"),
        unmocked: unmocked(&mut fields),
        starts_at: starts_at(&mut fields),
    };
    if wish.revision.is_some() && wish.definition.is_some() {
        let message = "`revision` and `definition` are both given; name one of them".to_owned();
        fields.problem("definition", problems::BAD_VALUE, message);
    }
    fields.finish()?;
    Ok(wish)
}

fn run(fields: &mut Fields, name: &str) -> Option<ExecutionId> {
    match fields.text(name)?.parse() {
        Ok(run) => Some(run),
        Err(why) => {
            fields.problem(name, problems::BAD_VALUE, format!("{why}"));
            None
        }
    }
}

fn unmocked(fields: &mut Fields) -> Unmocked {
    match fields.text("unmocked").as_deref() {
        None | Some("empty") => Unmocked::Empty,
        Some("fail") => Unmocked::Fail,
        Some(_) => {
            let message = "must be `empty` or `fail`".to_owned();
            fields.problem("unmocked", problems::BAD_VALUE, message);
            Unmocked::Empty
        }
    }
}

fn starts_at(fields: &mut Fields) -> Option<Timestamp> {
    let text = fields.text("starts_at")?;
    let at = Timestamp::parse(&text);
    if at.is_none() {
        let message = "must be an instant in RFC 3339, such as 2026-01-02T03:04:05Z".to_owned();
        fields.problem("starts_at", problems::BAD_VALUE, message);
    }
    at
}
