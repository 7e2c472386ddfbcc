//! `/api/v1/admin/retention`: how long runs are kept, what that means, and doing it.

use axum::http::StatusCode;
use axum::response::Response;
use backstitch_core::definition::problem::{Problem, codes as wrong};
use backstitch_core::report::retention_plan_json;
use backstitch_core::retention::{Asked, Place, Policy, RUNS_PER_PLAN_MAX};
use backstitch_core::time::Timestamp;
use backstitch_saga::clock;
use backstitch_saga::retention::{
    InForce, Progress, RUNS_PER_SECOND_DEFAULT, RUNS_PER_SECOND_MAX, Source, Stage,
};
use serde_json::{Value, json};

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::refusal::Refusal;
use super::{answer, codes};

/// Runs that a plan names unless told otherwise.
const PLAN_RUNS_DEFAULT: usize = 100;

/// `GET /api/v1/admin/retention/policy`.
pub(super) async fn policy(caller: Caller) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let sweep = engine.retention_sweep_every().map(|every| every.as_secs());
    Ok(answer::ok(&in_force_json(&engine.retention_policy(), sweep)))
}

/// `PUT /api/v1/admin/retention/policy`: the body is the policy.
pub(super) async fn set_policy(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let (value, _share) = document.required("a policy: an object with `rules`")?;
    let policy = Policy::read(&value).map_err(|problems| Refusal::wrong_fields(&problems))?;
    let set = engine.set_retention_policy(policy, &caller.actor()).await?;
    let sweep = engine.retention_sweep_every().map(|every| every.as_secs());
    Ok(answer::ok(&in_force_json(&set, sweep)))
}

/// `POST /api/v1/admin/retention/plan`: what applying would do. Nothing changes.
pub(super) async fn plan(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["policy", "at", "limit", "cursor"]);
    let (policy, at) = what_and_when(&mut fields, engine.retention_policy().policy);
    let limit = whole(&mut fields, "limit", RUNS_PER_PLAN_MAX as u64);
    let after = cursor(&mut fields);
    fields.finish()?;
    let limit = limit.map_or(PLAN_RUNS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(1));
    let namespace = caller.namespace().clone();
    let asked = Asked { namespace, policy: policy.clone(), at, after, limit };
    let plan = engine.plan_retention(asked).await?;
    Ok(answer::ok(&retention_plan_json(&plan, &policy, at)))
}

/// `POST /api/v1/admin/retention/apply`: begins to remove, in the background.
pub(super) async fn apply(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let mut fields = Fields::of(document, &["policy", "at", "confirm", "runs_per_second"]);
    let (policy, at) = what_and_when(&mut fields, engine.retention_policy().policy);
    let rate = whole(&mut fields, "runs_per_second", RUNS_PER_SECOND_MAX.into());
    let confirmed = fields.truth("confirm");
    if confirmed != Some(true) {
        let message = "runs that are removed are gone; say `\"confirm\": true`".to_owned();
        fields.problem("confirm", wrong::MISSING_FIELD, message);
    }
    fields.finish()?;
    let rate = rate.and_then(|rate| u32::try_from(rate).ok()).unwrap_or(RUNS_PER_SECOND_DEFAULT);
    let namespace = caller.namespace().clone();
    let asked = Asked { namespace, policy, at, after: None, limit: 1 };
    let progress = engine.apply_retention(asked, &caller.actor(), rate)?;
    Ok(answer::json(StatusCode::ACCEPTED, &progress_json(&progress)))
}

/// `GET /api/v1/admin/retention/apply`: how far it is.
pub(super) async fn progress(caller: Caller) -> Result<Response, Refusal> {
    let progress = caller.engine()?.retention_progress();
    Ok(answer::ok(&progress.map_or_else(|| json!({ "status": "idle" }), |p| progress_json(&p))))
}

/// The policy given, or the one in force; and as of when, now unless given.
fn what_and_when(fields: &mut Fields, in_force: Policy) -> (Policy, Timestamp) {
    let policy = match fields.take("policy").map(|value| Policy::read(&value)) {
        None => in_force,
        Some(Ok(policy)) => policy,
        Some(Err(problems)) => {
            for Problem { path, code, message } in problems {
                let dot = if path.is_empty() { "" } else { "." };
                fields.problem(format!("policy{dot}{path}"), code, message);
            }
            Policy::default()
        }
    };
    let now = clock::now();
    let at = fields.text("at").map(|text| Timestamp::parse(&text).filter(|at| *at <= now));
    if at == Some(None) {
        let message = "must be an instant such as 2026-01-31T00:00:00Z, not in the future";
        fields.problem("at", wrong::BAD_VALUE, message.to_owned());
    }
    (policy, at.flatten().unwrap_or(now))
}

/// A whole number from 1 to `max`.
fn whole(fields: &mut Fields, name: &str, max: u64) -> Option<u64> {
    let value = fields.take(name)?;
    let number = value.as_u64().filter(|number| (1..=max).contains(number));
    if number.is_none() {
        let message = format!("must be a whole number from 1 to {max}");
        fields.problem(name, wrong::OUT_OF_RANGE, message);
    }
    number
}

fn cursor(fields: &mut Fields) -> Option<Place> {
    let text = fields.text("cursor")?;
    let cursor = text.parse().ok();
    if cursor.is_none() {
        let message = "must be the `next_cursor` of an earlier plan".to_owned();
        fields.problem("cursor", wrong::BAD_VALUE, message);
    }
    cursor
}

fn in_force_json(in_force: &InForce, sweep_seconds: Option<u64>) -> Value {
    let (source, by, at) = match &in_force.source {
        Source::Default => ("default", None, None),
        Source::Settings => ("settings", None, None),
        Source::Set { actor, at } => ("api", Some(actor), Some(at.to_string())),
    };
    json!({
        "policy": in_force.policy.to_json(),
        "source": source,
        "set_by": by,
        "set_at": at,
        "sweep_interval_seconds": sweep_seconds,
    })
}

fn progress_json(progress: &Progress) -> Value {
    let (status, error) = match &progress.stage {
        Stage::Running => ("running", None),
        Stage::Done => ("done", None),
        Stage::Stopped => ("stopped", None),
        Stage::Failed(why) => ("failed", Some(why)),
    };
    json!({
        "status": status,
        "error": error,
        "actor": progress.actor,
        "policy": progress.policy.to_json(),
        "at": progress.at.to_string(),
        "started_at": progress.started_at.to_string(),
        "finished_at": progress.finished_at.map(|at| at.to_string()),
        "examined": progress.examined,
        "removed": progress.removed,
        "bytes": progress.bytes,
        "held_count": progress.held,
    })
}

/// What a client is told of a run that is no more.
pub(super) fn removed(error: &backstitch_saga::Error) -> Option<Refusal> {
    let backstitch_saga::Error::ExecutionRemoved { run, at, rule } = error else { return None };
    let details = json!({
        "execution_id": run.to_string(), "removed_at": at.to_string(), "rule": rule,
    });
    Some(Refusal::new(codes::EXECUTION_REMOVED, error.to_string()).with(details))
}
