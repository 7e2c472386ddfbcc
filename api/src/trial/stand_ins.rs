//! Stand-ins: the executors of a server under test. Each asks the desk of the test what its
//! service would have said.
//!
//! Definitions are checked as ever, by the executor that is stood in for. No service is named, so
//! that no circuit opens over calls that nobody made.

use std::sync::Arc;

use backstitch_core::failure::{Failure, codes};
use backstitch_core::payload::Payload;
use backstitch_executors::{Answer, Attempt, Executor, HttpConfig, InputProblem, Registry, Task};
use reqwest::Client as Http;
use serde_json::Value;

use super::desk::{CALLS_PATH, Call};
use crate::error::Error;

/// Internal: a variable that names the desk; heeded only where faults are taken.
pub(crate) const STAND_INS: &str = "BACKSTITCH_STAND_INS";

/// A stand-in for every executor there is.
///
/// # Errors
/// [`Error::Executors`], [`Error::Unreachable`] when the machine's sockets can't be set up.
pub(crate) fn registry(url: &str) -> Result<Registry, Error> {
    let mut registry = Registry::builtin(HttpConfig::default())?;
    let built = Http::builder().no_proxy().build();
    let http = built.map_err(|source| Error::Unreachable { url: url.to_owned(), source })?;
    for task_type in registry.task_types().to_vec() {
        let Some(own) = registry.get(task_type) else { continue };
        let url = format!("{url}{CALLS_PATH}");
        registry.add(task_type, Arc::new(StandIn { url, http: http.clone(), own }));
    }
    Ok(registry)
}

struct StandIn {
    url: String,
    http: Http,
    own: Arc<dyn Executor>,
}

impl Executor for StandIn {
    fn run(&self, task: Task) -> Attempt {
        let call = Call {
            step: task.step.to_string(),
            key: task.idempotency_key,
            attempt: task.attempt,
            input: task.input.value(),
        };
        let request = self.http.post(&self.url).json(&call);
        Box::pin(async move {
            let asked = async { request.send().await?.error_for_status()?.json::<Value>().await };
            let said = asked.await.map_err(|error| {
                let message = format!("the desk of mocks did not answer: {error}");
                Failure::retryable(codes::MOCKED, message).of_unknown_effect()
            })?;
            heard(&said)
        })
    }

    fn check(&self, with: &Value) -> Vec<InputProblem> {
        self.own.check(with)
    }
}

/// What the desk said.
fn heard(said: &Value) -> Answer {
    if let Some(output) = said.get("output") {
        return Ok(Payload::of(output));
    }
    let failure = &said["failure"];
    let text = |name: &str, or: &str| failure[name].as_str().unwrap_or(or).to_owned();
    let (code, message) = (text("error_code", codes::MOCKED), text("message", "the mock fails"));
    let own = match failure["retryable"].as_bool() {
        Some(false) => Failure::permanent(&code, message),
        Some(true) | None => Failure::retryable(&code, message),
    };
    let own = match failure["effect"].as_str() {
        Some("none") => own,
        _ => own.of_unknown_effect(),
    };
    Err(match &failure["details"] {
        Value::Null => own,
        details => own.with_details(Payload::of(details)),
    })
}

#[cfg(test)]
mod tests {
    use backstitch_core::report::failure_json;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_heard_as_it_was_said() {
        let details = Payload::of(&json!({ "status": 503 }));
        for failure in [
            Failure::retryable("BUSY", "come back").with_details(details),
            Failure::permanent("NO", "never").of_unknown_effect(),
        ] {
            let said = json!({ "failure": failure_json(&failure) });
            assert_eq!(heard(&said), Err(failure));
        }
        assert_eq!(heard(&json!({ "output": [1] })), Ok(Payload::of(&json!([1]))));
    }
}
