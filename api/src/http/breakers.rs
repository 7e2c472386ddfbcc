//! `/api/v1/breakers`: whether services are called, by what was seen of them and what operators
//! say.

use std::sync::Arc;

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::breaker::BREAKER_KEY_BYTES_MAX;
use backstitch_core::event::BreakerOrder;
use backstitch_core::time::Timestamp;
use backstitch_saga::breakers::{CircuitShown, Forced};
use backstitch_saga::clock;
use serde_json::{Value, json};

use super::caller::Caller;
use super::control::reason;
use super::document::Document;
use super::path::{PathId, TwoIds};
use super::query::{LIMIT_MAX, Parameters};
use super::refusal::Refusal;
use super::window::{self, Window};
use super::{answer, codes};

/// `GET /api/v1/breakers`.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of(&Parameters::of(&uri, &window::PARAMETERS)?, LIMIT_MAX)?;
    let breakers = caller.engine()?.breakers();
    let found = breakers.shown(caller.namespace(), clock::now());
    let behind = |own: &&CircuitShown| window.cursor.as_ref().is_none_or(|key| *own.key > **key);
    let seen = found.iter().filter(behind).count();
    let more = seen.saturating_sub(window.offset + window.limit);
    let part = window.part(found, |own| own.key.to_string())?;
    let (settings, rules) = (breakers.settings(), breakers.settings().rules);
    let body = json!({
        "enabled": settings.enabled,
        "rules": {
            "failures": rules.failures,
            "ratio": rules.ratio,
            "calls": rules.calls,
            "window_ms": rules.window_ms,
            "open_ms": rules.open_ms,
            "probes": rules.probes,
            "retry_ratio": rules.retry_ratio,
        },
        "more": more,
    });
    Ok(answer::ok(&window.told(body, "breakers", &part, shown)))
}

/// `GET /api/v1/breakers/{key}`.
pub(super) async fn show(caller: Caller, PathId(key): PathId) -> Result<Response, Refusal> {
    let name = (caller.namespace().clone(), key.as_str().into());
    match caller.engine()?.breakers().find(&name, clock::now()) {
        Some(found) => Ok(answer::ok(&shown(&found))),
        None => Err(not_found(&key)),
    }
}

/// `POST /api/v1/breakers/{key}/{order}`, with a `reason` if somebody wants to say one.
pub(super) async fn order(
    caller: Caller,
    TwoIds(key, word): TwoIds,
    document: Document,
) -> Result<Response, Refusal> {
    let Some(order) = BreakerOrder::of_word(&word) else {
        let words: Vec<_> = BreakerOrder::WORDS.iter().map(|(word, _)| *word).collect();
        let message = format!("a breaker can be told: {}; not `{word}`", words.join(", "));
        return Err(Refusal::new(codes::NOT_FOUND, message));
    };
    let fits = (1..=BREAKER_KEY_BYTES_MAX).contains(&key.len());
    if !fits || key.chars().any(char::is_control) {
        let message = format!(
            "a breaker's key has 1 to {BREAKER_KEY_BYTES_MAX} bytes, without control characters"
        );
        return Err(Refusal::bad_request(message));
    }
    let said = (reason(document)?, caller.actor());
    let name = (caller.namespace().clone(), Arc::from(key.as_str()));
    let found = caller.engine()?.order_breaker(name, order, said).await?;
    found.map(|own| answer::ok(&shown(&own))).ok_or_else(|| not_found(&key))
}

fn not_found(key: &str) -> Refusal {
    let shown: String = key.chars().take(BREAKER_KEY_BYTES_MAX).collect();
    let message = format!("nothing was seen of a service `{shown}` since the start");
    Refusal::new(codes::BREAKER_NOT_FOUND, message)
}

fn shown(own: &CircuitShown) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "key": own.key,
        "state": own.state,
        "forced": own.forced.map(|forced| match forced {
            Forced::Open => "open",
            Forced::Closed => "closed",
        }),
        "until": at(own.until),
        "failures_in_a_row": own.consecutive_failures,
        "opened": own.opened,
        "opened_at": at(own.opened_at),
        "last_failure": own.last_failure.as_ref().map(|(at, why)| {
            json!({ "at": at.to_string(), "error": why })
        }),
        "probes": { "max": own.probes, "under_way": own.probing.len() },
        "waiting": own.waiting,
        "retry_budget": { "left": own.retries_left, "waiting": own.retries_waiting },
        "waiters": own.waiters.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
