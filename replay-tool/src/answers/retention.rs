//! How long runs are kept: the policy, what it would remove, and removing it.

use std::io;
use std::path::Path;

use backstitch_core::retention::{Policy, RUNS_PER_PLAN_MAX};
use backstitch_core::time::Timestamp;

use serde_json::{Value, json};

use super::{Answer, read_document, workflow_label};
use crate::Form;
use crate::arguments::{Retention, RetentionWanted};
use crate::clock;
use crate::error::{Error, exit};
use crate::facts::text;
use crate::progress::Progress;
use crate::source::{Holder, Server, Writing};
use crate::text::{Screen, Style, Table, counted, size, style_of};

const RETENTION: [&str; 4] = ["api", "v1", "admin", "retention"];

/// Who decides, where nobody says.
const ACTOR: &str = "operator";

/// Says how long runs are kept, what would go, or removes it.
///
/// # Errors
/// If the policy's file cannot be read, or why it cannot be done.
pub(crate) fn answer(command: &Retention, holder: &Holder, form: &Form) -> Result<Answer, Error> {
    match holder {
        Holder::Server(server) => of_server(command, server, form),
        Holder::Files(path) => {
            let mut writing = Writing::open(path)?;
            let answer = of_files(command, &mut writing, form);
            writing.close()?;
            answer
        }
    }
}

/// Does it in a directory that no server has open.
fn of_files(command: &Retention, writing: &mut Writing, form: &Form) -> Result<Answer, Error> {
    let in_force = |writing: &Writing| writing.policy()?.ok_or(Error::NoPolicy);
    let policy = |writing: &Writing, wanted: &RetentionWanted| match &wanted.policy {
        Some(path) => {
            Policy::read(&read_policy(path)?).map_err(|problems| Error::BadPolicy { problems })
        }
        None => Ok(in_force(writing)?.0),
    };
    match command {
        Retention::Policy => Ok(print(&in_force(writing)?.1, form, policy_text)),
        Retention::Plan { wanted, limit } => {
            let (policy, at) = (policy(writing, wanted)?, as_of(wanted)?);
            let limit = (*limit).clamp(1, RUNS_PER_PLAN_MAX);
            Ok(print(&writing.plan_retention(&policy, at, limit)?, form, plan_text))
        }
        Retention::Apply { runs_per_second: Some(_), .. } => Err(Error::Misplaced {
            command: "`--runs-per-second`".to_owned(),
            why: "works online only: a directory without its server has nobody to leave room for",
        }),
        Retention::Apply { wanted, actor, .. } => {
            let (policy, at) = (policy(writing, wanted)?, as_of(wanted)?);
            let mut progress = Progress::count(form.watched(), "runs removed", 0);
            let actor = actor.as_deref().unwrap_or(ACTOR);
            let ended =
                writing.apply_retention(&policy, at, actor, &mut |gone| progress.reach(gone))?;
            drop(progress);
            Ok(print(&ended, form, progress_text))
        }
    }
}

/// As of when runs are as old as they were.
fn as_of(wanted: &RetentionWanted) -> Result<Timestamp, Error> {
    let now = clock::now();
    match wanted.at {
        Some(at) if at > now => Err(Error::Future { at: at.to_string() }),
        at => Ok(at.unwrap_or(now)),
    }
}

/// Asks the server, or has it remove runs and waits until it has.
fn of_server(command: &Retention, server: &Server, form: &Form) -> Result<Answer, Error> {
    let path = |word: &'static str| [&RETENTION[..], &[word]].concat();
    match command {
        Retention::Policy => {
            let policy = server.client().get(&path("policy"), &[])?;
            Ok(print(&policy, form, policy_text))
        }
        Retention::Plan { wanted, limit } => {
            let mut body = body(wanted)?;
            body["limit"] = json!(limit);
            let plan = server.client().post(&path("plan"), &body)?;
            Ok(print(&plan, form, plan_text))
        }
        Retention::Apply { wanted, confirm, runs_per_second, actor: _ } => {
            let mut body = body(wanted)?;
            body["confirm"] = json!(confirm);
            if let Some(rate) = runs_per_second {
                body["runs_per_second"] = json!(rate);
            }
            server.client().post(&path("apply"), &body)?;
            let ended = server.watch("runs removed", &path("apply"), |standing| {
                let removed = standing["removed"].as_u64().unwrap_or(0);
                (removed, 0, standing["status"] != "running")
            })?;
            let answer = print(&ended, form, progress_text);
            let code = if ended["status"] == "done" { answer.code } else { exit::NO };
            Ok(Answer { code, ..answer })
        }
    }
}

fn print(document: &Value, form: &Form, words: fn(&Value, &Screen) -> String) -> Answer {
    match form.json {
        true => Answer::json(document),
        false => Answer::text(words(document, &form.screen)),
    }
}

/// What is to go, as the API takes it.
fn body(wanted: &RetentionWanted) -> Result<Value, Error> {
    let mut body = json!({});
    if let Some(path) = &wanted.policy {
        body["policy"] = read_policy(path)?;
    }
    if let Some(at) = wanted.at {
        body["at"] = json!(at.to_string());
    }
    Ok(body)
}

fn read_policy(path: &Path) -> Result<Value, Error> {
    let policy = read_document(path)?;
    if policy.is_object() {
        return Ok(policy);
    }
    let what = "it holds no policy, which is an object with `rules`";
    let source = io::Error::new(io::ErrorKind::InvalidData, what);
    Err(Error::File { action: "reading", path: path.to_owned(), source })
}

fn policy_text(document: &Value, _: &Screen) -> String {
    let source = match text(&document["source"]) {
        "api" => format!("set by {} at {}", text(&document["set_by"]), text(&document["set_at"])),
        other => format!("from the {other}"),
    };
    format!("{source}\n{:#}\n", document["policy"])
}

fn plan_text(plan: &Value, screen: &Screen) -> String {
    let list = |name: &str| plan[name].as_array().map_or(&[][..], Vec::as_slice);
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut shown = String::new();
    let mut table =
        Table::with_headings(&["EXECUTION", "WORKFLOW", "STATUS", "CLOSED", "RULE", ""]);
    for run in list("executions") {
        let word = text(&run["status"]);
        table.row([
            (text(&run["execution_id"]).to_owned(), Style::Plain),
            (workflow_label(run), Style::Plain),
            (word.to_owned(), style_of(word)),
            (text(&run["closed_at"]).to_owned(), Style::Dim),
            (text(&run["rule"]).to_owned(), Style::Plain),
            (size(number(&run["bytes"])), Style::Dim),
        ]);
    }
    match list("executions") {
        [] => shown.push_str("no run would be removed\n"),
        _ => shown.push_str(&table.print(screen, 0)),
    }
    if !list("by_rule").is_empty() {
        shown.push_str(&screen.heading("BY RULE"));
        let mut table = Table::bare();
        for rule in list("by_rule") {
            table.row([
                (text(&rule["rule"]).to_owned(), Style::Plain),
                (counted(number(&rule["executions"]), "run"), Style::Bold),
                (size(number(&rule["bytes"])), Style::Plain),
            ]);
        }
        shown.push_str(&table.print(screen, 2));
    }
    if !list("held").is_empty() {
        shown.push_str(&screen.heading("HELD BACK"));
        let mut table = Table::bare();
        for held in list("held") {
            table.row([
                (text(&held["execution_id"]).to_owned(), Style::Plain),
                (text(&held["rule"]).to_owned(), Style::Plain),
                (text(&held["message"]).to_owned(), Style::Waiting),
            ]);
        }
        shown.push_str(&table.print(screen, 2));
    }
    if plan["next_cursor"].is_string() {
        shown.push_str("\nand maybe more: this is what --limit allows\n");
    }
    shown
}

fn progress_text(ended: &Value, screen: &Screen) -> String {
    let number = |name: &str| ended[name].as_u64().unwrap_or(0);
    let word = text(&ended["status"]);
    let style = if word == "done" { Style::Good } else { Style::Bad };
    let why = match text(&ended["error"]) {
        "" => String::new(),
        why => format!(": {why}"),
    };
    let removed = counted(number("removed"), "run");
    let bytes = size(number("bytes"));
    format!("{}{why}  {removed} removed, {bytes}\n", screen.paint(style, word))
}
