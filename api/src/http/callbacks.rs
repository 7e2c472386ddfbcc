//! Callbacks: one sent again, and one tried out.

use axum::response::Response;
use backstitch_core::command::Command;
use backstitch_core::definition::{CALLBACK_FIELDS, read_callbacks};
use backstitch_core::report::failure_json;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::document::Document;
use super::executions::accepted;
use super::fields::Fields;
use super::path::TwoIds;
use super::refusal::Refusal;
use super::run_names::find;

/// `POST /api/v1/executions/{id}/callbacks/{number}/redeliver`: the same body, once more.
pub(super) async fn redeliver(
    caller: Caller,
    TwoIds(id, number): TwoIds,
) -> Result<Response, Refusal> {
    let (engine, run) = (caller.engine()?, find(&caller, &id)?);
    let delivery = number.parse().map_err(|_| {
        Refusal::bad_request(format!("`{number}` is no number of a callback: they count from 0"))
    })?;
    let actor = caller.actor();
    accepted(engine, run, Command::SendAgain { delivery, actor }).await
}

/// `POST /api/v1/callbacks/test`: one example, sent now and not again.
pub(super) async fn try_out(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let known: Vec<_> = CALLBACK_FIELDS.into_iter().filter(|name| *name != "events").collect();
    let mut fields = Fields::of(document, &known);
    let given = known.iter().filter_map(|name| Some(((*name).to_owned(), fields.take(name)?)));
    let given = Value::Object(given.collect());
    let target = match read_callbacks(&[given]) {
        Ok(targets) => targets.into_iter().next(),
        Err(problems) => {
            for problem in problems {
                let path = problem.path.trim_start_matches("callbacks[0].").to_owned();
                fields.problem(path, problem.code, problem.message);
            }
            None
        }
    };
    fields.finish()?;
    let target = target.ok_or_else(|| Refusal::bad_request("no event is named"))?;
    let tried = engine.try_callback(caller.namespace().clone(), &target, &caller.actor()).await?;
    Ok(answer::ok(&json!({
        "delivered": tried.outcome.is_ok(),
        "response_status": tried.outcome.as_ref().ok(),
        "error": tried.outcome.as_ref().err().map(failure_json),
        "duration_ms": tried.took_ms,
        "sent": {
            "webhook_id": tried.id,
            "signed": tried.signed,
            "content_type": target.form.media_type(),
            "body": tried.body,
        },
    })))
}
