//! Sentences about a run as a whole: what failed, who cancelled, what became of its letters
//! and callbacks.

use serde_json::Value;

use crate::facts::{Fact, step_name, text};
use crate::text::{Style, style_of};

/// A word, its style and the rest of the sentence for an event that is about no single step.
/// An event of newer code is named as it is.
pub(super) fn mark(fact: &Fact<'_>) -> (String, Style, String) {
    let data = fact.data;
    let (word, style, what) = match fact.kind {
        "ExecutionTagged" => ("tagged", Style::Dim, words(&data["tags"])),
        "CancelRequested" => {
            let undo = if data["compensate"] == false { ", nothing is to be undone" } else { "" };
            let what = format!("by {}: {}{undo}", text(&data["actor"]), text(&data["reason"]));
            ("cancel requested", Style::Waiting, what)
        }
        "DeadlinePassed" => ("deadline passed", Style::Bad, String::new()),
        "ExecutionFailing" => ("failing", Style::Bad, failing(data)),
        "ExecutionSuspended" => ("suspended", Style::Waiting, "waits for an operator".to_owned()),
        "UnwindingStarted" => ("unwinding", Style::Undo, String::new()),
        "DeadLetterOpened" => {
            let subject = subject_words(text(&data["kind"]), &data["subject"]);
            let what = format!("#{}, {subject}: {}", data["letter"], sentence(&data["error"]));
            ("dead letter", Style::Bad, what)
        }
        "DeadLetterRetried" => {
            let linked = data["execution_id"].as_str().map(|run| format!(", as {run}"));
            let linked = linked.unwrap_or_default();
            let what = format!("#{}, by {}{linked}", data["letter"], text(&data["actor"]));
            ("letter retried", Style::Waiting, what)
        }
        "DeadLetterDiscarded" => {
            let (actor, reason) = (text(&data["actor"]), text(&data["reason"]));
            ("letter discarded", Style::Dim, format!("#{}, by {actor}: {reason}", data["letter"]))
        }
        "DeadLetterAssigned" => {
            let to = data["assignee"].as_str().unwrap_or("nobody");
            let what = format!("#{}, to {to} {}", data["letter"], who(data));
            ("letter assigned", Style::Dim, what)
        }
        "DeadLetterNoted" => {
            let (actor, words) = (text(&data["actor"]), text(&data["text"]));
            ("letter noted", Style::Dim, format!("#{}, by {actor}: {words}", data["letter"]))
        }
        "DeadLetterEdited" => {
            ("letter edited", Style::Waiting, format!("#{}, {}", data["letter"], who(data)))
        }
        "CallbackScheduled" => {
            let (event, url) = (text(&data["event"]), text(&data["url"]));
            let of = data["step"].as_str().map(|step| format!(" of `{step}`")).unwrap_or_default();
            ("callback", Style::Plain, format!("#{}, {event}{of} to {url}", data["delivery"]))
        }
        "CallbackSentAgain" => {
            let what = format!("callback #{}, by {}", data["delivery"], text(&data["actor"]));
            ("sent again", Style::Waiting, what)
        }
        "CallbacksGiven" => {
            let many = data["callbacks"].as_array().map_or(0, Vec::len);
            ("callbacks", Style::Plain, format!("{many} in forms of their own"))
        }
        "AlertsPinned" => {
            let alerts = data["alerts"].as_array().map_or(&[][..], Vec::as_slice);
            let rules: Vec<_> = alerts.iter().map(|own| text(&own["rule"])).collect();
            ("alerts", Style::Plain, format!("wanted by {}", rules.join(", ")))
        }
        "CallbackDelivered" => {
            let what = format!("callback #{}, answered {}", data["delivery"], data["status"]);
            ("delivered", Style::Good, what)
        }
        "CallbackAttemptFailed" => {
            let (delivery, attempt) = (&data["delivery"], &data["attempt"]);
            let error = sentence(&data["error"]);
            let what = format!("callback #{delivery}, attempt {attempt}: {error}");
            ("not delivered", Style::Waiting, what)
        }
        "CallbackFailed" => {
            let what = format!("callback #{}: {}", data["delivery"], sentence(&data["error"]));
            ("given up", Style::Bad, what)
        }
        "ExecutionPaused" => ("paused", Style::Waiting, who(data)),
        "ExecutionResumed" => ("resumed", Style::Plain, who(data)),
        "RollbackRequested" => {
            let to = data["to"].as_str().map(|step| format!("to `{step}`, "));
            (
                "rollback requested",
                Style::Waiting,
                format!("{}{}", to.unwrap_or_default(), who(data)),
            )
        }
        "UndoAwaited" => {
            ("undo awaited", Style::Waiting, format!("of {}, by hand", step_name(&data["step"])))
        }
        "UndosSettled" => {
            let (actor, note) = (text(&data["actor"]), text(&data["note"]));
            let (steps, word) = (words(&data["steps"]), text(&data["settlement"]));
            ("undo settled", Style::Plain, format!("{word}: {steps}, by {actor}: {note}"))
        }
        "CompensationTimedOut" => {
            ("undos too long", Style::Bad, format!("longer than {} ms", data["limit_ms"]))
        }
        "CheckReady" => ("check ready", Style::Dim, step_name(&data["step"])),
        "CheckAnswered" => {
            let what = format!("{}, attempt {}", step_name(&data["step"]), data["attempt"]);
            ("check answered", Style::Plain, what)
        }
        "CheckConcluded" => {
            let took_effect = data["took_effect"] == true;
            let (style, what) = match took_effect {
                true => (Style::Undo, "took effect, and is undone"),
                false => (Style::Good, "took no effect: there is nothing to undo"),
            };
            ("checked", style, format!("{} {what}", step_name(&data["step"])))
        }
        "PartialUnwindingEnded" => ("doing anew", Style::Plain, words(&data["steps"])),
        "PartialUnwindingStarted" => ("undoing a part", Style::Undo, words(&data["steps"])),
        "CancelForced" => ("cancel forced", Style::Waiting, who(data)),
        "SignalReceived" => (
            "signal",
            Style::Plain,
            format!("`{}`, by {}", text(&data["name"]), text(&data["actor"])),
        ),
        "MessagePosted" => {
            let what = format!("{}, to {}", message(data), text(&data["to"]));
            ("message", Style::Dim, what)
        }
        "MessageReceived" => {
            let what = format!("{}, from {}", message(data), text(&data["from"]));
            ("received", Style::Dim, what)
        }
        "MessageAcknowledged" if data["error"].is_null() => {
            ("acknowledged", Style::Dim, format!("message #{}", data["message"]))
        }
        "MessageAcknowledged" => {
            let what = format!("message #{}: {}", data["message"], sentence(&data["error"]));
            ("refused", Style::Bad, what)
        }
        "ExecutionEnded" => return ended(data),
        kind => super::step_marks::mark(fact).unwrap_or((kind, Style::Plain, String::new())),
    };
    (word.to_owned(), style, what)
}

/// Who did it, and why if they said so.
pub(super) fn who(data: &Value) -> String {
    match (text(&data["actor"]), text(&data["reason"])) {
        (actor, "") => format!("by {actor}"),
        (actor, reason) => format!("by {actor}: {reason}"),
    }
}

/// A message between runs by its number in the sender's history, and what it says.
fn message(data: &Value) -> String {
    format!("#{}, `{}`", data["message"], text(&data["body"]["kind"]))
}

/// A list of texts with commas between them.
pub(super) fn words(list: &Value) -> String {
    let list = list.as_array().into_iter().flatten();
    list.map(text).collect::<Vec<_>>().join(", ")
}

/// `CODE: message`.
pub(super) fn sentence(error: &Value) -> String {
    format!("{}: {}", text(&error["error_code"]), text(&error["message"]))
}

/// What a letter is about.
pub(super) fn subject_words(kind: &str, subject: &Value) -> String {
    match (kind, subject) {
        ("undo", subject) => format!("undo of {}", step_name(subject)),
        ("callback", Value::Number(delivery)) => format!("callback #{delivery}"),
        ("callback", subject) => format!("callback to {}", text(subject)),
        (_, subject) => format!("step {}", step_name(subject)),
    }
}

fn failing(data: &Value) -> String {
    let step = match &data["step"] {
        Value::Null => String::new(),
        step => format!("step {}: ", step_name(step)),
    };
    let recourse = match text(&data["recourse"]) {
        "compensate" => "undo what was done",
        "halt" => "end as it stands",
        "suspend" => "wait for an operator",
        other => other,
    };
    format!("{step}{}; {recourse}", sentence(&data["error"]))
}

fn ended(data: &Value) -> (String, Style, String) {
    let word = data["status"].as_str().unwrap_or("ended").to_owned();
    let what = match data["compensation"].as_str() {
        Some("done") if word == "cancelled" => "everything was undone",
        Some("failed") => "something could not be undone",
        _ => "",
    };
    let style = style_of(&word);
    (word, style, what.to_owned())
}
