//! Performs effects: hands each order to its executor and reports how the attempt ended.
//!
//! Decides nothing and remembers only how to stop what is under way: what is in flight is the
//! partition's to know. A report always comes, also from an executor that panics, unless the
//! attempt was aborted.

mod callbacks;
mod faults;
mod flights;

use std::sync::Arc;
use std::time::Duration;

use backstitch_core::command::{AttemptResult, Command};
use backstitch_core::effect::Effect;
use backstitch_core::failure::{Failure, codes};
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_executors::{Registry, Task};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::breakers::Dependencies;
use crate::partition::Order;
use crate::secrets::SecretStore;
use crate::webhooks::Signer;
use crate::{clock, metrics, retry};

pub(crate) use callbacks::{Post, received};
pub use flights::{Flights, UnderWay};
use flights::{Flying, Key};

/// The executor panicked; a bug in it, not in the workflow.
pub const EXECUTOR_PANICKED: &str = "EXECUTOR_PANICKED";

/// Where reports go.
pub type Report = Box<dyn FnOnce(ExecutionId, Command) + Send>;

/// Attempts of steps and undos under way on this node at a time, unless told otherwise. More
/// wait their turn (see [`crate::turns`]): each may hold a connection, and connections must not
/// starve the journal of files.
pub const ATTEMPTS_MAX: usize = 256;

/// Callbacks under way at a time; they have a pool of their own, so that neither holds up the
/// other.
pub const CALLBACKS_MAX: usize = 64;

/// Performs effects on the runtime it is called on.
#[derive(Debug, Clone)]
pub struct Driver {
    means: Means,
    callbacks: Arc<Semaphore>,
    flights: Flights,
    /// Whether attempts meet the faults that their runs were submitted with.
    faults: bool,
}

/// What an attempt is made with.
#[derive(Debug, Clone)]
struct Means {
    registry: Arc<Registry>,
    signer: Signer,
    secrets: SecretStore,
}

impl Driver {
    /// A driver that uses these executors and secrets, has callbacks signed, and lets attempts
    /// meet faults or not.
    #[must_use]
    pub fn new(
        registry: Arc<Registry>,
        signer: Signer,
        secrets: SecretStore,
        faults: bool,
    ) -> Self {
        let callbacks = Arc::new(Semaphore::new(CALLBACKS_MAX));
        let means = Means { registry, signer, secrets };
        Self { means, callbacks, flights: Flights::default(), faults }
    }

    /// Who says which services tasks call.
    #[must_use]
    pub fn services(&self) -> Arc<dyn Dependencies> {
        self.means.registry.clone()
    }

    /// Begins an order and reports its end.
    pub fn perform(&self, order: Order, report: Report) {
        let (means, callbacks) = (self.means.clone(), self.callbacks.clone());
        let (flights, key) = (self.flights.clone(), (order.execution, order.effect));
        let (namespace, step) = (order.namespace.clone(), order.step.clone());
        let since = clock::now();
        let fault = order.fault.clone().filter(|_| self.faults);
        // What whoever is called logs of it has these.
        let said = tracing::debug_span!(
            "attempt",
            execution_id = %order.execution,
            correlation_id = &*order.correlation_id,
            step = &*order.step,
            attempt = order.effect.attempt(),
        );
        // Held while the attempt is noted, so that it can't end before it is.
        let mut noted = self.flights.lock();
        let flying = async move {
            let _flight = Flight { flights, key };
            // A step or an undo has its turn before it is recorded as started; a callback waits
            // here, where nothing says yet that it was sent. Nobody closes the semaphore.
            let is_callback = matches!(order.effect, Effect::DeliverCallback { .. });
            let _turn = match is_callback {
                true => callbacks.acquire_owned().await.ok(),
                false => None,
            };
            let mut pending = Pending { order: Some((order, report)) };
            let Some((order, _)) = &pending.order else { return };
            let result = match &fault {
                None => attempt(&means, order).await,
                Some(fault) => faults::spoilt(&means, order, fault).await,
            };
            pending.report(result);
        };
        let task = tokio::spawn(flying.instrument(said));
        noted.insert(key, Flying { abort: task.abort_handle(), namespace, step, since });
    }

    /// Stops an attempt that is no longer owed; nothing is reported of it. One that has ended
    /// is none.
    pub fn abort(&self, execution: ExecutionId, effect: Effect) {
        let flight = self.flights.lock().remove(&(execution, effect));
        if let Some(flight) = flight {
            flight.abort.abort();
        }
    }

    /// Whether no attempt is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.flights.lock().is_empty()
    }

    /// What is under way.
    #[must_use]
    pub fn flights(&self) -> Flights {
        self.flights.clone()
    }
}

/// An attempt's place among those under way; it goes with the attempt.
struct Flight {
    flights: Flights,
    key: Key,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

/// One attempt, within its timeout.
async fn attempt(means: &Means, order: &Order) -> AttemptResult {
    within(order.timeout_ms, call(means, order)).await
}

async fn within(
    timeout_ms: u64,
    answer: impl Future<Output = Result<Payload, Failure>>,
) -> AttemptResult {
    match tokio::time::timeout(Duration::from_millis(timeout_ms), answer).await {
        Ok(answer) => AttemptResult::Answered(answer),
        Err(_) => AttemptResult::TimedOut,
    }
}

/// Has the order's executor do it once.
async fn call(means: &Means, order: &Order) -> Result<Payload, Failure> {
    if let Some(absent) = order.input.absent() {
        // Nothing is sent in place of what is gone; what was sent before may have worked.
        return Err(absent.failure("the input"));
    }
    let task_type: Arc<str> = order.task_type.clone().unwrap_or_else(|| "http".into());
    let Some(executor) = means.registry.get(&task_type) else {
        let message = format!("no executor takes the task type `{task_type}`");
        return Err(Failure::permanent(codes::TASK_EXECUTOR_NOT_FOUND, message));
    };
    let (input, given) = match &order.receiver {
        Some(receiver) => {
            let post = Post::of(receiver, order);
            post.request(&means.signer, &means.secrets, &order.namespace).await?
        }
        None => {
            let takes = executor.takes_secrets();
            means.secrets.put_in(&order.namespace, &order.input, takes).await?
        }
    };
    let task = Task {
        execution: Some(order.execution),
        step: order.step.clone(),
        task_type,
        idempotency_key: order.idempotency_key.clone(),
        attempt: order.effect.attempt(),
        correlation_id: order.correlation_id.clone(),
        trace: Some(order.trace.clone()),
        input,
        hosts: order.hosts.clone(),
        timeout: Duration::from_millis(order.timeout_ms),
    };
    given.blot(executor.run(task).await)
}

/// An attempt under way. Dropped without a result, it reports that its executor panicked.
struct Pending {
    order: Option<(Order, Report)>,
}

impl Pending {
    fn report(&mut self, result: AttemptResult) {
        let Some((order, report)) = self.order.take() else { return };
        metrics::attempt_ended(&order, &result);
        let drawn = clock::draw_u32();
        let retry_delay_ms = retry::wait_after_ms(&order.retry, order.tries, drawn, &result);
        let command = match order.effect {
            Effect::RunStep { step, attempt } => {
                Command::ReportStep { step, attempt, result, retry_delay_ms }
            }
            Effect::UndoStep { step, attempt } => {
                Command::ReportUndo { step, attempt, result, retry_delay_ms }
            }
            // Partitions send messages themselves.
            Effect::Send { .. } => return,
            Effect::DeliverCallback { delivery, attempt } => {
                let result = received(result, order.timeout_ms);
                Command::ReportCallback { delivery, attempt, result, retry_delay_ms }
            }
        };
        report(order.execution, command);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "the executor panicked; see the server's log";
            let failure = Failure::permanent(EXECUTOR_PANICKED, message).of_unknown_effect();
            self.report(AttemptResult::Answered(Err(failure)));
        }
    }
}
