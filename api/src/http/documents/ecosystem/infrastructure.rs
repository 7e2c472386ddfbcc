//! `/infrastructure`: what is not a translation of one of our own paths word by word.

use axum::http::StatusCode;
use axum::response::Response;
use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::RunStatus;
use serde_json::{Value, json};

use crate::http::caller::Caller;
use crate::http::document::Document;
use crate::http::fields::Fields;
use crate::http::query::LIMIT_MAX;
use crate::http::refusal::Refusal;
use crate::http::{answer, gate, letters, redrives};

/// `POST /infrastructure/dlq/retry`: dead letters by their ids, or by a filter as a redrive. All of
/// them only if a filter says so.
pub(super) async fn retry(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let given = document.value.as_ref();
    let names = |field: &str| given.is_some_and(|body| !body[field].is_null());
    match (names("ids"), names("filter")) {
        (true, false) => by_ids(&caller, document).await,
        (false, true) => redrives::begin(caller, document).await,
        _ => Err(Refusal::bad_request("say which letters: `ids`, or a `filter`, and not both")),
    }
}

async fn by_ids(caller: &Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["ids"]);
    let ids = fields.list("ids");
    let ids = fields.texts("ids", ids);
    fields.finish()?;
    if ids.len() > LIMIT_MAX {
        return Err(Refusal::bad_request(format!("at most {LIMIT_MAX} ids are taken at once")));
    }
    let mut told = Vec::new();
    for id in ids {
        let retried = match letters::read_id(&id) {
            Ok(letter) => match gate::own(caller, &id).await {
                Ok(()) => engine.retry_letter(letter, &caller.actor()).await.map_err(Refusal::from),
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        };
        told.push(match retried {
            Ok(retried) => json!({
                "letter_id": id,
                "retried": true,
                "execution_id": retried.execution.to_string(),
                "new_execution": retried.new_run,
                "status": retried.status,
            }),
            Err(refusal) => json!({
                "letter_id": id,
                "retried": false,
                "error_code": refusal.code,
                "message": refusal.message,
            }),
        });
    }
    let retried = told.iter().filter(|own| own["retried"] == true).count();
    let body = json!({ "retried": retried, "refused": told.len() - retried, "letters": told });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}

/// `GET /infrastructure/saga/stats`: runs by where they stand.
pub(super) async fn sagas(caller: Caller) -> Result<Response, Refusal> {
    let all = caller.engine()?.statistics(caller.namespace()).await?;
    let mut total = RunStatistics::default();
    all.values().for_each(|own| total.merge(&own.runs));
    let mut told: Value = RunStatus::ALL
        .into_iter()
        .map(|status| (status.word().to_owned(), Value::from(total.of_status(status))))
        .collect();
    told["total"] = total.total().into();
    Ok(answer::ok(&told))
}
