//! `backstitch rollout`: which revision new runs of a workflow get.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

const AFTER_SET: &str = "\
A key falls into the same arm for ever: the idempotency key of a submission, its correlation id,
or else its own id. Whoever is in an arm stays in it while its share rises.

Examples:
  backstitch rollout set order --stable 3 --candidate 4 --percent 10 --reason 'first tenth'
  backstitch rollout set order --stable 3 --variant green=4:25 --variant blue=5:25
  backstitch rollout set order --stable 3 --candidate 4 --percent 0 --beta-tag early";

/// The commands of `rollout`.
#[derive(Debug, Subcommand)]
pub enum Rollout {
    /// Show what is in force, and how each arm does
    Show(OneFlags),
    /// Spread new runs over revisions
    Set(SetFlags),
    /// Give every new run the stable revision, at once
    Kill(ActFlags),
    /// Give new runs the newest revision again
    End(ActFlags),
}

/// One workflow.
#[derive(Debug, Args)]
pub struct OneFlags {
    /// The workflow
    #[arg(value_name = "WORKFLOW_ID")]
    pub workflow: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// One workflow, and why something is done to it.
#[derive(Debug, Args)]
pub struct ActFlags {
    /// The workflow
    #[command(flatten)]
    pub one: OneFlags,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// What `rollout set` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_SET)]
pub struct SetFlags {
    /// The workflow, and why.
    #[command(flatten)]
    pub act: ActFlags,
    /// The revision of all that fall into no arm
    #[arg(long, value_name = "N")]
    pub stable: u32,
    /// The revision that is tried
    #[arg(long, value_name = "N", requires = "percent")]
    pub candidate: Option<u32>,
    /// The candidate's share of the keys, 0 to 100
    #[arg(long, value_name = "PERCENT", requires = "candidate")]
    pub percent: Option<f64>,
    /// A further arm: NAME=REVISION:PERCENT
    #[arg(long, value_name = "ARM", value_parser = read_variant)]
    pub variant: Vec<Variant>,
    /// The revision of the beta [default: the candidate]
    #[arg(long, value_name = "N")]
    pub beta: Option<u32>,
    /// A tag whose runs get the beta
    #[arg(long, value_name = "TAG")]
    pub beta_tag: Vec<String>,
    /// A correlation id whose runs get the beta
    #[arg(long, value_name = "ID")]
    pub beta_correlation_id: Vec<String>,
    /// Somebody whose runs get the beta
    #[arg(long, value_name = "SUBJECT")]
    pub beta_subject: Vec<String>,
}

/// An arm with a name of its own.
#[derive(Debug, Clone)]
pub struct Variant {
    name: String,
    revision: u32,
    percent: f64,
}

fn read_variant(given: &str) -> Result<Variant, String> {
    let read = || {
        let (name, rest) = given.rsplit_once('=')?;
        let (revision, percent) = rest.split_once(':')?;
        let (revision, percent) = (revision.parse().ok()?, percent.parse().ok()?);
        Some(Variant { name: name.to_owned(), revision, percent })
    };
    read().ok_or_else(|| "write it as NAME=REVISION:PERCENT, such as green=4:25".to_owned())
}

impl SetFlags {
    fn body(&self) -> Value {
        let variants = self.variant.iter().map(
            |own| json!({ "name": own.name, "revision": own.revision, "percent": own.percent }),
        );
        let lists = [
            ("tags", &self.beta_tag),
            ("correlation_ids", &self.beta_correlation_id),
            ("subjects", &self.beta_subject),
        ];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let mut beta: Map<_, _> =
            lists.map(|(name, list)| (name.to_owned(), json!(list))).collect();
        beta.extend(self.beta.map(|revision| ("revision".to_owned(), json!(revision))));
        json!({
            "stable": self.stable,
            "candidate": self.candidate,
            "percent": self.percent,
            "variants": variants.collect::<Vec<_>>(),
            "beta": (!beta.is_empty()).then_some(beta),
            "reason": self.act.reason,
        })
    }
}

/// Does it.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for a server that is no URL.
pub async fn run(rollout: Rollout) -> Result<(), Error> {
    match rollout {
        Rollout::Show(one) => {
            let answer = one.at.client()?.get(&path(&one, &[])).await?;
            one.at.show(&answer, || table(&answer))
        }
        Rollout::Set(flags) => {
            let (one, body) = (&flags.act.one, flags.body());
            let answer = one.at.client()?.put(&path(one, &[]), &body).await?;
            one.at.show(&answer, || table(&answer))
        }
        Rollout::Kill(ActFlags { one, reason }) => {
            let body = json!({ "reason": reason });
            let answer = one.at.client()?.post(&path(&one, &["kill"]), &body).await?;
            one.at.show(&answer, || table(&answer))
        }
        Rollout::End(ActFlags { one, reason }) => {
            let body = json!({ "reason": reason });
            let answer = one.at.client()?.delete(&path(&one, &[]), &body).await?;
            one.at.show(&answer, || table(&answer))
        }
    }
}

fn path(one: &OneFlags, below: &[&str]) -> String {
    path_of(&[&["api", "v1", "workflows", &one.workflow, "rollout"], below].concat())
}

fn table(answer: &Value) -> String {
    let (workflow, rollout) = (text(&answer["workflow_id"]), &answer["rollout"]);
    if rollout.is_null() {
        return format!("{workflow}: no roll-out; new runs get the newest revision");
    }
    let mut shown = String::new();
    let killed = &rollout["killed"];
    if !killed.is_null() {
        let (at, reason) = (text(&killed["at"]), text(&killed["reason"]));
        shown = format!("killed at {at}: new runs get the stable revision ({reason})\n");
    }
    let mut rows =
        vec![words(["ARM", "REVISION", "PERCENT", "RUNS", "SUCCESS", "MEAN MS", "P95 MS"])];
    rows.extend(list(rollout, "arms").iter().map(|arm| {
        let own = &arm["statistics"];
        let number = |value: &Value| match value.as_f64() {
            Some(number) => format!("{number:.1}"),
            None => text(value),
        };
        let success = own["success_rate"].as_f64().map(|rate| format!("{:.1} %", rate * 100.0));
        vec![
            text(&arm["name"]),
            text(&arm["revision"]),
            text(&arm["percent"]),
            text(&own["executions"]),
            success.unwrap_or_else(|| "-".to_owned()),
            number(&own["duration_ms"]["average"]),
            text(&own["duration_ms"]["p95"]),
        ]
    }));
    shown.push_str(&columns(&rows));
    shown
}
