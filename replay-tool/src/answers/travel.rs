//! What changed in a run, and two runs side by side.

use serde_json::Value;

use super::show::value;
use super::{Answer, workflow_label};
use crate::Form;
use crate::facts::{facts, text};
use crate::text::{Screen, Style, Table, clip, duration, printable, style_of};

/// The longest value that text shows whole.
const VALUE_CHARACTERS_MAX: usize = 60;

/// What changed between two points.
pub(crate) fn diff(document: &Value, form: &Form) -> Answer {
    match form.json {
        true => Answer::json(document),
        false => Answer::text(diff_text(document, &form.screen)),
    }
}

fn diff_text(document: &Value, screen: &Screen) -> String {
    let [from, to] = ["from", "to"].map(|end| {
        let end = &document[end];
        format!("version {} ({})", end["version"], text(&end["at"]))
    });
    let title = screen.paint(Style::Bold, text(&document["execution_id"]));
    let mut shown = format!("{title}\nfrom {from}\nto   {to}\n");
    let list = |name: &str| document[name].as_array().map_or(&[][..], Vec::as_slice);
    let changes = list("changes");
    if changes.is_empty() {
        shown.push_str("\nnothing changed\n");
    } else {
        shown.push_str(&screen.heading("CHANGES"));
        let mut table = Table::with_headings(&["STEP", "FIELD", "BEFORE", "AFTER"]);
        for change in changes {
            table.row([
                (text(&change["step"]).to_owned(), Style::Plain),
                (text(&change["field"]).to_owned(), Style::Bold),
                (side(change.get("before")), Style::Bad),
                (side(change.get("after")), Style::Good),
            ]);
        }
        shown.push_str(&table.print(screen, 2));
    }
    let events = list("events");
    if !events.is_empty() {
        shown.push_str(&screen.heading("EVENTS"));
        let mut table = Table::bare();
        for fact in facts(events) {
            table.row([
                (fact.version.to_string(), Style::Plain),
                (fact.at.to_string(), Style::Dim),
                (fact.kind.to_owned(), Style::Bold),
                (value(fact.data), Style::Plain),
            ]);
        }
        shown.push_str(&table.print(screen, 2));
    }
    if document["more_events"] == true {
        shown.push_str("  and more; `replay-tool events` shows all\n");
    }
    shown
}

/// A value, in a few words; nothing was there if it is absent.
fn side(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(word)) => clip(word, VALUE_CHARACTERS_MAX),
        Some(value) => clip(&value.to_string(), VALUE_CHARACTERS_MAX),
    }
}

/// Two runs side by side.
pub(crate) fn compare(document: &Value, form: &Form) -> Answer {
    match form.json {
        true => Answer::json(document),
        false => Answer::text(compare_text(document, &form.screen)),
    }
}

fn compare_text(document: &Value, screen: &Screen) -> String {
    let mut table = Table::bare();
    for (name, run) in ["left", "right"].into_iter().zip(both(&document["executions"])) {
        let word = text(&run["status"]);
        table.row([
            (name.to_owned(), Style::Dim),
            (text(&run["execution_id"]).to_owned(), Style::Bold),
            (format!("{} revision {}", workflow_label(run), run["revision"]), Style::Plain),
            (word.to_owned(), style_of(word)),
        ]);
    }
    let mut shown = table.print(screen, 0);
    if document["same_definition"] == false {
        shown.push_str("they follow different definitions\n");
    }
    shown.push_str(&screen.heading("FIRST DIVERGENCE"));
    shown.push_str(&divergence(&document["first_divergence"], screen));
    shown.push_str(&screen.heading("STEPS"));
    let headings = ["STEP", "", "STATUS", "", "ATTEMPTS", "", "TOOK", "", "OUTPUT"];
    let mut table = Table::with_headings(&headings);
    for row in document["steps"].as_array().into_iter().flatten() {
        let cells = |name: &str| both(&row[name]).map(|value| side(Some(value).filter(there)));
        let [status, other_status] = cells("status");
        let [attempts, other_attempts] = cells("attempts");
        let [took, other_took] = both(&row["duration_ms"])
            .map(|ms| ms.as_u64().map(|ms| duration(ms.saturating_mul(1_000))).unwrap_or_default());
        let same = row["same"] == true;
        let output = if row["output_equal"] == true { "equal" } else { "differs" };
        table.row([
            (text(&row["step"]).to_owned(), Style::Plain),
            (if same { "" } else { "≠" }.to_owned(), Style::Bad),
            (status.clone(), style_of(&status)),
            (other_status.clone(), style_of(&other_status)),
            (attempts, Style::Plain),
            (other_attempts, Style::Plain),
            (took, Style::Dim),
            (other_took, Style::Dim),
            (output.to_owned(), Style::Plain),
        ]);
    }
    shown.push_str(&table.print(screen, 2));
    shown
}

fn there(value: &&Value) -> bool {
    !value.is_null()
}

fn divergence(first: &Value, screen: &Screen) -> String {
    if first.is_null() {
        return "  none: both did the same\n".to_owned();
    }
    let place = match text(&first["step"]) {
        "" => "the run as a whole".to_owned(),
        step => format!("step {step}"),
    };
    let field = screen.paint(Style::Bold, &printable(text(&first["field"])));
    let mut shown = format!("  {}, {field}\n", printable(&place));
    let mut table = Table::bare();
    let (events, versions) = (both(&first["events"]), both(&first["versions"]));
    for (at, name) in ["left", "right"].into_iter().enumerate() {
        let version = match versions[at] {
            Value::Null => String::new(),
            version => format!("version {version}"),
        };
        table.row([
            (name.to_owned(), Style::Dim),
            (version, Style::Plain),
            (text(events[at]).to_owned(), Style::Plain),
            match first.get(name) {
                Some(value) => (side(Some(value)), Style::Bad),
                None => ("nothing there".to_owned(), Style::Dim),
            },
        ]);
    }
    shown.push_str(&table.print(screen, 2));
    shown
}

/// The two sides of a pair.
fn both(pair: &Value) -> [&Value; 2] {
    [&pair[0], &pair[1]]
}
