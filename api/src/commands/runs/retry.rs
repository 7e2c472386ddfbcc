//! `backstitch retry`: a dead letter, or those of a run that can be retried where it stands.

use clap::Args;
use serde_json::{Value, json};

use super::{At, of_run, table};
use crate::client::{Client, path_of};
use crate::error::Error;
use crate::http::codes::DEAD_LETTER_NOT_READY;

const AFTER: &str = "\
A run's letters are retried in place: undos and callbacks wherever they stand, steps where the run is
suspended or was halted. A step of a run that was undone or cancelled takes a new run, which is begun
only if you ask for it: with --new-run, or by naming the letter.

Examples:
  backstitch retry exec_...             every letter that its run can be retried with in place
  backstitch retry exec_... --new-run   and, if its step failed and is undone, the run once more
  backstitch retry dlq_...              one letter, whatever it takes";

/// What `retry` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct RetryFlags {
    /// A dead letter (dlq_...), or a run of which the open ones are retried in place
    #[arg(value_name = "ID")]
    pub id: String,
    /// Of a run: begin a new one where its failed step can't be retried in place
    #[arg(long)]
    pub new_run: bool,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// Open letters of a run.
struct Open {
    /// In the order in which they are retried, and whether each is a step's.
    letters: Vec<(String, bool)>,
    /// Whether the run's steps may go on where they stand.
    steps_go_on: bool,
}

/// `retry`: a dead letter, or those of a run that are retried in place.
///
/// # Errors
/// As [`super::get`]; [`Error::Failed`] for a run without a dead letter that can be retried so.
pub async fn retry(flags: RetryFlags) -> Result<(), Error> {
    let client = flags.at.client()?;
    if flags.id.starts_with("dlq_") {
        let answer = post(&client, &flags.id, &json!({})).await?;
        return shown(&flags.at, &[answer], &[]);
    }
    let run = client.get(&of_run(&flags.id, &[])).await?;
    let open = open(&run);
    let (mut retried, mut left) = (Vec::new(), Vec::new());
    for (letter, is_step) in open.letters {
        let is_alone = retried.is_empty() && left.is_empty();
        let in_place = !is_step || !flags.new_run || !is_alone;
        if is_step && !open.steps_go_on && in_place {
            left.push(letter);
            continue;
        }
        match post(&client, &letter, &json!({ "in_place": in_place })).await {
            Ok(answer) => retried.push(answer),
            Err(Error::Refused { code, .. }) if is_step && code == DEAD_LETTER_NOT_READY => {
                left.push(letter);
            }
            Err(error) => {
                if !retried.is_empty() {
                    shown(&flags.at, &retried, &left)?;
                }
                return Err(error);
            }
        }
    }
    match (retried.is_empty(), left.first()) {
        (false, _) => shown(&flags.at, &retried, &left),
        (true, None) => {
            Err(Error::Failed(format!("{} has no open dead letter to retry", flags.id)))
        }
        (true, Some(first)) => Err(Error::Failed(format!(
            "{}: nothing was retried, its step can't be tried again where the run stands ({first}); \
             with --new-run a new run starts over with the same input",
            flags.id
        ))),
    }
}

/// Undos and callbacks first: they are retried wherever their run stands.
fn open(run: &Value) -> Open {
    let letters = table::list(run, "dead_letters").iter().filter(|own| own["status"] == "open");
    let mut letters: Vec<_> =
        letters.map(|own| (table::text(&own["letter_id"]), own["kind"] == "step")).collect();
    letters.sort_by_key(|(_, is_step)| *is_step);
    // What is undone has nothing to go on from; what may be is for the server to say.
    let steps_go_on = matches!(run["status"].as_str(), Some("suspended" | "failed"));
    Open { letters, steps_go_on }
}

async fn post(client: &Client, letter: &str, body: &Value) -> Result<Value, Error> {
    client.post(&path_of(&["api", "v1", "dlq", letter, "retry"]), body).await
}

/// One answer as it is; of several a list.
fn shown(at: &At, retried: &[Value], left: &[String]) -> Result<(), Error> {
    let answer = match (retried, left) {
        ([only], []) => only.clone(),
        _ => json!({ "letters": retried, "left": left }),
    };
    at.show(&answer, || {
        let lines = retried.iter().map(line).chain(left.iter().map(|letter| {
            format!(
                "{letter}: left; its step takes a new run, which `backstitch retry {letter}` begins"
            )
        }));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn line(answer: &Value) -> String {
    let text = |name: &str| table::text(&answer[name]);
    let by = if answer["new_execution"] == true { "the new run " } else { "" };
    format!(
        "{}: retried by {by}{}, which is {}",
        text("letter_id"),
        text("execution_id"),
        text("status")
    )
}
