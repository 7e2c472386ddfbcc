//! Names of runs in document 003: `<workflow>-<unix milliseconds>`.
//!
//! A run that was begun by such a path has its name as its idempotency key, from which its id
//! follows: a name is found without an index, also after a restart. Any other run's name is its id.

use backstitch_core::ids::{BadId, ExecutionId};
use serde_json::Value;

use super::caller::Caller;
use super::codes;
use super::refusal::Refusal;

/// A run's name, by its JSON.
pub(super) fn name_of(run: &Value) -> &Value {
    let (key, workflow) = (&run["idempotency_key"], run["workflow_id"].as_str());
    let named = key.as_str().and_then(workflow_of).is_some_and(|own| Some(own) == workflow);
    if named { key } else { &run["execution_id"] }
}

/// The run of a name or an id.
///
/// # Errors
/// 404 for what is neither.
pub(super) fn find(caller: &Caller, text: &str) -> Result<ExecutionId, Refusal> {
    match workflow_of(text) {
        Some(workflow) => Ok(caller.engine()?.run_of_key(caller.namespace(), workflow, text)),
        // What is no execution id is the id of no execution.
        None => {
            let unknown = |bad: BadId| Refusal::new(codes::EXECUTION_NOT_FOUND, bad.to_string());
            text.parse().map_err(unknown)
        }
    }
}

/// The workflow in a name.
fn workflow_of(name: &str) -> Option<&str> {
    let (workflow, ms) = name.rsplit_once('-')?;
    let is_number = !ms.is_empty() && ms.chars().all(|own| own.is_ascii_digit());
    (is_number && !workflow.is_empty()).then_some(workflow)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_the_key_that_has_its_form() {
        assert_eq!(workflow_of("threat-response-1728000000000"), Some("threat-response"));
        assert_eq!(workflow_of("exec_00010203"), None);
        assert_eq!(workflow_of("-5"), None);
        let run = |key: Value| json!({ "execution_id": "exec_1", "workflow_id": "scan", "idempotency_key": key });
        assert_eq!(name_of(&run(json!("scan-17"))), "scan-17");
        assert_eq!(name_of(&run(json!("other-17"))), "exec_1");
        assert_eq!(name_of(&run(Value::Null)), "exec_1");
    }
}
