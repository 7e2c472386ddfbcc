//! `/api/v1/admin/logs`: the newest lines of the server's log, and those that come.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use super::codes;
use super::live::Form;
use super::query::Parameters;
use super::refusal::Refusal;
use crate::log::{Component, LEVELS, LinePlace, Logs, Pick};

/// What picks lines.
pub(super) const PARAMETERS: [&str; 5] =
    ["level", "component", "execution_id", "request_id", "limit"];
/// Lines of one answer unless told otherwise, and the most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// Lines that are looked at while nobody who logs can go on.
const LINES_AT_ONCE: usize = 256;

/// `GET /api/v1/admin/logs`: oldest first, one object a line; or a stream of them.
pub(super) async fn list(
    caller: Caller,
    uri: Uri,
    Form(stream): Form,
) -> Result<Response, Refusal> {
    if let Some(stream) = stream {
        return stream.of_logs(caller, &uri);
    }
    let (pick, limit) = wanted(&Parameters::of(&uri, &PARAMETERS)?)?;
    let logs = caller.logs().clone();
    let reading = tokio::task::spawn_blocking(move || newest(&logs, &pick, limit));
    let lines = reading.await.map_err(|_| Refusal::new(codes::INTERNAL, "not read"))?;
    let mut text = String::new();
    for (_, line) in lines.into_iter().rev() {
        text.push_str(&line);
        text.push('\n');
    }
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(text)).into_response())
}

/// Which lines are asked for, and how many.
///
/// # Errors
/// 400 for a word that nobody knows, and a number that is none.
pub(super) fn wanted(asked: &Parameters) -> Result<(Pick, usize), Refusal> {
    let level = |word: &str| LEVELS.into_iter().find(|own| *own == word);
    let pick = Pick {
        level: asked.word("level", &LEVELS, level)?,
        component: asked.word("component", &Component::names(), Component::named)?,
        execution: asked.owned("execution_id"),
        request: asked.owned("request_id"),
    };
    Ok((pick, asked.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT)))
}

/// The place behind a line.
///
/// # Errors
/// 400 for what is none.
pub(super) fn place(text: &str) -> Result<LinePlace, Refusal> {
    text.parse().map_err(|()| {
        Refusal::bad_request("`after` must be the id of a line that a stream of the log gave")
    })
}

/// The number before so many of the newest lines that are wanted.
pub(super) fn before_the_newest(logs: &Logs, pick: &Pick, limit: usize) -> u64 {
    match newest(logs, pick, limit).last() {
        Some((number, _)) => number - 1,
        None => logs.lines().newest(),
    }
}

/// So many of the newest lines that are wanted, the newest first.
fn newest(logs: &Logs, pick: &Pick, limit: usize) -> Vec<(u64, Arc<str>)> {
    let (mut found, mut before) = (Vec::new(), u64::MAX);
    loop {
        let read = logs.lines().before(before, LINES_AT_ONCE);
        let Some((oldest, _)) = read.last() else { return found };
        before = *oldest;
        for (number, line) in read {
            if pick.takes(&line) {
                found.push((number, line));
            }
            if found.len() == limit {
                return found;
            }
        }
    }
}
