//! What it means to run a step again in a fork.

use serde_json::Value;

use super::TaskKind;

/// What it means to run a step again under a new key, as a fork does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplaySafety {
    /// It changes nothing in the world.
    Safe,
    /// Its service makes one effect of calls under one key; a fork calls under a new one.
    Idempotent,
    /// Doing it twice does harm.
    Unsafe,
}

impl ReplaySafety {
    /// The words of `replay`.
    pub const WORDS: [(&'static str, Self); 3] =
        [("safe", Self::Safe), ("idempotent", Self::Idempotent), ("unsafe", Self::Unsafe)];

    /// What holds for a step that does not say: pure steps and HTTP calls that read are safe,
    /// all else is idempotent, for the key travels with every call.
    #[must_use]
    pub fn of(task: &TaskKind, with: Option<&Value>) -> Self {
        match task {
            TaskKind::Effect(name) if &**name == HTTP_TYPE => {
                let method = with.and_then(|with| with.get("method"));
                let method = method.map_or(Some("GET"), Value::as_str);
                let reads = |method: &str| {
                    READING_METHODS.iter().any(|own| own.eq_ignore_ascii_case(method))
                };
                if method.is_some_and(reads) { Self::Safe } else { Self::Idempotent }
            }
            TaskKind::Effect(_) | TaskKind::Workflow | TaskKind::Foreach => Self::Idempotent,
            _ => Self::Safe,
        }
    }
}

/// The task type of HTTP calls.
const HTTP_TYPE: &str = "http";

/// Methods that change nothing (RFC 9110, 9.2.1).
const READING_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
