//! A run as documents show it: its tasks with their results, how far it is, and what it comes to.
//!
//! Reads the run's own JSON and nothing else, so that both say the same.

use backstitch_core::summary::RunStatus;
use backstitch_core::time::Timestamp;
use serde_json::{Map, Number, Value, json};

use super::runs::is_cancelled;
use super::words::{self, Word};

/// A run, by its JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'v>(pub(super) &'v Value);

impl<'v> Run<'v> {
    /// One of the five words.
    pub(super) fn word(self) -> &'static str {
        let status = self.0["status"].as_str().and_then(RunStatus::of_word);
        status.map_or("", |status| Word::of(status, is_cancelled(self.0)).word())
    }

    pub(super) fn has_ended(self) -> bool {
        self.0["completed_at"].is_string()
    }

    /// From submission to end, in milliseconds.
    pub(super) fn duration_ms(self) -> Option<u64> {
        between_ms(&self.0["submitted_at"], &self.0["completed_at"])
    }

    fn steps(self) -> impl Iterator<Item = (&'v String, &'v Value)> {
        self.0["steps"].as_object().into_iter().flatten()
    }

    fn tasks_with(self, word: &str) -> usize {
        self.steps().filter(|(_, step)| task_word(step) == word).count()
    }

    /// Tasks that are done with, by id.
    pub(super) fn results(self) -> Map<String, Value> {
        let done = self.steps().filter(|(_, step)| is_settled(step));
        done.map(|(id, step)| (id.clone(), result(step))).collect()
    }

    /// How far it is: of the tasks that are done with, whatever became of them.
    pub(super) fn progress(self) -> Value {
        let total = self.steps().count();
        let settled = self.steps().filter(|(_, step)| is_settled(step)).count();
        let percent = match (self.has_ended(), total) {
            (true, _) | (_, 0) => 100,
            (false, total) => settled * 100 / total,
        };
        let under_way = self.steps().filter(|(_, step)| step["status"] == "running");
        let current = under_way.min_by_key(|(_, step)| step["started_at"].as_str());
        json!({
            "completed_tasks": self.tasks_with("completed"),
            "total_tasks": total,
            "current_task": current.map(|(id, _)| id),
            "percent_complete": percent,
        })
    }

    /// What it came to, with what its definition's `outputs` say of it.
    pub(super) fn summary(self) -> Map<String, Value> {
        let mut summary = self.0["output"].as_object().cloned().unwrap_or_default();
        let retries: u64 = self.steps().map(|(_, step)| retries(step)).sum();
        let counts = json!({
            "success": self.word() == "completed",
            "total_tasks": self.steps().count(),
            "completed_tasks": self.tasks_with("completed"),
            "failed_tasks": self.tasks_with("failed"),
            "total_retries": retries,
        });
        summary.extend(counts.as_object().cloned().unwrap_or_default());
        summary
    }

    /// How long each task took that was done.
    pub(super) fn task_durations_ms(self) -> impl Iterator<Item = u64> {
        let done = self.steps().filter(|(_, step)| task_word(step) == "completed");
        done.filter_map(|(_, step)| between_ms(&step["started_at"], &step["completed_at"]))
    }

    /// Who began it: whoever it was recorded for, else whom nobody proved it to be.
    pub(super) fn triggered_by(self) -> &'v Value {
        let (actor, said) = (&self.0["submitted_by"], &self.0["input"]["initiated_by"]);
        if actor == crate::http::gate::ANONYMOUS && said.is_string() { said } else { actor }
    }

    /// When it will have ended, if it usually takes so long.
    pub(super) fn estimated_completion(self, usual_ms: Option<u64>) -> Option<String> {
        let at = instant(&self.0["submitted_at"])?;
        usual_ms.filter(|_| !self.has_ended()).map(|ms| at.plus_ms(ms).to_string())
    }
}

fn task_word(step: &Value) -> &'static str {
    words::of_task(step["status"].as_str().unwrap_or_default(), !step["error"].is_null())
}

fn is_settled(step: &Value) -> bool {
    !matches!(task_word(step), "pending" | "running")
}

/// Attempts after the first.
fn retries(step: &Value) -> u64 {
    step["attempts"].as_u64().unwrap_or(0).saturating_sub(1)
}

fn result(step: &Value) -> Value {
    let took = between_ms(&step["started_at"], &step["completed_at"]);
    json!({
        "status": task_word(step),
        "engine_status": step["status"],
        "started_at": step["started_at"],
        "completed_at": step["completed_at"],
        "duration_seconds": took.map(seconds),
        "retry_count": retries(step),
        "result": step["output"],
        "error": step["error"],
    })
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(Timestamp::parse)
}

fn between_ms(from: &Value, to: &Value) -> Option<u64> {
    Some(instant(to)?.ms_since(instant(from)?))
}

/// Milliseconds in seconds: whole ones as a whole number.
pub(super) fn seconds(ms: u64) -> Value {
    in_units(ms, 1_000)
}

/// Milliseconds in minutes.
pub(super) fn minutes(ms: u64) -> Value {
    in_units(ms, 60_000)
}

#[expect(clippy::cast_precision_loss, reason = "durations have far fewer than 52 bits")]
fn in_units(ms: u64, unit_ms: u64) -> Value {
    if ms.is_multiple_of(unit_ms) {
        return (ms / unit_ms).into();
    }
    let rounded = (ms as f64 / unit_ms as f64 * 1_000.0).round() / 1_000.0;
    Number::from_f64(rounded).map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(status: &str, attempts: u64, error: bool) -> Value {
        let error = if error { json!({ "error_code": "X" }) } else { Value::Null };
        json!({
            "status": status, "attempts": attempts, "error": error, "output": { "n": 1 },
            "started_at": "2026-01-01T00:00:00Z", "completed_at": "2026-01-01T00:00:01.500Z",
        })
    }

    fn run(steps: Value, completed_at: Value) -> Value {
        json!({
            "status": "running", "cancel": null, "submitted_at": "2026-01-01T00:00:00Z",
            "completed_at": completed_at, "steps": steps, "submitted_by": "anonymous",
            "input": { "initiated_by": "ada" }, "output": { "score": 7, "success": "own" },
        })
    }

    #[test]
    fn a_run_on_its_way_shows_what_is_done() {
        let steps = json!({
            "a": step("succeeded", 2, false), "b": step("running", 1, false),
            "c": step("pending", 0, false),
        });
        let run = run(steps, Value::Null);
        let own = Run(&run);
        let progress = own.progress();
        assert_eq!(
            (&progress["completed_tasks"], &progress["percent_complete"]),
            (&json!(1), &json!(33))
        );
        assert_eq!(progress["current_task"], "b");
        let results = own.results();
        assert_eq!(results.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(results["a"]["duration_seconds"], 1.5);
        assert_eq!(
            (&results["a"]["status"], &results["a"]["retry_count"]),
            (&json!("completed"), &json!(1))
        );
        assert_eq!(own.triggered_by(), "ada");
        let estimated = own.estimated_completion(Some(60_000));
        assert_eq!(estimated.as_deref(), Some("2026-01-01T00:01:00.000000Z"));
        assert_eq!(own.estimated_completion(None), None);
    }

    #[test]
    fn what_was_undone_had_succeeded_or_failed() {
        let steps = json!({
            "a": step("undone", 1, false), "b": step("undone", 3, true),
            "c": step("pruned", 0, false),
        });
        let run = run(steps, json!("2026-01-01T00:00:03Z"));
        let summary = Run(&run).summary();
        assert_eq!((&summary["completed_tasks"], &summary["failed_tasks"]), (&json!(1), &json!(1)));
        assert_eq!((&summary["total_retries"], &summary["score"]), (&json!(2), &json!(7)));
        assert_eq!(summary["success"], false, "counts are not overwritten");
        assert_eq!(Run(&run).progress()["percent_complete"], 100);
        assert_eq!(Run(&run).duration_ms(), Some(3_000));
    }

    #[test]
    fn durations_keep_their_unit() {
        assert_eq!((seconds(3_000), seconds(1_234)), (json!(3), json!(1.234)));
        assert_eq!((minutes(60_000), minutes(90_000)), (json!(1), json!(1.5)));
    }
}
