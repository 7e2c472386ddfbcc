//! What a definition's tasks are checked by.

use serde_json::Value;

/// The task types that executors take.
pub trait TaskTypes {
    /// Their names.
    fn effectful(&self) -> &[&'static str];

    /// What is wrong with a step's `with`: paths below it and messages. Templates are passed
    /// as they are written.
    fn check(&self, task_type: &str, with: &Value) -> Vec<(String, String)>;

    /// Whether a task type keeps to itself what it is given, so that it may be given secrets.
    fn takes_secrets(&self, _task_type: &str) -> bool {
        false
    }
}
