//! `/api/v1/workflows/{id}/rollout`: which revision new runs get.

use std::sync::Arc;

use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::event::Beta;
use backstitch_core::report::rollout_json;
use backstitch_core::rollout::{ArmWish, BUCKETS, InForce, RolloutWish};
use backstitch_saga::handle::ArmStatistics;
use backstitch_saga::partition::RolloutAct;
use serde_json::{Map, Value, json};

use super::answer;
use super::caller::Caller;
use super::control::reason;
use super::document::Document;
use super::fields::{Fields, kind};
use super::path::PathId;
use super::refusal::Refusal;
use super::statistics::runs_json;

const FIELDS: [&str; 6] = ["stable", "candidate", "percent", "variants", "beta", "reason"];
const VARIANT_FIELDS: [&str; 3] = ["name", "revision", "percent"];
const BETA_FIELDS: [&str; 4] = ["revision", "tags", "subjects", "correlation_ids"];

/// `GET /api/v1/workflows/{id}/rollout`: what is in force, and how each arm does.
pub(super) async fn show(caller: Caller, PathId(workflow): PathId) -> Result<Response, Refusal> {
    let (rollout, arms) = caller.engine()?.rollout(caller.namespace(), &workflow).await?;
    Ok(answer::ok(&shown(&workflow, rollout.as_ref(), &arms)))
}

/// `PUT /api/v1/workflows/{id}/rollout`: new runs are spread like this from now on.
pub(super) async fn set(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (wish, mut fields) = read(&caller, document);
    let further = caller.engine()?.rollout_problems(caller.namespace(), &workflow, &wish)?;
    fields.further(further);
    fields.finish()?;
    act(&caller, &workflow, RolloutAct::Set(wish)).await
}

/// `DELETE /api/v1/workflows/{id}/rollout`: new runs get the newest revision again.
pub(super) async fn end(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (reason, actor) = (reason(document)?, caller.actor());
    act(&caller, &workflow, RolloutAct::End { reason, actor }).await
}

/// `POST /api/v1/workflows/{id}/rollout/kill`: new runs get the stable revision at once.
pub(super) async fn kill(
    caller: Caller,
    PathId(workflow): PathId,
    document: Document,
) -> Result<Response, Refusal> {
    let (reason, actor) = (reason(document)?, caller.actor());
    act(&caller, &workflow, RolloutAct::Kill { reason, actor }).await
}

async fn act(caller: &Caller, workflow: &str, act: RolloutAct) -> Result<Response, Refusal> {
    let engine = caller.engine()?;
    let done = engine.roll_out(caller.namespace(), workflow, act).await?;
    let (_, arms) = engine.rollout(caller.namespace(), workflow).await?;
    let mut body = shown(workflow, done.rollout.as_ref(), &arms);
    body["changed"] = done.changed.into();
    Ok(answer::ok(&body))
}

fn shown(workflow: &str, rollout: Option<&Arc<InForce>>, arms: &ArmStatistics) -> Value {
    let statistics = |name: &str, revision: u32| {
        let own = arms.get(&(name.to_owned(), revision)).cloned().unwrap_or_default();
        runs_json(&own).into()
    };
    let rollout = rollout.map(|own| rollout_json(own, &statistics));
    json!({ "workflow_id": workflow, "rollout": rollout })
}

/// What can be read of a wish, and what is wrong with how it is written.
fn read(caller: &Caller, document: Document) -> (RolloutWish, Fields) {
    let mut fields = Fields::of(document, &FIELDS);
    let stable = fields.take("stable");
    let stable = required_revision(&mut fields, "stable", stable);
    let (candidate, percent) = (fields.take("candidate"), fields.take("percent"));
    let candidate = candidate.map(|value| {
        let revision = required_revision(&mut fields, "candidate", Some(value));
        let buckets = buckets(&mut fields, "percent", percent.as_ref());
        ArmWish { name: String::new(), revision, buckets }
    });
    if candidate.is_none() && percent.is_some() {
        let message = "is the candidate's share: name the `candidate`".to_owned();
        fields.problem("candidate", problems::MISSING_FIELD, message);
    }
    let variants = fields.list("variants").into_iter().enumerate();
    let variants = variants.map(|(at, value)| variant(&mut fields, at, value)).collect();
    let beta = fields.take("beta");
    let beta = beta.and_then(|value| beta_of(&mut fields, value, candidate.as_ref()));
    let (reason, actor) = (fields.words("reason"), caller.actor());
    (RolloutWish { stable, candidate, variants, beta, reason, actor }, fields)
}

/// The variant at a place; an empty one, with a problem noted, if there is none.
fn variant(fields: &mut Fields, at: usize, value: Value) -> ArmWish {
    let path = format!("variants[{at}]");
    let Some(mut own) = fields.object(&path, value, &VARIANT_FIELDS) else {
        return ArmWish::default();
    };
    let name = match own.remove("name") {
        Some(Value::String(name)) => name,
        _ => {
            let message = "is required and must be text".to_owned();
            fields.problem(format!("{path}.name"), problems::MISSING_FIELD, message);
            String::new()
        }
    };
    let revision = required_revision(fields, &format!("{path}.revision"), own.remove("revision"));
    let buckets = buckets(fields, &format!("{path}.percent"), own.get("percent"));
    ArmWish { name, revision, buckets }
}

fn beta_of(fields: &mut Fields, value: Value, candidate: Option<&ArmWish>) -> Option<Beta> {
    let mut own = fields.object("beta", value, &BETA_FIELDS)?;
    let revision = match (own.remove("revision"), candidate) {
        (None, Some(candidate)) => candidate.revision,
        (given, _) => required_revision(fields, "beta.revision", given),
    };
    let mut list = |name| texts(fields, &mut own, name);
    let (tags, subjects) = (list("tags"), list("subjects"));
    Some(Beta { revision, tags, subjects, correlation_ids: list("correlation_ids") })
}

fn texts(fields: &mut Fields, own: &mut Map<String, Value>, name: &str) -> Vec<String> {
    let path = format!("beta.{name}");
    match own.remove(name) {
        None => Vec::new(),
        Some(Value::Array(list)) => fields.texts(&path, list),
        Some(other) => {
            let message = format!("must be a list of texts, not {}", kind(&other));
            fields.problem(path, problems::WRONG_TYPE, message);
            Vec::new()
        }
    }
}

/// A revision's number; 0, with a problem noted, if there is none.
fn required_revision(fields: &mut Fields, path: &str, value: Option<Value>) -> u32 {
    let Some(value) = value else {
        let message = "is required: the number of a revision".to_owned();
        fields.problem(path, problems::MISSING_FIELD, message);
        return 0;
    };
    fields
        .whole_of(path, &value, u64::from(u32::MAX))
        .and_then(|own| own.try_into().ok())
        .unwrap_or(0)
}

/// A share in percent as a number of buckets: hundredths are the finest there is.
fn buckets(fields: &mut Fields, path: &str, value: Option<&Value>) -> u16 {
    let hundredths = value.and_then(Value::as_f64).map(|percent| percent * 100.0);
    let whole = hundredths.map(f64::round).filter(|own| (0.0..=f64::from(BUCKETS)).contains(own));
    let fits = |own: &f64| hundredths.is_some_and(|given| (given - own).abs() < 1e-6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    let found = whole.filter(fits).map(|own| own as u16);
    found.unwrap_or_else(|| {
        let message = match value {
            Some(given) => {
                format!("must be 0 to 100 with at most two digits behind the point, not {given}")
            }
            None => "is required: the arm's share, 0 to 100".to_owned(),
        };
        fields.problem(path, problems::OUT_OF_RANGE, message);
        0
    })
}
