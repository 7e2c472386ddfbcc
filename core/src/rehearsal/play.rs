//! Playing: the machine on virtual time, and the script's answers to what it owes.
//!
//! Time goes from one thing that happens to the next: an answer that is due, or what the run
//! itself waits for. Things of one instant happen in the order in which they were called for.

mod chunks;

use std::collections::{BTreeMap, BTreeSet};

use super::script::{Answer, Found, Reply, Script};
use super::{
    CallbackSent, ChildBegun, EVENTS_MAX, Question, Rehearsed, Surroundings, Unmocked,
    VIRTUAL_MS_MAX, WORK_MAX,
};
use crate::command::{AttemptResult, Command};
use crate::effect::{Effect, owed_by};
use crate::event::{Event, GraphEvent, Message, Outcome, RunEvent};
use crate::evolve::{IllegalTransition, attempt_lost, timed_out};
use crate::failure::{Failure, codes};
use crate::ids::{ExecutionId, StepIndex};
use crate::links::{Begins, Parcel, Wish, parcel};
use crate::machine::{Decision, Refusal, handle, submit};
use crate::payload::Payload;
use crate::retry_policy::RetryPolicy;
use crate::state::State;
use crate::time::{Moment, Timestamp};

use chunks::Said;

/// The status that a callback's receiver answers with.
const CALLBACK_STATUS: u16 = 200;

pub(super) fn play(
    question: Question,
    around: &dyn Surroundings,
) -> Result<Rehearsed, IllegalTransition> {
    let starts_at = question.starts_at;
    let (execution, submission) = (question.execution, question.submission());
    let begun = submit(submission, Moment::at(starts_at));
    let (state, decision) = begun.map_err(illegal(execution))?;
    let mut play = Play {
        state,
        script: question.script,
        unmocked_is: question.unmocked,
        around,
        now: starts_at,
        agenda: BTreeMap::new(),
        called: 0,
        performed: BTreeSet::new(),
        messages: 0,
        work_units: 0,
        asked: BTreeSet::new(),
        events: Vec::new(),
        events_below: 0,
        said: None,
        unmocked: BTreeSet::new(),
        differing: BTreeSet::new(),
        callbacks: Vec::new(),
        children: Vec::new(),
    };
    play.note(decision)?;
    let stopped = play.run(starts_at)?;
    let unused = play.script.names().filter(|name| !play.asked.contains(*name));
    let unused = unused.map(str::to_owned).collect();
    // An answer that nobody waits for any more is no part of it.
    let rests_at = play.events.last().map_or(starts_at, |(_, at)| *at);
    Ok(Rehearsed {
        rests_at,
        state: play.state,
        events: play.events,
        unmocked: play.unmocked,
        differing: play.differing,
        unused,
        callbacks: play.callbacks,
        children: play.children,
        stopped,
    })
}

struct Play<'a> {
    state: State,
    script: Script,
    unmocked_is: Unmocked,
    around: &'a dyn Surroundings,
    now: Timestamp,
    /// What is to happen, by when and in what order it was called for.
    agenda: BTreeMap<(Timestamp, u64), Command>,
    called: u64,
    performed: BTreeSet<Effect>,
    /// Messages that children sent.
    messages: u32,
    work_units: usize,
    asked: BTreeSet<String>,
    events: Vec<(Event, Timestamp)>,
    /// Events of chunks, which were played too.
    events_below: usize,
    /// Of a chunk: its word to the run above it.
    said: Option<Message>,
    unmocked: BTreeSet<String>,
    differing: BTreeSet<String>,
    callbacks: Vec<CallbackSent>,
    children: Vec<ChildBegun>,
}

impl Play<'_> {
    /// Goes on until nothing more happens; answers why it was stopped before, if it was.
    fn run(&mut self, starts_at: Timestamp) -> Result<Option<String>, IllegalTransition> {
        let ends_at = starts_at.plus_ms(VIRTUAL_MS_MAX);
        loop {
            self.perform()?;
            let next = self.agenda.first_key_value().map(|(key, _)| key.0);
            let due = self.state.next_due(self.now);
            let Some(at) = next.into_iter().chain(due).min() else { return Ok(None) };
            if at > ends_at {
                return Ok(Some(format!("nothing happens before {at}, which is too far away")));
            }
            if self.events.len() + self.events_below > EVENTS_MAX {
                return Ok(Some(format!("more than {EVENTS_MAX} events happened")));
            }
            if self.work_units > WORK_MAX {
                return Ok(Some("its templates take more work than a dry run may".to_owned()));
            }
            self.now = self.now.max(at);
            let command = match self.agenda.first_entry() {
                Some(entry) if entry.key().0 <= self.now => entry.remove(),
                _ => Command::Continue,
            };
            self.act(command)?;
        }
    }

    fn act(&mut self, command: Command) -> Result<(), IllegalTransition> {
        match handle(&mut self.state, command, Moment::at(self.now)) {
            Ok(decision) => self.note(decision),
            // A child's word that comes too late, or a signal after the end: nothing happens.
            Err(Refusal::Rejected(_)) => Ok(()),
            Err(Refusal::Illegal(why)) => Err(why),
        }
    }

    /// Notes what was decided, and goes on with what was cut.
    fn note(&mut self, mut decision: Decision) -> Result<(), IllegalTransition> {
        loop {
            self.work_units = self.work_units.saturating_add(decision.work.units);
            for event in decision.events {
                if let RunEvent::Graph(GraphEvent::StepAwaitsSignal { step, name, .. }) = &event {
                    self.signal(*step, name.clone());
                }
                self.events.push((Event::Run(event), self.now));
            }
            let enough = self.events.len() > EVENTS_MAX || self.work_units > WORK_MAX;
            if !decision.cut || enough {
                return Ok(());
            }
            let goes_on = handle(&mut self.state, Command::Continue, Moment::at(self.now));
            decision = goes_on.map_err(illegal(self.state.id))?;
        }
    }

    /// Begins what is owed and was not begun yet.
    fn perform(&mut self) -> Result<(), IllegalTransition> {
        for subject in self.state.take_touched(self.now) {
            let Some(effect) = owed_by(&self.state, subject, self.now) else { continue };
            if !self.performed.insert(effect) {
                continue;
            }
            match effect {
                Effect::RunStep { step, attempt } => self.run_step(step, attempt),
                Effect::UndoStep { step, attempt } => self.undo_step(step, attempt),
                Effect::DeliverCallback { delivery, attempt } => self.call_back(delivery, attempt),
                Effect::Send { message } => self.send(message)?,
            }
        }
        Ok(())
    }

    fn run_step(&mut self, step: StepIndex, attempt: u16) {
        let own = self.state.step(step);
        let (tries, input) = (own.tries.saturating_add(1), own.input.clone());
        let answer = self.answer(&self.part_of(step), attempt, input);
        let (delay_ms, result) = in_time(&answer, self.state.timeout_ms(step));
        let retry_delay_ms = self.retry_delay_ms(&answer, &self.state.retries(step).policy, tries);
        let command = Command::ReportStep { step, attempt, result, retry_delay_ms };
        self.later(delay_ms, command);
    }

    fn undo_step(&mut self, step: StepIndex, attempt: u16) {
        let Some(own) = &self.state.step(step).undo else { return };
        let (tries, input) = (own.tries.saturating_add(1), own.input.clone());
        let (name, number) = match own.asks() {
            true => (self.check_part_of(step), attempt),
            false => (self.undo_part_of(step), attempt - own.attempts_before()),
        };
        let answer = self.answer(&name, number, input);
        let (delay_ms, result) = in_time(&answer, self.state.undo_timeout_ms(step));
        let retry_delay_ms =
            self.retry_delay_ms(&answer, &self.state.undo_retries(step).policy, tries);
        let command = Command::ReportUndo { step, attempt, result, retry_delay_ms };
        self.later(delay_ms, command);
    }

    fn call_back(&mut self, delivery: u32, attempt: u16) {
        let Some(own) = self.state.deliveries.get(delivery as usize) else { return };
        let (event, url, body) = (own.event, own.url.clone(), own.body.clone());
        self.callbacks.push(CallbackSent { at: self.now, event, url, body });
        let (result, retry_delay_ms) = (Ok(CALLBACK_STATUS), 0);
        let command = Command::ReportCallback { delivery, attempt, result, retry_delay_ms };
        self.later(0, command);
    }

    /// What other runs do about a message: take it in, and answer as the script says.
    fn send(&mut self, message: u32) -> Result<(), IllegalTransition> {
        let Some(Parcel { to, posted_at, body, start, .. }) = parcel(&self.state, message) else {
            return Ok(());
        };
        let taken = Command::Acknowledge { message, posted_at, refused: None };
        match body {
            Message::Start { step, attempt, .. } => {
                self.later(0, taken);
                let id = self.state.plan.step(step).id.clone();
                match start.map(|start| (start.begins.clone(), start)) {
                    Some((Begins::Workflow(wish), _)) => {
                        let Wish { workflow, revision, input } = wish;
                        let (at, step) = (self.now, id.clone());
                        self.children.push(ChildBegun { at, step, workflow, revision, input });
                    }
                    Some((Begins::Chunk(chunk), start)) => {
                        let said = self.chunk(to, *start, *chunk)?;
                        if let Some(Said { delay_ms, body, output }) = said {
                            self.receive(delay_ms, to, body, output);
                        }
                        return Ok(());
                    }
                    None => {}
                }
                let input = self.state.step(step).input.clone();
                let answer = self.answer(&id, attempt, input);
                let (outcome, failure, output) = match spoken(answer.reply) {
                    Ok(output) => (Outcome::Completed, None, Some(output)),
                    Err(failure) => (Outcome::Failed, Some(failure), None),
                };
                let ended = Message::Ended { step, attempt, outcome, failure };
                self.receive(answer.delay_ms, to, ended, output);
            }
            Message::Signal { step, attempt, .. } => {
                let id = self.state.plan.step(step).id.clone();
                let input = self.state.step(step).input.clone();
                let answer = self.answer(&id, attempt, input);
                let refused = spoken(answer.reply).err();
                let answered = Command::Acknowledge { message, posted_at, refused };
                self.later(answer.delay_ms, answered);
            }
            Message::Cancel { step, .. } | Message::Force { step, .. } => {
                self.later(0, taken);
                let attempt = self.state.step(step).attempt;
                let failure = Failure::permanent(codes::CHILD_FAILED, format!("{to} was stopped"));
                let (outcome, failure) = (Outcome::Cancelled, Some(failure));
                self.receive(0, to, Message::Ended { step, attempt, outcome, failure }, None);
            }
            Message::RollBack { step, attempt } => {
                self.later(0, taken);
                let name = Script::undo_of(&self.state.plan.step(step).id);
                let answer = self.answer(&name, attempt, None);
                let failure = spoken(answer.reply).err();
                let undone = Message::RolledBack { step, attempt, failure };
                self.receive(answer.delay_ms, to, undone, None);
            }
            Message::Ended { .. } => {
                self.said = Some(body);
                self.later(0, taken);
            }
            Message::RolledBack { .. } => self.later(0, taken),
        }
        Ok(())
    }

    fn receive(
        &mut self,
        delay_ms: u64,
        from: ExecutionId,
        body: Message,
        output: Option<Payload>,
    ) {
        let (message, posted_at, to) = (self.messages, self.now, self.state.id);
        self.messages += 1;
        let retry_delay_ms = match &body {
            Message::Ended { step, failure: Some(_), .. } => {
                let (retry, own) = (self.state.retries(*step).policy, self.state.step(*step));
                self.around.wait_ms(&retry, own.tries.saturating_add(1))
            }
            _ => 0,
        };
        let (namespace, start) = (self.state.submitted.namespace.clone(), None);
        let parcel = Parcel { from, namespace, message, to, posted_at, body, start, output };
        self.later(delay_ms, Command::Receive { parcel: Box::new(parcel), retry_delay_ms });
    }

    /// The signal that a step waits for, if the script lets it come.
    fn signal(&mut self, step: StepIndex, name: std::sync::Arc<str>) {
        let id = self.state.plan.step(step).id.clone();
        let (attempt, input) = (1, self.state.step(step).input.clone());
        let answer = self.answer(&id, attempt, input);
        if let Reply::Output(payload) = answer.reply {
            let (id, actor) = (None, "rehearsal".to_owned());
            self.later(answer.delay_ms, Command::Signal { name, payload, id, actor });
        }
    }

    fn later(&mut self, delay_ms: u64, command: Command) {
        self.called += 1;
        self.agenda.insert((self.now.plus_ms(delay_ms), self.called), command);
    }

    fn retry_delay_ms(&self, answer: &Answer, policy: &RetryPolicy, tries: u16) -> u64 {
        answer.retry_delay_ms.unwrap_or_else(|| self.around.wait_ms(policy, tries))
    }

    /// What the script has for an attempt, or what stands in for it.
    fn answer(&mut self, name: &str, attempt: u16, input: Option<Payload>) -> Answer {
        self.asked.insert(name.to_owned());
        match self.script.find(name, attempt, &input.unwrap_or_else(Payload::null)) {
            Found::Answer(answer) => return answer.clone(),
            Found::OtherInput => drop(self.differing.insert(name.to_owned())),
            Found::Nothing => {}
        }
        self.unmocked.insert(name.to_owned());
        Answer::at_once(match self.unmocked_is {
            Unmocked::Empty => Reply::Output(Payload::of(&serde_json::json!({}))),
            Unmocked::Fail => {
                let message = format!("no mock says what `{name}` comes to");
                Reply::Failure(Failure::permanent(codes::NOT_MOCKED, message))
            }
        })
    }
}

/// When an attempt ends, and how: by its timeout at the latest.
fn in_time(answer: &Answer, timeout_ms: u64) -> (u64, AttemptResult) {
    let result = match &answer.reply {
        _ if answer.delay_ms >= timeout_ms => return (timeout_ms, AttemptResult::TimedOut),
        Reply::Output(output) => AttemptResult::Answered(Ok(output.clone())),
        Reply::Failure(failure) => AttemptResult::Answered(Err(failure.clone())),
        Reply::TimedOut => return (timeout_ms, AttemptResult::TimedOut),
        Reply::Lost => AttemptResult::Lost,
    };
    (answer.delay_ms, result)
}

/// The same of whoever has no timeout.
fn spoken(reply: Reply) -> Result<Payload, Failure> {
    match reply {
        Reply::Output(output) => Ok(output),
        Reply::Failure(failure) => Err(failure),
        Reply::TimedOut => Err(timed_out(0)),
        Reply::Lost => Err(attempt_lost()),
    }
}

/// What begins a run or goes on with it is never refused.
fn illegal(execution: ExecutionId) -> impl Fn(Refusal) -> IllegalTransition {
    move |refusal| match refusal {
        Refusal::Illegal(why) => why,
        Refusal::Rejected(why) => IllegalTransition { execution, version: 0, why: why.to_string() },
    }
}
