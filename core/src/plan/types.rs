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

    /// Whether steps may name a retry policy that their definition does not hold.
    fn has_retry_policy(&self, _name: &str) -> bool {
        false
    }

    /// Whether a task type is the name of an adapter: a call that the node knows how to make.
    fn has_adapter(&self, _name: &str) -> bool {
        false
    }
}
