//! Deciding about dead letters in a directory whose server does not run.
//!
//! Folds the run and records only the fact that somebody decided.

use backstitch_core::command::{Command, Rejection, Submission};
use backstitch_core::decide::edited_input;
use backstitch_core::event::{Event, Origin, RunEvent, Submitted};
use backstitch_core::ids::{ExecutionId, LetterId, StreamId};
use backstitch_core::letters::{InputEdit, attempts_json};
use backstitch_core::machine::{self, Refusal};
use backstitch_core::plan::TaskKind;
use backstitch_core::report::letter_json;
use backstitch_core::state::State;
use backstitch_core::time::Timestamp;
use backstitch_executors::{HttpConfig, Registry};
use serde_json::{Value, json};

use super::super::Settling;
use super::{StagedRecord, Writing, rows};
use crate::error::Error;

/// Who decides, where nobody says.
const ACTOR: &str = "operator";

impl Writing {
    /// Does something about one letter; answers what the API would.
    pub(crate) fn settle(&mut self, letter: LetterId, how: &Settling) -> Result<Value, Error> {
        let number = letter.number;
        let word = |actor: &Option<String>| actor.clone().unwrap_or_else(|| ACTOR.to_owned());
        match how {
            Settling::Discard { reason, actor } => {
                let (reason, actor) = (reason.clone(), word(actor));
                let command = Command::DiscardLetter { letter: number, actor, reason };
                let status = self.command(letter, command)?;
                Ok(json!({
                    "letter_id": letter.to_string(),
                    "execution_id": letter.execution.to_string(),
                    "status": status,
                }))
            }
            Settling::Retry { input, reason, actor } => {
                let Some(input) = input else { return self.retry(letter, &word(actor)) };
                let (edit, reason) = (InputEdit::Replace(input.clone()), reason.clone());
                let actor = word(actor);
                self.check_edit(letter, &edit)?;
                let command = Command::RetryLetterWith { letter: number, edit, reason, actor };
                let status = self.command(letter, command)?;
                Ok(retried(letter, letter.execution, status))
            }
            Settling::Assign { assignee, reason, actor } => {
                let (assignee, reason, actor) = (assignee.clone(), reason.clone(), word(actor));
                let command = Command::AssignLetter { letter: number, assignee, reason, actor };
                self.command(letter, command)?;
                self.shown(letter)
            }
            Settling::Note { text, actor } => {
                let (text, actor) = (text.clone(), word(actor));
                self.command(letter, Command::NoteLetter { letter: number, text, actor })?;
                self.shown(letter)
            }
        }
    }

    /// The letter as the API shows it.
    fn shown(&mut self, letter: LetterId) -> Result<Value, Error> {
        let none = || Error::NoLetter { letter };
        let state = self.state(letter.execution)?.ok_or_else(none)?;
        let own = state.letters.get(letter.number as usize).ok_or_else(none)?;
        let mut shown = letter_json(&state, letter.number, own);
        let stream = StreamId::Execution(letter.execution);
        let records = self.journal.history(&stream)?.unwrap_or_default();
        let told = records.iter().map(|record| (&record.event, record.recorded_at));
        shown["attempt_history"] = attempts_json(letter.number, told);
        Ok(shown)
    }

    fn retry(&mut self, letter: LetterId, actor: &str) -> Result<Value, Error> {
        let retry = |linked| Command::RetryLetter {
            letter: letter.number,
            actor: actor.to_owned(),
            linked,
        };
        let in_place = self.command(letter, retry(None));
        let (execution, status) = match in_place {
            Err(Error::Rejected { why: Rejection::NeedsNewRun, .. }) => {
                let (execution, status) = self.start_over(letter, actor)?;
                self.command(letter, retry(Some(execution)))?;
                (execution, status)
            }
            status => (letter.execution, status?),
        };
        Ok(retried(letter, execution, status))
    }

    /// Asks the step's executor, as the server does, whether it takes what the edit makes of the
    /// input.
    fn check_edit(&mut self, letter: LetterId, edit: &InputEdit) -> Result<(), Error> {
        let none = || Error::NoLetter { letter };
        let state = self.state(letter.execution)?.ok_or_else(none)?;
        let edited = edited_input(&state, letter.number, edit);
        let (step, input) = edited.map_err(|why| refused(letter, why))?;
        let TaskKind::Effect(task_type) = &state.plan.step(step).task else { return Ok(()) };
        let registry = Registry::builtin(HttpConfig::default())?;
        let problems = registry.check_input(task_type, &input.value());
        if problems.is_empty() { Ok(()) } else { Err(Error::BadInput { letter, problems }) }
    }

    /// Records the fact of a command; answers the run's status word after it.
    fn command(&mut self, letter: LetterId, command: Command) -> Result<&'static str, Error> {
        let run = letter.execution;
        let none = || Error::NoLetter { letter };
        let mut state = self.state(run)?.ok_or_else(none)?;
        let (version, moment) = (state.version, self.moment(run.partition));
        let decision = machine::record(&mut state, command, moment).map_err(|why| match why {
            Refusal::Rejected(why) => refused(letter, why),
            Refusal::Illegal(why) => {
                Error::Quarantined { run: run.to_string(), why: why.to_string() }
            }
        })?;
        self.append_facts(&state, version, &decision.events, moment.stamp)?;
        Ok(state.status().word())
    }

    /// Submits the new run that starts over, unless an earlier retry has done so.
    fn start_over(
        &mut self,
        letter: LetterId,
        actor: &str,
    ) -> Result<(ExecutionId, &'static str), Error> {
        let none = || Error::NoLetter { letter };
        let parent = self.state(letter.execution)?.ok_or_else(none)?;
        // As the server names it.
        let life = parent.submitted_at.0.to_string();
        let words = ["retry", &letter.to_string(), &life];
        let run = ExecutionId::derived(&words, self.heads.len());
        if let Some(begun) = self.state(run)? {
            return Ok((run, begun.status().word()));
        }
        let moment = self.moment(run.partition);
        // A migrated run's own plan keeps places of steps that are gone.
        let plan = self.definitions.plan(&parent.plan.digest);
        let plan =
            plan.map_err(|why| Error::Quarantined { run: letter.execution.to_string(), why })?;
        let submitted = Box::new(Submitted {
            idempotency_key: None,
            deadline_at: plan.timeout_ms.map(|timeout_ms| moment.now.plus_ms(timeout_ms)),
            retry_of: Some(letter.execution),
            actor: actor.to_owned(),
            ..(*parent.submitted).clone()
        });
        let tags = parent.tags.to_vec();
        let (priority, variant) = (parent.priority(), parent.variant().map(str::to_owned));
        let origin = Origin { parent: None, priority, variant };
        let origin = (origin != Origin::default()).then(|| Box::new(origin));
        let submission = Submission {
            execution: run,
            plan: plan.clone(),
            submitted,
            tags,
            origin,
            targets: parent.targets().to_vec(),
            alerts: parent.alerts().to_vec(),
            faults: Vec::new(),
            trace: None,
        };
        let illegal = |why: &dyn std::fmt::Display| Error::Quarantined {
            run: run.to_string(),
            why: why.to_string(),
        };
        let (_, decision) = machine::submit(submission, moment).map_err(|why| illegal(&why))?;
        // Every prefix of a decision is a place to go on from.
        let follows = |event: &RunEvent| {
            matches!(event, RunEvent::StepReady { .. } | RunEvent::StepStarted { .. })
        };
        let facts: Vec<_> = decision.events.into_iter().take_while(|e| !follows(e)).collect();
        let events: Vec<_> = facts.iter().cloned().map(Event::Run).collect();
        let stamped = events.iter().map(|event| (event, moment.stamp));
        let state = machine::replay(run, &plan, stamped).map_err(|why| illegal(&why))?;
        self.append_facts(&state, 0, &facts, moment.stamp)?;
        Ok((run, state.status().word()))
    }

    /// Makes facts of a run durable.
    fn append_facts(
        &mut self,
        state: &State,
        version: u64,
        facts: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), Error> {
        let stream = StreamId::Execution(state.id);
        let records: Vec<_> = (version + 1..)
            .zip(facts)
            .map(|(version, fact)| {
                let event = Event::Run(fact.clone());
                StagedRecord { stream: stream.clone(), version, at, event, mark: None }
            })
            .collect();
        self.append(state.id.partition, &records, rows(state), Vec::new(), at)
    }
}

fn refused(letter: LetterId, why: Rejection) -> Error {
    match why {
        Rejection::UnknownLetter { .. } => Error::NoLetter { letter },
        why => Error::Rejected { what: letter.to_string(), why },
    }
}

/// A letter that was retried, and the run that goes on: its own, or the one that starts over.
fn retried(letter: LetterId, execution: ExecutionId, status: &str) -> Value {
    json!({
        "letter_id": letter.to_string(),
        "execution_id": execution.to_string(),
        "new_execution": execution != letter.execution,
        "status": status,
    })
}
