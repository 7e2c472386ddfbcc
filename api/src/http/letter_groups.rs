//! `/api/v1/dlq/groups` and `/api/v1/dlq/stats`: dead letters counted, by what they share.

use std::collections::BTreeMap;

use axum::http::Uri;
use axum::response::Response;
use backstitch_core::letters::LetterCounts;
use backstitch_core::report::{kind_word, letter_counts_json, letter_group_json};
use backstitch_core::summary::LetterStatus;
use backstitch_core::time::Timestamp;
use backstitch_saga::clock;
use backstitch_saga::handle::LetterStatistics;
use serde_json::{Value, json};

use super::answer;
use super::caller::Caller;
use super::letters::cause_filter;
use super::query::{LIMIT_DEFAULT, Parameters};
use super::refusal::Refusal;
use super::window::{self, Window};

/// What groups can be asked.
const PARAMETERS: [&str; 5] = ["status", "workflow_id", "kind", "code", "fingerprint"];
/// Ages that open letters are counted by, in milliseconds, each up to and without its own.
const AGES_MS: [(&str, u64); 4] = [
    ("under 1 hour", 3_600_000),
    ("under 1 day", 86_400_000),
    ("under 7 days", 604_800_000),
    ("under 30 days", 2_592_000_000),
];
/// The rest.
const OLDER: &str = "30 days and more";

/// `GET /api/v1/dlq/groups`: the largest first.
pub(super) async fn list(caller: Caller, uri: Uri) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let asked = Parameters::of(&uri, &[&PARAMETERS[..], &window::PARAMETERS].concat())?;
    let (filter, window) = (cause_filter(&caller, &asked)?, Window::of(&asked, LIMIT_DEFAULT)?);
    let begin = window.rows_before()?;
    let found = engine.letter_groups(filter, begin, window.limit).await?;
    let part = window.counted(begin, found.groups, found.count);
    let body = json!({ "count": found.count });
    Ok(answer::ok(&window.told(body, "groups", &part, letter_group_json)))
}

/// `GET /api/v1/dlq/stats`: totals by status, and of open letters by everything else.
pub(super) async fn statistics(caller: Caller) -> Result<Response, Refusal> {
    let found = caller.engine()?.letter_statistics(caller.namespace()).await?;
    Ok(answer::ok(&statistics_json(&found, clock::now())))
}

fn statistics_json(found: &LetterStatistics, now: Timestamp) -> Value {
    let mut total = LetterCounts::default();
    let mut by: [BTreeMap<String, u64>; 4] = Default::default();
    for (cause, counts) in &found.causes {
        total.merge(counts);
        let open = counts.of_status(LetterStatus::Open);
        let words = [
            cause.workflow.clone(),
            kind_word(cause.kind).to_owned(),
            cause.code.clone(),
            cause.fingerprint.to_string(),
        ];
        for (counts, word) in by.iter_mut().zip(words).filter(|_| open > 0) {
            *counts.entry(word).or_default() += open;
        }
    }
    let [by_workflow, by_kind, by_code, by_fingerprint] = by;
    let oldest = found.open_since.first();
    json!({
        "total": total.total(),
        "by_status": letter_counts_json(&total),
        "by_workflow": by_workflow,
        "by_kind": by_kind,
        "by_code": by_code,
        "by_fingerprint": by_fingerprint,
        "by_age": by_age(&found.open_since, now),
        "by_age_of_all": found.open_since_all,
        "oldest_open_at": oldest.map(|at| at.to_string()),
        "oldest_open_age_ms": oldest.map(|at| now.ms_since(*at)),
    })
}

fn by_age(since: &[Timestamp], now: Timestamp) -> Vec<Value> {
    let mut ages = vec![0_u64; AGES_MS.len() + 1];
    for at in since {
        let age_ms = now.ms_since(*at);
        ages[AGES_MS.iter().take_while(|(_, under_ms)| age_ms >= *under_ms).count()] += 1;
    }
    let names = AGES_MS.iter().map(|(name, _)| *name).chain([OLDER]);
    names.zip(ages).map(|(age, count)| json!({ "age": age, "count": count })).collect()
}
