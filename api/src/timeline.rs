//! A run as lines for a person: what began, ended, was tried again and was undone, and how
//! long it took.
//!
//! Reads the API's events and nothing else.

use std::collections::{HashMap, HashSet};

use backstitch_core::failure::codes::ATTEMPT_LOST;
use backstitch_core::time::Timestamp;
use backstitch_executors::codes::HTTP_STATUS;
use serde_json::Value;

use crate::terminal::{Tone, printable};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Time of day, in UTC.
    pub time: String,
    /// The step, or what else it is about.
    pub subject: String,
    /// What happened.
    pub words: String,
    /// How it is meant.
    pub tone: Tone,
}

/// An event that is of no run, by its type.
#[must_use]
pub fn named(event: &Value) -> Option<Line> {
    let at = Timestamp::parse(event["recorded_at"].as_str()?)?;
    let words = event["type"].as_str().map(printable)?;
    Some(Line { time: time_of_day(at), subject: String::new(), words, tone: Tone::Faint })
}

/// Reads the events of one run in order.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    version: u64,
    submitted_at: Option<Timestamp>,
    /// When the attempt of a step, or of its undo, began.
    began: HashMap<String, Timestamp>,
    /// Steps of which a failed attempt was told.
    told: HashSet<String>,
    /// Whether any step succeeded, so that there may be something to undo.
    has_done: bool,
    ended: Option<String>,
}

impl Timeline {
    /// The last version read.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The run's final word, once it has one.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// Whether an attempt of a step or an undo is under way.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        !self.began.is_empty()
    }

    /// Reads the next event; most are worth a line.
    pub fn read(&mut self, event: &Value) -> Option<Line> {
        let version = event["version"].as_u64().unwrap_or(0);
        if version <= self.version {
            return None;
        }
        self.version = version;
        let at = Timestamp::parse(event["recorded_at"].as_str()?)?;
        let kind = event["type"].as_str()?;
        let data = &event["data"];
        let (subject, words, tone) = match kind.strip_prefix("Undo") {
            Some(turn) => self.undo(turn, data, at)?,
            None if kind.starts_with("Check") => self.check(kind, data, at)?,
            None => match kind.strip_prefix("Step") {
                Some(turn) => self.step(turn, data, at)?,
                None => self.run(kind, data, at)?,
            },
        };
        let (subject, words) = (printable(&subject), printable(&words));
        Some(Line { time: time_of_day(at), subject, words, tone })
    }

    fn step(&mut self, turn: &str, data: &Value, at: Timestamp) -> Option<(String, String, Tone)> {
        let step = text(&data["step"]);
        let attempt = &data["attempt"];
        let (words, tone) = match turn {
            "Started" => {
                self.began.insert(step.clone(), at);
                (format!("attempt {attempt} begins"), Tone::Faint)
            }
            "Succeeded" => match self.done(&step, at) {
                Some(took) => (format!("attempt {attempt} done in {took}"), Tone::Good),
                None => ("done".to_owned(), Tone::Good),
            },
            "AttemptFailed" => (self.failed(&step, data, at), Tone::Odd),
            "TimedOut" => {
                self.began.remove(&step);
                (format!("attempt {attempt} timed out after {} ms", data["timeout_ms"]), Tone::Odd)
            }
            "AttemptLost" => {
                self.began.remove(&step);
                (lost(attempt), Tone::Odd)
            }
            "CacheHit" => {
                let (run, step) = (&data["source_execution_id"], &data["source_step"]);
                (format!("answered from the cache, by {} of {}", text(step), text(run)), Tone::Good)
            }
            "Waiting" => (format!("waits {}", until(data, at)), Tone::Faint),
            "RetryScheduled" => (format!("is tried again in {}", until(data, at)), Tone::Faint),
            "Failed" => (self.given_up(&step, data), Tone::Bad),
            "AwaitsSignal" => {
                (format!("waits for the signal `{}`", text(&data["signal"])), Tone::Faint)
            }
            "Signalled" => ("took its signal".to_owned(), Tone::Good),
            "LimitPassed" => {
                self.began.remove(&step);
                (format!("took longer than {} ms in all", data["limit_ms"]), Tone::Odd)
            }
            "Overridden" => {
                self.began.remove(&step);
                (format!("set by hand: {} {}", text(&data["status"]), who(data)), Tone::Odd)
            }
            "Skipped" => ("skipped: its condition is false".to_owned(), Tone::Faint),
            "Cancelled" => ("cancelled".to_owned(), Tone::Odd),
            _ => return None,
        };
        Some((step, words, tone))
    }

    fn undo(&mut self, turn: &str, data: &Value, at: Timestamp) -> Option<(String, String, Tone)> {
        let step = format!("undo {}", text(&data["step"]));
        let attempt = &data["attempt"];
        let (words, tone) = match turn {
            "Started" => {
                self.began.insert(step.clone(), at);
                (format!("attempt {attempt} begins"), Tone::Faint)
            }
            "Succeeded" => {
                let took = self.took(&step, at).unwrap_or_default();
                (format!("undone in {took}"), Tone::Odd)
            }
            "AttemptFailed" => (self.failed(&step, data, at), Tone::Odd),
            "RetryScheduled" => (format!("is tried again in {}", until(data, at)), Tone::Faint),
            "Failed" => (format!("given up: {}", reason(data)), Tone::Bad),
            _ => return None,
        };
        Some((step, words, tone))
    }

    /// What becomes of asking whether there is anything to undo; its attempts are the undo's.
    fn check(&mut self, kind: &str, data: &Value, at: Timestamp) -> Option<(String, String, Tone)> {
        let step = format!("undo {}", text(&data["step"]));
        let (words, tone) = match kind {
            "CheckReady" => {
                ("nobody knows whether the step took effect: its service is asked", Tone::Faint)
            }
            "CheckAnswered" => {
                self.took(&step, at);
                return None;
            }
            "CheckConcluded" if data["took_effect"] == true => {
                ("its service says that it took effect", Tone::Odd)
            }
            _ => ("its service says that it did not: there is nothing to undo", Tone::Odd),
        };
        Some((step, words.to_owned(), tone))
    }

    fn run(&mut self, kind: &str, data: &Value, at: Timestamp) -> Option<(String, String, Tone)> {
        let (words, tone) = match kind {
            "ExecutionSubmitted" => {
                self.submitted_at = Some(at);
                ("accepted: it is in the journal".to_owned(), Tone::Faint)
            }
            "CancelRequested" => {
                (format!("cancel asked for: {}", text(&data["reason"])), Tone::Odd)
            }
            "CancelForced" => (format!("cancel forced {}", who(data)), Tone::Odd),
            "ExecutionPaused" => (format!("paused {}", who(data)), Tone::Odd),
            "ExecutionResumed" => (format!("resumed {}", who(data)), Tone::Faint),
            "RollbackRequested" => {
                let to = data["to"].as_str().map(|step| format!(" to `{step}`"));
                (format!("rollback{} asked for {}", to.unwrap_or_default(), who(data)), Tone::Odd)
            }
            "PartialUnwindingStarted" => (
                "what may have been done in vain, or is done anew, is undone".to_owned(),
                Tone::Odd,
            ),
            "PartialUnwindingEnded" => ("that is undone, and done anew".to_owned(), Tone::Odd),
            "SignalReceived" => {
                let (name, actor) = (text(&data["name"]), text(&data["actor"]));
                (format!("signal `{name}` by {actor}"), Tone::Faint)
            }
            "DeadlinePassed" => ("its time is over".to_owned(), Tone::Bad),
            "ExecutionFailing" => {
                let recourse = match data["recourse"].as_str() {
                    // Then at most the step that fails is undone, which its own lines tell.
                    Some("compensate") if !self.has_done => "",
                    Some("compensate") => ": what was done is undone, last first",
                    Some("suspend") => ": waits for an operator",
                    _ => ": nothing is undone",
                };
                (format!("fails{recourse}"), Tone::Bad)
            }
            "ExecutionEnded" => {
                let status = text(&data["status"]);
                let whole = self.submitted_at.map_or_else(String::new, |began| {
                    format!(" after {}", duration(at.ms_since(began)))
                });
                let tone = if status == "completed" { Tone::Good } else { Tone::Bad };
                let words = format!("{}{whole}", status.to_uppercase());
                self.ended = Some(status);
                (words, tone)
            }
            "DeadLetterOpened" => {
                let kind = text(&data["kind"]);
                // A step's letter comes with the run's failure, which is told next.
                let tone = if kind == "step" { Tone::Faint } else { Tone::Bad };
                (format!("dead letter for its {kind} `{}`", text(&data["subject"])), tone)
            }
            _ => return None,
        };
        Some(("run".to_owned(), words, tone))
    }

    fn failed(&mut self, step: &str, data: &Value, at: Timestamp) -> String {
        let attempt = &data["attempt"];
        self.told.insert(step.to_owned());
        if data["error"]["error_code"] == ATTEMPT_LOST {
            self.began.remove(step);
            return lost(attempt);
        }
        match self.took(step, at) {
            Some(took) => format!("attempt {attempt} failed in {took}: {}", reason(data)),
            None => format!("attempt {attempt} failed: {}", reason(data)),
        }
    }

    /// The code, and the message unless an attempt has told it.
    fn given_up(&mut self, step: &str, data: &Value) -> String {
        let code = text(&data["error"]["error_code"]);
        match self.told.remove(step) {
            true => format!("given up: {code}"),
            false => format!("given up: {code}: {}", reason(data)),
        }
    }

    fn done(&mut self, step: &str, at: Timestamp) -> Option<String> {
        self.has_done = true;
        self.took(step, at)
    }

    fn took(&mut self, step: &str, at: Timestamp) -> Option<String> {
        self.began.remove(step).map(|began| duration(at.ms_since(began)))
    }
}

/// `HH:MM:SS.mmm` of an instant in UTC.
fn time_of_day(at: Timestamp) -> String {
    at.to_string().get(11..23).unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The failure's message. That of an HTTP answer begins with the request, which the step's
/// definition tells as well.
fn reason(data: &Value) -> String {
    let message = text(&data["error"]["message"]);
    match message.split_once(" answered ") {
        Some((_, answer)) if data["error"]["error_code"] == HTTP_STATUS => {
            format!("answered {answer}")
        }
        _ => message,
    }
}

/// Who did it, and why if they said so.
fn who(data: &Value) -> String {
    match (text(&data["actor"]), data["reason"].as_str().unwrap_or_default()) {
        (actor, "") => format!("by {actor}"),
        (actor, reason) => format!("by {actor}: {reason}"),
    }
}

fn lost(attempt: &Value) -> String {
    format!("attempt {attempt} was lost with the process that made it")
}

fn until(data: &Value, at: Timestamp) -> String {
    let due = data["due_at"].as_str().and_then(Timestamp::parse);
    due.map_or_else(String::new, |due| duration(due.ms_since(at)))
}

fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(events: &[(&str, Value)]) -> Vec<String> {
        let mut timeline = Timeline::default();
        let lines = events.iter().zip(1..).filter_map(|((kind, data), version)| {
            let at = "2026-01-02T03:04:05.000000Z";
            timeline.read(&json!({
                "version": version, "recorded_at": at, "type": kind, "data": data,
            }))
        });
        lines.map(|line| line.words).collect()
    }

    #[test]
    fn what_people_and_signals_did_is_told() {
        let by = json!({ "step": "a", "status": "skipped", "actor": "ada", "reason": "done" });
        let told = words(&[
            ("StepAwaitsSignal", json!({ "step": "a", "signal": "go" })),
            ("SignalReceived", json!({ "name": "go", "actor": "ada" })),
            ("StepSignalled", json!({ "step": "a", "signal": 0 })),
            ("StepOverridden", by.clone()),
            ("ExecutionPaused", by.clone()),
            ("ExecutionResumed", json!({ "actor": "ada", "reason": "" })),
        ]);
        assert_eq!(
            told,
            [
                "waits for the signal `go`",
                "signal `go` by ada",
                "took its signal",
                "set by hand: skipped by ada: done",
                "paused by ada: done",
                "resumed by ada",
            ]
        );
    }

    #[test]
    fn what_a_service_says_of_an_unknown_outcome_is_told() {
        let step = json!({ "step": "a", "attempt": 1 });
        let no = json!({ "step": "a", "took_effect": false });
        let told = words(&[
            ("CheckReady", step.clone()),
            ("UndoStarted", step.clone()),
            ("CheckAnswered", step),
            ("CheckConcluded", no),
        ]);
        assert_eq!(
            told,
            [
                "nobody knows whether the step took effect: its service is asked",
                "attempt 1 begins",
                "its service says that it did not: there is nothing to undo",
            ]
        );
    }

    #[test]
    fn the_reason_of_a_failure_is_told_once() {
        let error = json!({ "error_code": "EXPRESSION_FAILED", "message": "`x` is missing" });
        let failed = json!({ "step": "a", "attempt": 1, "error": error });
        let unasked = words(&[("StepFailed", failed.clone())]);
        assert_eq!(unasked, ["given up: EXPRESSION_FAILED: `x` is missing"]);
        let tried = words(&[("StepAttemptFailed", failed.clone()), ("StepFailed", failed)]);
        assert_eq!(tried[1], "given up: EXPRESSION_FAILED");
    }
}
