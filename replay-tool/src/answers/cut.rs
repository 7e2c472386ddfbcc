//! How far back the log and its archive reach: what a cut would do, and doing it.

use backstitch_journal::CutPoint;
use serde_json::{Value, json};

use super::Answer;
use crate::Form;
use crate::arguments::{Cut, CutWanted};
use crate::clock;
use crate::error::Error;
use crate::facts::text;
use crate::source::{Holder, Server, Writing};
use crate::text::{counted, printable, size};

const CUT: [&str; 4] = ["api", "v1", "admin", "cut"];
/// Who decides, where nobody says.
const ACTOR: &str = "operator";

/// Plans a cut, or carries it out.
///
/// # Errors
/// Why that cannot be done.
pub(crate) fn answer(holder: &Holder, command: &Cut, form: &Form) -> Result<Answer, Error> {
    let (wanted, dry_run, actor) = match command {
        Cut::Plan { wanted } => (*wanted, true, None),
        Cut::Apply { wanted, actor, confirm: _ } => (*wanted, false, actor.as_deref()),
    };
    let plan = match holder {
        Holder::Server(server) => of_server(server, wanted, dry_run)?,
        Holder::Files(path) => {
            let now = clock::now();
            if let Some(at) = wanted.before.filter(|at| *at > now) {
                return Err(Error::Future { at: at.to_string() });
            }
            let mut writing = Writing::open(path)?;
            let point = CutPoint::Before(wanted.before(now));
            let plan = match dry_run {
                true => writing.plan_cut(&point),
                false => writing.cut(&point, actor.unwrap_or(ACTOR)),
            };
            writing.close()?;
            plan?.to_json(dry_run)
        }
    };
    Ok(match form.json {
        true => Answer::json(&plan),
        false => Answer::text(words(&plan)),
    })
}

fn of_server(server: &Server, wanted: CutWanted, dry_run: bool) -> Result<Value, Error> {
    let mut body = json!({ "dry_run": dry_run });
    match wanted {
        CutWanted { before: Some(at), .. } => body["before"] = json!(at.to_string()),
        CutWanted { keep_for, .. } => {
            body["keep_for"] = json!(format!("{}ms", keep_for.unwrap_or_default()));
        }
    }
    server.client().post(&CUT, &body)
}

/// What becomes of runs that retention removed.
fn removed(records: u64, runs: u64, dry_run: bool) -> String {
    let word = if dry_run { "would go" } else { "are gone" };
    format!(
        "of runs removed before: {} of {} {word} for good; one whose removal is recorded in what \
         stays of the log is kept in the base until a later cut takes that, too\n",
        counted(records, "record"),
        counted(runs, "run"),
    )
}

fn words(plan: &Value) -> String {
    let number = |name: &str| plan[name].as_u64().unwrap_or(0);
    let dry_run = plan["dry_run"] == true;
    let mut shown = match (number("segments"), dry_run) {
        (0, true) => "nothing would be cut\n".to_owned(),
        (0, false) => "nothing was cut\n".to_owned(),
        (segments, _) => {
            let word = if dry_run { "would be cut" } else { "cut" };
            format!(
                "{} {word}: {}, {} of them kept in a base of {}; {} go\n",
                counted(segments, "segment"),
                counted(number("records"), "record"),
                number("records_kept"),
                size(number("base_bytes")),
                size(number("bytes_removed")),
            )
        }
    };
    if number("segments") > 0 {
        shown.push_str(&removed(number("records_dropped"), number("executions_dropped"), dry_run));
    }
    match text(&plan["oldest_restorable_after"]) {
        "" => shown.push_str("everything since the store's beginning can be restored\n"),
        at => shown.push_str(&format!("the oldest instant that can be restored: {at}\n")),
    }
    if let Some(why) = plan["held_back"].as_str() {
        shown.push_str(&format!("it goes no further: {}\n", printable(why)));
    }
    shown
}
