//! Trying out whether somebody can be called back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backstitch_core::command::{AttemptResult, is_callback_url};
use backstitch_core::definition::Receiver;
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{PartitionEvent, Target};
use backstitch_core::failure::Failure;
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_core::report::callback_sample;
use backstitch_executors::Task;
use serde_json::Value;

use super::Handle;
use crate::clock;
use crate::driver::{Post, received};
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::CALLBACK_TIMEOUT_MS;
use crate::secrets::SecretStore;

/// What came of an example that was sent.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its `webhook-id`.
    pub id: String,
    /// Whether it was signed.
    pub signed: bool,
    /// What was sent.
    pub body: Value,
    /// The status it was answered with, or why it was not received.
    pub outcome: Result<u16, Failure>,
    /// How long that took.
    pub took_ms: u64,
}

impl Handle {
    /// Sends one example, as a callback of a run is sent. Recorded is that it is, before it is.
    ///
    /// # Errors
    /// [`Error::InvalidSubmission`] for a URL that is not called back; [`Error::Draining`],
    /// [`Error::Stopped`].
    pub async fn try_callback(
        &self,
        namespace: Arc<str>,
        target: &Target,
        actor: &str,
    ) -> Result<Tried, Error> {
        if !is_callback_url(&target.url) {
            let message = "must be an http or https URL without user or password".to_owned();
            let problem = Problem { path: "url".to_owned(), code: codes::BAD_URL, message };
            return Err(Error::InvalidSubmission(vec![problem]));
        }
        let now = clock::now();
        let id = format!("test/callback/{}", clock::draw_digits(now));
        let (url, body) = callback_sample(target, id.clone(), now);
        let signer = &self.shared.limits.signer;
        let receiver = Receiver { url, form: target.form.clone() };
        let post = Post { receiver: &receiver, id: &id, body: &Payload::of(&body) };
        // Whoever tries a receiver out refers to no secrets.
        let request = post.request(signer, &SecretStore::default(), &namespace).await;
        let (input, _) = request.map_err(|why| Error::Fold(why.message))?;
        let task = Task {
            execution: None,
            step: target.event.word().into(),
            task_type: "http".into(),
            idempotency_key: id.clone(),
            attempt: 1,
            correlation_id: "".into(),
            trace: None,
            input,
            hosts: WrittenHosts::default(),
            timeout: Duration::from_millis(CALLBACK_TIMEOUT_MS),
        };
        tracing::info!(actor, id, "a callback is tried out");
        let executor = self.shared.registry.get("http");
        let receiver = executor.as_ref().and_then(|own| own.service(&task.input));
        let (receiver, event) = (receiver.unwrap_or_default(), target.event);
        let actor = actor.to_owned();
        let tried = PartitionEvent::CallbackTried { namespace, receiver, event, actor };
        self.record(WORKFLOWS_PARTITION, tried).await?;
        let begun = Instant::now();
        let timeout = task.timeout;
        let answered = match executor.map(|own| tokio::time::timeout(timeout, own.run(task))) {
            Some(answer) => answer.await.map_or(AttemptResult::TimedOut, AttemptResult::Answered),
            None => AttemptResult::Lost,
        };
        let outcome = received(answered, CALLBACK_TIMEOUT_MS);
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Tried { id, signed: signer.signs(), body, outcome, took_ms })
    }
}
