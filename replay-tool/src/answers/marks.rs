//! Sentences about a run as a whole: what failed, who cancelled, what became of its letters
//! and callbacks.

use backstitch_core::event::{Event, LetterSubject, Recourse, RunEvent};
use backstitch_core::failure::Failure;
use backstitch_core::plan::Plan;
use backstitch_core::report::{callback_word, event_json};

use super::step_name;
use crate::text::{Style, style_of};

/// A word, its style and the rest of the sentence for an event that is about no single step.
pub(super) fn mark(event: &Event, plan: Option<&Plan>) -> (String, Style, String) {
    let Event::Run(event) = event else { return (String::new(), Style::Plain, String::new()) };
    let (word, style, what) = match event {
        RunEvent::CancelRequested { reason, actor, compensate } => {
            let undo = if *compensate { "" } else { ", nothing is to be undone" };
            ("cancel requested", Style::Waiting, format!("by {actor}: {reason}{undo}"))
        }
        RunEvent::DeadlinePassed => ("deadline passed", Style::Bad, String::new()),
        RunEvent::RunFailing { failure, step, recourse } => {
            let step = step.map(|step| format!("step {}: ", step_name(step, plan)));
            let recourse = match recourse {
                Recourse::Compensate => "undo what was done",
                Recourse::Halt => "end as it stands",
                Recourse::Suspend => "wait for an operator",
            };
            let step = step.unwrap_or_default();
            ("failing", Style::Bad, format!("{step}{}; {recourse}", sentence(failure)))
        }
        RunEvent::RunSuspended { .. } => {
            ("suspended", Style::Waiting, "waits for an operator".to_owned())
        }
        RunEvent::UnwindingStarted => ("unwinding", Style::Undo, String::new()),
        RunEvent::LetterOpened { letter, subject, failure } => {
            let what =
                format!("#{letter}, {}: {}", subject_words(*subject, plan), sentence(failure));
            ("dead letter", Style::Bad, what)
        }
        RunEvent::LetterRetried { letter, actor, linked } => {
            let linked = linked.map(|run| format!(", as {run}")).unwrap_or_default();
            ("letter retried", Style::Waiting, format!("#{letter}, by {actor}{linked}"))
        }
        RunEvent::LetterDiscarded { letter, actor, reason } => {
            ("letter discarded", Style::Dim, format!("#{letter}, by {actor}: {reason}"))
        }
        RunEvent::CallbackScheduled { delivery, event, url } => {
            ("callback", Style::Plain, format!("#{delivery}, {} to {url}", callback_word(*event)))
        }
        RunEvent::CallbackDelivered { delivery, status, .. } => {
            ("delivered", Style::Good, format!("callback #{delivery}, answered {status}"))
        }
        RunEvent::CallbackAttemptFailed { delivery, attempt, failure, .. } => {
            let what = format!("callback #{delivery}, attempt {attempt}: {}", sentence(failure));
            ("not delivered", Style::Waiting, what)
        }
        RunEvent::CallbackFailed { delivery, failure } => {
            ("given up", Style::Bad, format!("callback #{delivery}: {}", sentence(failure)))
        }
        RunEvent::RunEnded { .. } => return ended(event, plan),
        _ => ("", Style::Plain, String::new()),
    };
    (word.to_owned(), style, what)
}

/// `CODE: message`.
pub(super) fn sentence(failure: &Failure) -> String {
    format!("{}: {}", failure.code, failure.message)
}

/// What a letter is about.
pub(super) fn subject_words(subject: LetterSubject, plan: Option<&Plan>) -> String {
    match subject {
        LetterSubject::Step(step) => format!("step {}", step_name(step, plan)),
        LetterSubject::Undo(step) => format!("undo of {}", step_name(step, plan)),
        LetterSubject::Callback(delivery) => format!("callback #{delivery}"),
    }
}

fn ended(event: &RunEvent, plan: Option<&Plan>) -> (String, Style, String) {
    let (_, data) = event_json(&Event::Run(event.clone()), plan);
    let word = data["status"].as_str().unwrap_or("ended").to_owned();
    let what = match data["compensation"].as_str() {
        Some("done") if word == "cancelled" => "everything was undone",
        Some("failed") => "something could not be undone",
        _ => "",
    };
    let style = style_of(&word);
    (word, style, what.to_owned())
}
