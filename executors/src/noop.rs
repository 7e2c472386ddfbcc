//! `noop`: touches nothing, but counts as an effect: it is journaled, retried and undone like
//! any other. For tests, benches and drafts of a workflow.

use std::future::ready;

use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use serde_json::Value;

use crate::codes::{NOOP_FAILED, TASK_INPUT_INVALID};
use crate::fields::{Fields, Stage, sentence};
use crate::task::{Answer, Attempt, Executor, InputProblem, Task};

const FIELDS: [&str; 2] = ["output", "fail"];
const FAIL_FIELDS: [&str; 5] = ["code", "message", "permanent", "effect_unknown", "attempts"];

/// The longest code of a failure, in bytes.
const CODE_BYTES_MAX: usize = 64;
/// The longest message of a failure, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Answers `{}`, or `with.output`, or the failure in `with.fail`.
pub(crate) struct NoopExecutor;

impl Executor for NoopExecutor {
    fn run(&self, task: Task) -> Attempt {
        Box::pin(ready(answer(&task)))
    }

    fn check(&self, with: &Value) -> Vec<InputProblem> {
        match read(with, Stage::Written) {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        }
    }
}

fn answer(task: &Task) -> Answer {
    let with = task.input.value();
    let told = read(&with, Stage::Rendered)
        .map_err(|problems| Failure::permanent(TASK_INPUT_INVALID, sentence(&problems)))?;
    match told.fail {
        Some(fail) if u64::from(task.attempt) <= fail.attempts => Err(fail.failure),
        _ => Ok(told
            .output
            .map_or_else(|| Payload::of(&Value::Object(Default::default())), Payload::of)),
    }
}

/// What the `with` asks for.
struct Told<'a> {
    output: Option<&'a Value>,
    fail: Option<Fail>,
}

/// A failure to give, for the first so many attempts.
struct Fail {
    failure: Failure,
    attempts: u64,
}

fn read(with: &Value, stage: Stage) -> Result<Told<'_>, Vec<InputProblem>> {
    let mut fields = Fields::of(with, "", stage, &FIELDS);
    let output = fields.get("output");
    let mut fail = None;
    fields.map("fail");
    let given = fields.get("fail").filter(|value| value.is_object());
    let mut problems = fields.into_problems();
    if let Some(value) = given {
        let mut inner = Fields::of(value, "fail", stage, &FAIL_FIELDS);
        let code = inner.short_text("code", CODE_BYTES_MAX).unwrap_or(NOOP_FAILED);
        let message = inner.short_text("message", MESSAGE_BYTES_MAX).unwrap_or("told to fail");
        let failure = match inner.flag("permanent") {
            Some(true) => Failure::permanent(code, message),
            _ => Failure::retryable(code, message),
        };
        let failure = match inner.flag("effect_unknown") {
            Some(true) => failure.of_unknown_effect(),
            _ => failure,
        };
        let attempts = inner.number("attempts", 1, u64::from(u16::MAX)).unwrap_or(u64::MAX);
        problems.extend(inner.into_problems());
        fail = Some(Fail { failure, attempts });
    }
    if problems.is_empty() { Ok(Told { output, fail }) } else { Err(problems) }
}
