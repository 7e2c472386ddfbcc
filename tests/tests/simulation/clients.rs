//! Clients that submit, repeat, cancel, look and retry, and the operator at the end of the day.

use std::sync::Arc;

use backstitch_core::arrows::UndoStatus;
use backstitch_core::command::{Command, Submission};
use backstitch_core::event::{LetterSubject, Origin, Priority, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId};
use backstitch_core::letters::InputEdit;
use backstitch_core::payload::Payload;
use backstitch_core::plan::{Plan, priority_of};
use backstitch_core::retention::Candidate;
use backstitch_core::rollout::Applicant;
use backstitch_core::state::{Letter, State};
use backstitch_core::summary::{LetterStatus, RunStatus};
use backstitch_core::time::Timestamp;
use backstitch_core::trace::{SpanId, TraceContext, TraceId};
use backstitch_saga::catalog::Chosen;
use backstitch_saga::partition::{Input, Removal};
use serde_json::json;

use super::faults::own_faults;
use super::posts::POST_LIFE_MS;
use super::world::{Asked, PARTITIONS, World};

/// Runs that one round of retention looks at.
const LOOKED_AT_MAX: usize = 6;

/// The tags that a run is submitted with: a repeat has the same.
pub fn own_tags(execution: ExecutionId) -> Vec<Arc<str>> {
    if execution.digits.is_multiple_of(3) { vec!["own".into(), "shared".into()] } else { vec![] }
}

/// The priority that a run is submitted with: some say it themselves.
fn submission_priority(
    execution: ExecutionId,
    plan: &Arc<Plan>,
    submitted: &Submitted,
) -> Priority {
    match execution.digits % 7 {
        0 => Priority::High,
        1 => Priority::Low,
        _ => priority_of(plan, execution, submitted, Timestamp(0)).expect("it comes to a word"),
    }
}

impl World {
    pub fn client(&mut self) {
        let actor = || "client".to_owned();
        if self.random.chance(50) && self.interrupt() {
            return;
        }
        if self.known.is_empty() || self.random.chance(35) {
            return self.submit();
        }
        if !self.wants_new_run.is_empty() && self.random.chance(30) {
            return self.start_over();
        }
        let run = self.some_run();
        match self.random.below(17) {
            16 if self.random.chance(40) => self.roll_out(),
            16 if self.random.chance(40) => self.redrive(),
            16 => self.migrate(run),
            10..=13 => self.control(run),
            14..=15 => self.fork(run),
            0 => {
                let compensate = *self.random.pick(&[None, Some(true), Some(false)]);
                let (reason, actor) = ("enough".to_owned(), actor());
                let force = self.random.chance(40);
                let command = Command::Cancel { reason, actor, compensate, force };
                self.ask(run, Asked::Other, |t| Input::Command(run, command, Some(t)));
            }
            1..=3 => {
                let letter = u32::try_from(self.random.below(3)).expect("small");
                let command = Command::RetryLetter { letter, actor: actor(), linked: None };
                self.ask(run, Asked::Retry(run, letter), |t| Input::Command(run, command, Some(t)));
            }
            4 if self.random.chance(50) => {
                let letter = u32::try_from(self.random.below(3)).expect("small");
                let (reason, text) = ("it is looked at".to_owned(), "seen".to_owned());
                let command = match self.random.below(5) {
                    4 => Command::SendAgain { delivery: letter, actor: actor() },
                    0 => {
                        let assignee = self.random.chance(70).then(|| "ann".to_owned());
                        Command::AssignLetter { letter, assignee, reason, actor: actor() }
                    }
                    1 => Command::NoteLetter { letter, text, actor: actor() },
                    _ => {
                        let edit = InputEdit::Replace(json!({ "n": self.random.below(10) }));
                        Command::RetryLetterWith { letter, edit, reason, actor: actor() }
                    }
                };
                self.ask(run, Asked::Other, |t| Input::Command(run, command, Some(t)));
            }
            4 => {
                let letter = u32::try_from(self.random.below(3)).expect("small");
                let reason = "given up".to_owned();
                let command = Command::DiscardLetter { letter, actor: actor(), reason };
                self.ask(run, Asked::Other, |t| Input::Command(run, command, Some(t)));
            }
            5..=7 => self.ask(run, Asked::Show(run), |t| Input::Show(run, t)),
            8 if self.random.chance(50) => self.remove_some(run.partition),
            8 => self.ask(run, Asked::Show(run), |t| Input::WaitForEnd(run, t)),
            _ => self.repeat(),
        }
    }

    /// A run that a client began, or any, children too.
    fn some_run(&mut self) -> ExecutionId {
        let all: Vec<_> = self.disk.lock().expect("no panic").runs.keys().copied().collect();
        match self.random.chance(20) && !all.is_empty() {
            true => *self.random.pick(&all),
            false => self.random.pick(&self.known).0,
        }
    }

    /// Children are kept longer than a message can be under way, and until nothing above them
    /// can be undone any more.
    fn child_may_go(&self, state: &State) -> bool {
        let mut above = state.parent().map(|parent| parent.run);
        while let Some(run) = above {
            if !self.disk.lock().expect("no panic").runs.contains_key(&run) {
                return true;
            }
            let state = self.live_state(run);
            if !state.is_closed() {
                return false;
            }
            above = state.parent().map(|parent| parent.run);
        }
        true
    }

    fn submit(&mut self) {
        let workflow = self.random.pick(&self.workflows).workflow.clone();
        let partition =
            PartitionId(u16::try_from(self.random.below(PARTITIONS.into())).expect("small"));
        let execution = ExecutionId { partition, digits: u128::from(self.random.next()) };
        let n = self.random.below(10);
        let to = if self.known.is_empty() { execution } else { self.some_run() };
        let idempotency_key = self.random.chance(50).then(|| format!("key-{execution}"));
        let correlation_id = format!("customer-{n}");
        let (tags, subject) = (own_tags(execution), "client");
        let key = idempotency_key.as_deref().unwrap_or(&correlation_id);
        let run = Applicant { key, correlation_id: &correlation_id, tags: &tags, subject };
        let chosen = {
            let disk = self.disk.lock().expect("no panic");
            disk.catalog.choose("default", &workflow, None, &run).expect("it is defined")
        };
        let Chosen { number, plan, variant } = chosen;
        self.variants.extend(variant.map(|variant| (execution, variant)));
        let submitted = Box::new(Submitted {
            namespace: "default".into(),
            workflow: plan.workflow.clone(),
            revision: number,
            digest: plan.digest,
            input: Payload::of(&json!({ "n": n, "to": to.to_string() })),
            variables: Payload::of(&json!({})),
            correlation_id: correlation_id.into(),
            idempotency_key,
            request: Digest::of(&n.to_le_bytes()),
            callbacks: Vec::new(),
            deadline_at: plan.timeout_ms.map(|timeout_ms| self.now.plus_ms(timeout_ms)),
            retry_of: None,
            actor: "client".to_owned(),
        });
        self.known.push((execution, submitted.clone(), plan.clone()));
        self.send(execution, submitted, plan);
    }

    /// A compensated run's letter is retried by a new run. Whoever asked may go away in between,
    /// and ask again later: the run's id is derived, so it begins once.
    fn start_over(&mut self) {
        let (old, letter) = *self.random.pick(&self.wants_new_run);
        let Some((_, submitted, plan)) = self.known.iter().find(|(run, ..)| *run == old).cloned()
        else {
            return;
        };
        let execution = ExecutionId { digits: old.digits ^ u128::from(letter + 1), ..old };
        let variant = self.variants.get(&old).cloned();
        self.variants.extend(variant.map(|variant| (execution, variant)));
        let submitted = Submitted {
            idempotency_key: None,
            retry_of: Some(old),
            deadline_at: None,
            ..*submitted
        };
        self.send(execution, Box::new(submitted), plan);
        if self.random.chance(60) {
            let (actor, linked) = ("client".to_owned(), Some(execution));
            let command = Command::RetryLetter { letter, actor, linked };
            self.ask(old, Asked::Other, |t| Input::Command(old, command, Some(t)));
        }
    }

    /// Retention once everything has come to rest.
    pub fn retire(&mut self) {
        for partition in 0..PARTITIONS {
            self.remove_some(PartitionId(partition));
        }
    }

    /// Retention at work: closed runs as a planner saw them, and, because anybody may err, runs
    /// that are not closed or have changed since.
    pub fn remove_some(&mut self, partition: PartitionId) {
        let own: Vec<_> = {
            let disk = self.disk.lock().expect("no panic");
            disk.runs.keys().filter(|run| run.partition == partition).copied().collect()
        };
        let looked_at = if self.faults { LOOKED_AT_MAX } else { own.len() };
        let first = if own.is_empty() { 0 } else { self.random.index(own.len()) };
        let own = own.iter().cycle().skip(first).take(looked_at.min(own.len())).copied();
        let mut runs = Vec::new();
        for execution in own.collect::<Vec<_>>() {
            let state = self.live_state(execution);
            let sound = state.is_closed() && self.child_may_go(&state);
            let strange = !state.is_quiescent() && self.random.chance(10);
            if (sound && self.random.chance(60)) || strange {
                let stale = self.faults && state.version > 1 && self.random.chance(10);
                let version = state.version - u64::from(stale);
                let kept_ms = if state.parent().is_some() { 10 * POST_LIFE_MS } else { 0 };
                let not_before = state.updated_at.plus_ms(kept_ms);
                runs.push(Candidate { execution, version, not_before });
            }
        }
        let asked = Asked::Remove(runs.iter().map(|own| own.execution).collect());
        let (rule, actor) = ("simulated".to_owned(), "retention".to_owned());
        let removal = Box::new(Removal { runs, rule, actor });
        self.ask_partition(partition, asked, |t| Input::Remove(removal, t));
    }

    /// The same key again: with the same request, or with another.
    fn repeat(&mut self) {
        let (execution, mut submitted, plan) = self.random.pick(&self.known).clone();
        if submitted.idempotency_key.is_none() {
            return;
        }
        if self.random.chance(30) {
            submitted.request = Digest::of(b"another");
        }
        self.send(execution, submitted, plan);
    }

    fn send(&mut self, execution: ExecutionId, submitted: Box<Submitted>, plan: Arc<Plan>) {
        let asked = Asked::Submit(execution, submitted.request);
        let tags = own_tags(execution);
        let priority = submission_priority(execution, &plan, &submitted);
        let faults = own_faults(execution, &plan);
        let variant = self.variants.get(&execution).cloned();
        let origin = Origin { parent: None, priority, variant };
        let origin = (origin != Origin::default()).then(|| Box::new(origin));
        let (targets, alerts) = (super::told::own_targets(execution), Vec::new());
        let trace = own_trace(execution);
        let submission =
            Submission { execution, plan, submitted, tags, origin, targets, alerts, faults, trace };
        self.ask(execution, asked, |t| Input::Submit(submission, t));
    }

    /// An operator at the end of the day: retries or discards one open letter of a run that
    /// waits for it. Says whether there was one.
    pub fn operate(&mut self) -> bool {
        let runs: Vec<_> = self.disk.lock().expect("no panic").runs.keys().copied().collect();
        for run in runs {
            let state = self.live_state(run);
            // While a part of it is being undone, its steps are not to be tried again.
            let of_part = |own: &Letter| {
                state.partial().is_none() || matches!(own.subject, LetterSubject::Undo(_))
            };
            let is_open = |own: &Letter| own.status == LetterStatus::Open && of_part(own);
            let open = (0..).zip(&state.letters).find(|(_, own)| is_open(own));
            let suspended = state.status() == RunStatus::Suspended;
            let undos = state.steps.iter().filter_map(|own| own.undo.as_ref());
            let held = undos.into_iter().any(|own| own.status == UndoStatus::Waiting);
            let actor = "operator".to_owned();
            let undo_open = open.is_some_and(|(_, l)| matches!(l.subject, LetterSubject::Undo(_)));
            let command = match open {
                _ if held || (undo_open && self.random.chance(30)) => self.settling(None),
                Some((letter, _)) if self.random.chance(50) => {
                    let linked = ExecutionId { partition: run.partition, digits: 1 };
                    Command::RetryLetter { letter, actor, linked: Some(linked) }
                }
                Some((letter, _)) => {
                    Command::DiscardLetter { letter, actor, reason: "settled".to_owned() }
                }
                None if suspended => {
                    let reason = "nothing to retry".to_owned();
                    match self.random.below(3) {
                        0 => {
                            Command::Cancel { reason, actor, compensate: Some(true), force: false }
                        }
                        1 => Command::RollBack { reason, actor },
                        _ if state.steps.iter().any(|own| own.word() == "failed") => {
                            Command::RollBack { reason, actor }
                        }
                        _ => Command::Resume { reason, actor },
                    }
                }
                None => match wanted_signal(&state) {
                    // Whatever waits for a signal alone has to be given it.
                    Some(name) => {
                        let payload = Payload::of(&json!({ "by": "operator" }));
                        Command::Signal { name, payload, id: None, actor }
                    }
                    None => continue,
                },
            };
            self.ask(run, Asked::Other, |t| Input::Command(run, command, Some(t)));
            return true;
        }
        false
    }
}

/// A signal that a step waits for and that has not come: a run of which a part is being undone
/// takes none meanwhile.
fn wanted_signal(state: &State) -> Option<Arc<str>> {
    let signals = state.signals()?;
    let names = signals.waiting().filter_map(|step| signals.awaited_by(step));
    names.into_iter().find(|name| signals.wants(name)).cloned()
}

/// The trace that some runs are submitted in, the same each time.
fn own_trace(execution: ExecutionId) -> Option<Box<TraceContext>> {
    let trace = TraceId(execution.digits.rotate_left(64) | 1);
    let parent = Some(SpanId::of_run(execution));
    let told = TraceContext { trace, parent, sampled: true, state: "".into() };
    execution.digits.is_multiple_of(3).then(|| Box::new(told))
}
