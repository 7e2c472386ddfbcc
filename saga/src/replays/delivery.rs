//! One delivery of a replay: a `POST` of an event, marked as replayed, tried again with
//! waits in between until the receiver takes it or the attempts are used up.

use std::sync::Arc;
use std::time::Duration;

use backstitch_core::history::Place;
use backstitch_core::ids::{ReplayId, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_core::replays::ReplayState;
use backstitch_executors::{Registry, Task};
use backstitch_journal::ChainEvent;
use serde_json::{Value, json};

use crate::partition::CALLBACK_TIMEOUT_MS;
use crate::{clock, metrics, retry};

/// Who is delivered to, and how.
pub(super) struct Receiver {
    id: ReplayId,
    url: String,
    requested_at: String,
    attempts_max: u16,
    registry: Arc<Registry>,
}

impl Receiver {
    pub(super) fn new(
        id: ReplayId,
        state: &ReplayState,
        attempts_max: u16,
        registry: Arc<Registry>,
    ) -> Self {
        Self {
            id,
            url: state.request.url.clone(),
            requested_at: state.requested_at.to_string(),
            attempts_max: attempts_max.max(1),
            registry,
        }
    }

    /// Delivers one event.
    ///
    /// # Errors
    /// Why it was not taken, once the attempts are used up.
    pub(super) async fn deliver(&self, event: &ChainEvent, body: Value) -> Result<(), String> {
        let event_id = Place {
            generation: event.generation,
            partition: event.partition.0,
            position: event.record.position,
            stream: &event.record.stream,
            version: event.record.version,
            recorded_at: event.record.recorded_at,
        }
        .event_id();
        let request = self.request(&event_id, body);
        let mut attempt = 1;
        loop {
            let task = self.task(event, &event_id, attempt, request.clone());
            let Err(why) = self.attempt(task).await else {
                metrics::replay_delivered(true);
                return Ok(());
            };
            metrics::replay_delivered(false);
            if attempt >= self.attempts_max {
                return Err(format!(
                    "event {event_id} was not taken in {attempt} attempt(s): {why}"
                ));
            }
            let wait_ms = retry::wait_ms(&retry::REPLAY_POLICY, attempt, clock::draw_u32());
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            attempt += 1;
        }
    }

    /// The event with its mark, as the `http` executor is asked to send it.
    fn request(&self, event_id: &str, mut body: Value) -> Payload {
        let id = self.id.to_string();
        body["event_id"] = event_id.into();
        body["replay"] = json!({ "replay_id": id, "requested_at": self.requested_at });
        let headers = json!({ "content-type": "application/json", "backstitch-replay": id });
        Payload::of(&json!({
            "method": "POST", "url": self.url, "headers": headers, "body": body,
        }))
    }

    fn task(&self, event: &ChainEvent, event_id: &str, attempt: u16, input: Payload) -> Task {
        let execution = match event.record.stream {
            StreamId::Execution(run) => Some(run),
            _ => None,
        };
        Task {
            execution,
            step: "replay".into(),
            task_type: "http".into(),
            idempotency_key: event_id.to_owned(),
            attempt,
            correlation_id: "".into(),
            trace: None,
            input,
            hosts: WrittenHosts::default(),
            timeout: Duration::from_millis(CALLBACK_TIMEOUT_MS),
        }
    }

    async fn attempt(&self, task: Task) -> Result<(), String> {
        let executor = self.registry.get("http").ok_or("there is no `http` executor")?;
        let timeout = task.timeout;
        match tokio::time::timeout(timeout, executor.run(task)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) => Err(format!("{}: {}", failure.code, failure.message)),
            Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
        }
    }
}
