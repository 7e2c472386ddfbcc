//! Runs as lists of the documents want them: a window of those with a word, and how many there are.

use backstitch_core::ids::ExecutionId;
use backstitch_core::summary::{RunStatus, RunSummary};
use backstitch_journal::{Cursor, RunFilter};
use backstitch_saga::{Error, Handle};
use serde_json::Value;

use super::words::Word;
use crate::http::query::LIMIT_MAX;
use crate::http::refusal::Refusal;
use crate::http::window::Window;

/// Completed runs that an estimate of the next one's duration rests on, the newest.
const ESTIMATED_FROM_MAX: usize = 100;

/// A window of a list of runs.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) rows: Vec<RunSummary>,
    /// Of the whole list.
    pub(super) total: usize,
    /// Where the list goes on, if it does.
    pub(super) next: Option<String>,
}

/// What was met on the way through a list.
#[derive(Default)]
struct Walked {
    met: usize,
    rows: Vec<RunSummary>,
    end: Option<Cursor>,
    more: bool,
}

/// Runs of a filter that have a word, chunks of loops left out.
///
/// # Errors
/// As [`Handle::runs`].
pub(super) async fn listed(
    engine: &Handle,
    filter: RunFilter,
    word: Option<Word>,
    window: &Window,
) -> Result<Listed, Refusal> {
    let status = word.and_then(Word::only_status);
    let filter =
        RunFilter { active: filter.active || word == Some(Word::Running), status, ..filter };
    let cursor = match &window.cursor {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| bad_cursor())?),
    };
    let behind = cursor.is_some();
    let walked = walk(engine, &filter, word, cursor, (window.offset, window.limit)).await?;
    let total = match behind {
        false => walked.met,
        true => walk(engine, &filter, word, None, (0, 0)).await?.met,
    };
    let next = walked.end.filter(|_| walked.more).map(|end| end.to_string());
    Ok(Listed { rows: walked.rows, total, next })
}

fn bad_cursor() -> Refusal {
    Refusal::bad_request("`cursor` must be the `next_cursor` of an earlier page")
}

/// Goes through a list to its end. What is taken ends where a page does, so that the page's own
/// cursor leads on from there.
async fn walk(
    engine: &Handle,
    filter: &RunFilter,
    word: Option<Word>,
    from: Option<Cursor>,
    (skip, take): (usize, usize),
) -> Result<Walked, Refusal> {
    let mut walked = Walked::default();
    let mut after = from;
    loop {
        let wanted = (skip + take).saturating_sub(walked.met);
        let rows_max = if wanted == 0 { LIMIT_MAX } else { wanted.min(LIMIT_MAX) };
        let page = engine.runs(filter.clone(), after, rows_max).await?;
        for row in page.rows {
            if row.chunk || !has_word(engine, &row, word).await? {
                continue;
            }
            if walked.met >= skip + take {
                walked.more = true;
            } else if walked.met >= skip {
                walked.rows.push(row);
            }
            walked.met += 1;
        }
        if walked.end.is_none() && walked.met >= skip + take {
            walked.end.clone_from(&page.next);
        }
        after = page.next;
        if after.is_none() {
            return Ok(walked);
        }
    }
}

async fn has_word(engine: &Handle, row: &RunSummary, word: Option<Word>) -> Result<bool, Error> {
    let Some(word) = word else { return Ok(true) };
    // Who began the unwinding stands in the run only.
    let cancelled = row.status == RunStatus::Compensating
        && shown(engine, row.execution).await?.is_some_and(|run| is_cancelled(&run));
    Ok(Word::of(row.status, cancelled) == word)
}

/// Whether a cancel has the final word on a run.
pub(super) fn is_cancelled(run: &Value) -> bool {
    run["cancel"]["in_force"] == true
}

/// A run of a list; nothing if it was removed since.
///
/// # Errors
/// As [`Handle::execution`].
pub(super) async fn shown(
    engine: &Handle,
    run: ExecutionId,
) -> Result<Option<std::sync::Arc<Value>>, Error> {
    match engine.execution(run).await {
        Ok(run) => Ok(Some(run)),
        Err(Error::ExecutionNotFound(_) | Error::ExecutionRemoved { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long a run of the workflow usually takes: the mean of its newest completed ones.
///
/// # Errors
/// As [`Handle::runs`].
pub(super) async fn usual_ms(
    engine: &Handle,
    namespace: &str,
    workflow: &str,
) -> Result<Option<u64>, Error> {
    let filter = RunFilter {
        namespace: namespace.to_owned(),
        workflow: Some(workflow.to_owned()),
        status: Some(RunStatus::Completed),
        ..RunFilter::default()
    };
    let page = engine.runs(filter, None, ESTIMATED_FROM_MAX).await?;
    let took = |row: &RunSummary| row.ended_at.map(|at| at.ms_since(row.submitted_at));
    let all: Vec<_> = page.rows.iter().filter(|row| !row.chunk).filter_map(took).collect();
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    Ok(all.iter().sum::<u64>().checked_div(count))
}
