//! `backstitch dlq`: what waits for a person, looked at and settled.

pub mod redrive;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::read_json;
use super::runs::At;
use super::runs::table::{columns, list, text, words};
use crate::client::path_of;
use crate::error::Error;

const AFTER_GROUPS: &str = "\
A group is what failed for the same cause: the same operation of the same step, with the same
error once numbers, ids and quoted texts are taken out of it.

Examples:
  backstitch dlq groups
  backstitch dlq list --fingerprint 3b8f02c4d5e6a7b9
  backstitch dlq show dlq_...";

/// The commands of `dlq`.
#[derive(Debug, Subcommand)]
pub enum Dlq {
    /// List dead letters, the newest first and the open ones unless told otherwise
    List(ListFlags),
    /// Group dead letters by their cause, the largest group first
    #[command(after_help = AFTER_GROUPS)]
    Groups(GroupFlags),
    /// Count dead letters by status, workflow, kind, error code and age
    Stats(At),
    /// Show a dead letter with its whole context
    Show(OneFlags),
    /// Have a dead letter's operation tried again, with another input if one is given
    Retry(RetryFlags),
    /// Say who is to see to a dead letter
    Assign(AssignFlags),
    /// Write something down about a dead letter
    Note(NoteFlags),
    /// Retry many by a filter, at a rate, with canaries
    #[command(subcommand)]
    Redrive(redrive::Redrive),
    /// Give a dead letter's operation up
    Discard(DiscardFlags),
}

/// What a letter is about, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum KindWord {
    /// A step
    Step,
    /// A step's undo
    Undo,
    /// A callback
    Callback,
}

/// Where letters stand, as the command line names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StatusWord {
    /// They wait for a person
    Open,
    /// They were tried again
    Retried,
    /// They were given up
    Discarded,
    /// Their step was settled by hand
    Resolved,
    /// Anywhere
    All,
}

/// By which causes letters are chosen.
#[derive(Debug, Args)]
pub struct CauseFlags {
    /// Only letters that stand so
    #[arg(long, value_name = "STATUS", default_value = "open")]
    pub status: StatusWord,
    /// Only letters of this workflow
    #[arg(long, value_name = "WORKFLOW_ID")]
    pub workflow: Option<String>,
    /// Only letters about this kind of operation
    #[arg(long, value_name = "KIND")]
    pub kind: Option<KindWord>,
    /// Only letters with this error code
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only letters of this cause
    #[arg(long, value_name = "FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
}

/// What `dlq list` takes.
#[derive(Debug, Args)]
pub struct ListFlags {
    /// Which causes.
    #[command(flatten)]
    pub cause: CauseFlags,
    /// Only letters of this step, or its undo
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Only letters of runs with this tag
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only letters that this one is to see to
    #[arg(long, value_name = "NAME")]
    pub assignee: Option<String>,
    /// Only letters of this run
    #[arg(long, value_name = "EXECUTION_ID")]
    pub execution: Option<String>,
    /// Only letters opened at this instant or later, in RFC 3339
    #[arg(long, value_name = "INSTANT")]
    pub opened_after: Option<String>,
    /// Only letters opened before this instant
    #[arg(long, value_name = "INSTANT")]
    pub opened_before: Option<String>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `dlq groups` takes.
#[derive(Debug, Args)]
pub struct GroupFlags {
    /// Which causes.
    #[command(flatten)]
    pub cause: CauseFlags,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// One letter.
#[derive(Debug, Args)]
pub struct OneFlags {
    /// The dead letter
    #[arg(value_name = "LETTER_ID")]
    pub letter: String,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// What `dlq retry` takes.
#[derive(Debug, Args)]
pub struct RetryFlags {
    /// The letter.
    #[command(flatten)]
    pub one: OneFlags,
    /// The step's input in place of what it had, as JSON, or @FILE: a new round
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "", requires = "input")]
    pub reason: String,
}

/// What `dlq assign` takes.
#[derive(Debug, Args)]
pub struct AssignFlags {
    /// The letter.
    #[command(flatten)]
    pub one: OneFlags,
    /// Who is to
    #[arg(long, value_name = "NAME", required_unless_present = "nobody")]
    pub to: Option<String>,
    /// Nobody any more
    #[arg(long, conflicts_with = "to")]
    pub nobody: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// What `dlq note` takes.
#[derive(Debug, Args)]
pub struct NoteFlags {
    /// The letter.
    #[command(flatten)]
    pub one: OneFlags,
    /// What to write down
    #[arg(long, value_name = "TEXT")]
    pub text: String,
}

/// What `dlq discard` takes.
#[derive(Debug, Args)]
pub struct DiscardFlags {
    /// The letter.
    #[command(flatten)]
    pub one: OneFlags,
    /// Why: it stays with the letter
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

type Query = Vec<(&'static str, String)>;

impl CauseFlags {
    fn query(&self) -> Query {
        let word = |own: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            own().map(|own| own.get_name().to_owned())
        };
        let all = [
            ("status", word(&|| self.status.to_possible_value())),
            ("workflow_id", self.workflow.clone()),
            ("kind", word(&|| self.kind?.to_possible_value())),
            ("code", self.code.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("limit", Some(self.limit.to_string())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl ListFlags {
    fn query(&self) -> Query {
        let more = [
            ("step", self.step.clone()),
            ("tag", self.tag.clone()),
            ("assignee", self.assignee.clone()),
            ("execution_id", self.execution.clone()),
            ("opened_after", self.opened_after.clone()),
            ("opened_before", self.opened_before.clone()),
        ];
        let more = more.into_iter().filter_map(|(name, value)| Some((name, value?)));
        self.cause.query().into_iter().chain(more).collect()
    }
}

/// Does it.
///
/// # Errors
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`];
/// [`Error::Setting`] for a server that is no URL.
pub async fn run(dlq: Dlq) -> Result<(), Error> {
    match dlq {
        Dlq::List(flags) => {
            let answer = flags.at.client()?.get_with(&path(&[]), &flags.query()).await?;
            flags.at.show(&answer, || letters(&answer))
        }
        Dlq::Groups(flags) => {
            let (client, query) = (flags.at.client()?, flags.cause.query());
            let answer = client.get_with(&path(&["groups"]), &query).await?;
            flags.at.show(&answer, || groups(&answer))
        }
        Dlq::Stats(at) => {
            let answer = at.client()?.get(&path(&["stats"])).await?;
            at.show(&answer, || statistics(&answer))
        }
        Dlq::Show(one) => {
            let answer = one.at.client()?.get(&path(&[&one.letter])).await?;
            one.at.show(&answer, || format!("{answer:#}"))
        }
        Dlq::Retry(RetryFlags { one, input, reason }) => {
            let input = input.map(|given| read_json("--input", &given)).transpose()?;
            let body = json!({ "input": input, "reason": reason });
            let answer = one.at.client()?.post(&path(&[&one.letter, "retry"]), &body).await?;
            one.at.show(&answer, || settled(&answer, "retried"))
        }
        Dlq::Assign(AssignFlags { one, to, nobody: _, reason }) => {
            let body = json!({ "assignee": &to, "reason": reason });
            let answer = one.at.client()?.post(&path(&[&one.letter, "assign"]), &body).await?;
            let to = to.unwrap_or_else(|| "nobody".to_owned());
            one.at.show(&answer, || format!("{}: given to {to}", one.letter))
        }
        Dlq::Note(NoteFlags { one, text: note }) => {
            let body = json!({ "text": note });
            let answer = one.at.client()?.post(&path(&[&one.letter, "notes"]), &body).await?;
            let count = list(&answer, "notes").len();
            one.at.show(&answer, || format!("{}: has {count} notes", one.letter))
        }
        Dlq::Redrive(redrive) => redrive::run(redrive).await,
        Dlq::Discard(DiscardFlags { one, reason }) => {
            let (client, body) = (one.at.client()?, json!({ "reason": reason }));
            let answer = client.post(&path(&[&one.letter, "discard"]), &body).await?;
            one.at.show(&answer, || settled(&answer, "discarded"))
        }
    }
}

fn path(below: &[&str]) -> String {
    path_of(&[&["api", "v1", "dlq"], below].concat())
}

fn settled(answer: &Value, word: &str) -> String {
    let [letter, run, status] = ["letter_id", "execution_id", "status"].map(|f| text(&answer[f]));
    format!("{letter}: {word}; {run} is {status}")
}

fn letters(answer: &Value) -> String {
    let found = list(answer, "letters");
    if found.is_empty() {
        return "no dead letters".to_owned();
    }
    let headings =
        ["LETTER", "WORKFLOW", "KIND", "SUBJECT", "STATUS", "ASSIGNEE", "OPENED", "ERROR"];
    let mut rows = vec![words(headings)];
    let fields = ["letter_id", "workflow_id", "kind", "subject", "status", "assignee", "opened_at"];
    rows.extend(found.iter().map(|own| {
        let error =
            format!("{}: {}", text(&own["error"]["error_code"]), text(&own["error"]["message"]));
        fields.map(|field| text(&own[field])).into_iter().chain([error]).collect()
    }));
    let mut shown = columns(&rows);
    if !answer["next_cursor"].is_null() {
        shown.push_str("there are more; raise --limit\n");
    }
    shown
}

fn groups(answer: &Value) -> String {
    let found = list(answer, "groups");
    if found.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut rows =
        vec![words(["FINGERPRINT", "OPEN", "ALL", "WORKFLOW", "KIND", "SUBJECT", "LAST", "CAUSE"])];
    rows.extend(found.iter().map(|own| {
        vec![
            text(&own["fingerprint"]),
            text(&own["by_status"]["open"]),
            text(&own["letters"]),
            text(&own["workflow_id"]),
            text(&own["kind"]),
            text(&own["subject"]),
            text(&own["last_seen_at"]),
            format!("{}: {}", text(&own["error_code"]), text(&own["message"])),
        ]
    }));
    let mut shown = columns(&rows);
    if answer["count"].as_u64().unwrap_or_default() > found.len() as u64 {
        shown.push_str(&format!("{} groups in all; raise --limit\n", answer["count"]));
    }
    shown
}

fn statistics(answer: &Value) -> String {
    let mut rows = Vec::new();
    let titles = [
        ("letters", "by_status"),
        ("open of workflow", "by_workflow"),
        ("open about", "by_kind"),
        ("open with", "by_code"),
    ];
    for (title, field) in titles {
        for (word, count) in answer[field].as_object().into_iter().flatten() {
            rows.push(vec![title.to_owned(), word.clone(), text(count)]);
        }
    }
    for own in list(answer, "by_age") {
        rows.push(vec!["open since".to_owned(), text(&own["age"]), text(&own["count"])]);
    }
    columns(&rows)
}
