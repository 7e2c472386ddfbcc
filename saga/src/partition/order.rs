//! What the driver is told to perform: an effect with everything needed for it.

use std::sync::Arc;

use backstitch_core::definition::Receiver;
use backstitch_core::effect::Effect;
use backstitch_core::event::FaultKind;
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_core::plan::{TaskKind, WrittenHosts};
use backstitch_core::retry_policy::RetryPolicy;
use backstitch_core::state::State;
use backstitch_core::trace::TraceContext;

use crate::retry::CALLBACK_POLICY;

/// An effect with everything needed to perform it, so that the performer asks nobody.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose.
    pub execution: ExecutionId,
    /// The run's tenant.
    pub namespace: Arc<str>,
    /// What, and which attempt.
    pub effect: Effect,
    /// The step's id; of a callback, the word of its event.
    pub step: Arc<str>,
    /// Which executor performs it; nothing for a callback.
    pub task_type: Option<Arc<str>>,
    /// The rendered input; of a callback, its body.
    pub input: Payload,
    /// Of a callback: where it goes, and in which form.
    pub receiver: Option<Receiver>,
    /// The services that the definition names itself.
    pub hosts: WrittenHosts,
    /// The same for every attempt of a round.
    pub idempotency_key: String,
    /// Carried along.
    pub correlation_id: Arc<str>,
    /// Where whoever is called stands in the run's trace.
    pub trace: TraceContext,
    /// How long the attempt may take.
    pub timeout_ms: u64,
    /// How the next attempt's wait is drawn, should this one fail.
    pub retry: RetryPolicy,
    /// Attempts of this round that count, this one included.
    pub tries: u16,
    /// What goes wrong with it on purpose.
    pub fault: Option<FaultKind>,
}

/// How long one attempt to deliver a callback may take.
pub const CALLBACK_TIMEOUT_MS: u64 = 10_000;

/// The order of an effect that a run owes; nothing of a message, which is sent.
pub(super) fn order(state: &State, effect: Effect) -> Option<Order> {
    let idempotency_key = state.idempotency_key(effect.subject());
    let (execution, namespace) = (state.id, state.submitted.namespace.clone());
    let correlation_id = state.submitted.correlation_id.clone();
    let trace = state.trace_below(effect);
    let (fault, hosts) = (state.fault_of(effect).cloned(), state.plan.hosts.clone());
    Some(match effect {
        Effect::RunStep { step, .. } => {
            let (plan, own) = (&state.plan.steps[step.at()], state.step(step));
            let TaskKind::Effect(task_type) = &plan.task else { return None };
            Order {
                execution,
                namespace,
                effect,
                step: plan.id.clone(),
                task_type: Some(task_type.clone()),
                input: own.input.clone().unwrap_or_else(Payload::null),
                receiver: None,
                hosts,
                idempotency_key,
                correlation_id,
                trace,
                timeout_ms: state.timeout_ms(step),
                retry: state.retries(step).policy,
                tries: own.tries.saturating_add(1),
                fault,
            }
        }
        Effect::UndoStep { step, .. } => {
            let plan = &state.plan.steps[step.at()];
            let own = state.step(step).undo.as_ref()?;
            Order {
                execution,
                namespace,
                effect,
                step: plan.id.clone(),
                task_type: state.undo_type(step).cloned(),
                input: own.input.clone().unwrap_or_else(Payload::null),
                receiver: None,
                hosts,
                idempotency_key,
                correlation_id,
                trace,
                timeout_ms: state.undo_timeout_ms(step),
                retry: state.undo_retries(step).policy,
                tries: own.tries.saturating_add(1),
                fault,
            }
        }
        Effect::Send { .. } => return None,
        Effect::DeliverCallback { delivery, .. } => {
            let own = state.deliveries.get(delivery as usize)?;
            // Where alerts go is as good as written: operators say so.
            let of_channel = own.alert.as_ref().map(|_| WrittenHosts::of(&own.url.as_str().into()));
            Order {
                execution,
                namespace,
                effect,
                step: own.event.word().into(),
                task_type: None,
                input: own.body.clone(),
                receiver: Some(Receiver { url: own.url.clone(), form: own.form.clone() }),
                hosts: of_channel.unwrap_or(hosts),
                idempotency_key,
                correlation_id,
                trace,
                timeout_ms: CALLBACK_TIMEOUT_MS,
                retry: CALLBACK_POLICY,
                tries: own.tries.saturating_add(1),
                fault,
            }
        }
    })
}
