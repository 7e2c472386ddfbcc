//! Deciding about dead letters in a directory whose server does not run.
//!
//! Takes the directory exclusively, folds the run, and records only the fact that somebody
//! decided: as a draining server does, it leaves what follows to the next start, so that no
//! attempt counts as begun that nobody makes.

use std::path::Path;
use std::sync::mpsc;

use backstitch_core::command::{Command, Rejection, Submission};
use backstitch_core::event::{Event, RunEvent, Submitted};
use backstitch_core::ids::{ExecutionId, LetterId, StreamId};
use backstitch_core::machine::{self, Refusal};
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_core::time::{Moment, Timestamp};
use backstitch_journal::{Batch, Fit, Head, Journal, Opened, Options, Reader};
use serde_json::{Value, json};

use super::Settling;
use super::archive::check_directory;
use super::definitions::Definitions;
use super::fold::Fold;
use crate::clock;
use crate::error::Error;

/// Who decides, where nobody says.
const ACTOR: &str = "operator";
/// Every commit made here carries it, as those of a server do.
const EPOCH: u64 = 1;

/// A directory that this process has for itself.
pub(super) struct Writing {
    journal: Journal,
    heads: Vec<Head>,
    definitions: Definitions,
}

impl Writing {
    /// Takes the directory, as a server would.
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        check_directory(directory)?;
        // Opening would make a journal where there is none.
        drop(Reader::open(directory)?);
        let options = Options { ballast_bytes: 0, ..Options::default() };
        let Opened { journal, heads, streams, report } = Journal::open(directory, options)?;
        let mut writing = Self { journal, heads, definitions: Definitions::default() };
        let (runs, others): (Vec<_>, Vec<_>) =
            streams.iter().partition(|stream| matches!(stream, StreamId::Execution(_)));
        for stream in others {
            for record in writing.journal.history(stream)?.unwrap_or_default() {
                if let Event::Workflow(event) = &record.event {
                    writing.definitions.take(stream, event, record.recorded_at);
                }
            }
        }
        // Without their rows the next start would read every history to make them.
        for stream in runs {
            let StreamId::Execution(run) = stream else { continue };
            if let Ok(Some(state)) = writing.state(*run) {
                writing.journal.mark(Vec::new(), rows(&state));
            }
        }
        if !report.views_missing {
            writing.journal.rows_complete();
        }
        Ok(writing)
    }

    /// Writes everything and gives the directory back.
    pub(super) fn close(self) -> Result<(), Error> {
        Ok(self.journal.close()?)
    }

    /// Settles one letter; answers what the API would.
    pub(super) fn settle(&mut self, letter: LetterId, how: &Settling) -> Result<Value, Error> {
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
            Settling::Retry { actor } => self.retry(letter, &word(actor)),
        }
    }

    fn retry(&mut self, letter: LetterId, actor: &str) -> Result<Value, Error> {
        let retry = |linked| Command::RetryLetter {
            letter: letter.number,
            actor: actor.to_owned(),
            linked,
        };
        let in_place = self.command(letter, retry(None));
        let (execution, new_run, status) = match in_place {
            Err(Error::Rejected { why: Rejection::NeedsNewRun, .. }) => {
                let (execution, status) = self.start_over(letter, actor)?;
                self.command(letter, retry(Some(execution)))?;
                (execution, true, status)
            }
            status => (letter.execution, false, status?),
        };
        Ok(json!({
            "letter_id": letter.to_string(),
            "execution_id": execution.to_string(),
            "new_execution": new_run,
            "status": status,
        }))
    }

    /// Records the fact of a command; answers the run's status word after it.
    fn command(&mut self, letter: LetterId, command: Command) -> Result<&'static str, Error> {
        let run = letter.execution;
        let none = || Error::NoLetter { letter };
        let mut state = self.state(run)?.ok_or_else(none)?;
        let (version, moment) = (state.version, self.moment(run));
        let decision = machine::record(&mut state, command, moment).map_err(|why| match why {
            Refusal::Rejected(Rejection::UnknownLetter { .. }) => none(),
            Refusal::Rejected(why) => Error::Rejected { what: letter.to_string(), why },
            Refusal::Illegal(why) => {
                Error::Quarantined { run: run.to_string(), why: why.to_string() }
            }
        })?;
        self.append(&state, version, &decision.events, moment.stamp)?;
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
        let run = ExecutionId::derived(&["retry", &letter.to_string()], self.heads.len());
        if let Some(begun) = self.state(run)? {
            return Ok((run, begun.status().word()));
        }
        let moment = self.moment(run);
        let plan = parent.plan.clone();
        let submitted = Box::new(Submitted {
            idempotency_key: None,
            deadline_at: plan.timeout_ms.map(|timeout_ms| moment.now.plus_ms(timeout_ms)),
            retry_of: Some(letter.execution),
            actor: actor.to_owned(),
            ..(*parent.submitted).clone()
        });
        let tags = parent.tags.to_vec();
        let submission = Submission { execution: run, plan: plan.clone(), submitted, tags };
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
        self.append(&state, 0, &facts, moment.stamp)?;
        Ok((run, state.status().word()))
    }

    /// The run as it stands.
    fn state(&mut self, run: ExecutionId) -> Result<Option<Box<State>>, Error> {
        let Some(records) = self.journal.history(&StreamId::Execution(run))? else {
            return Ok(None);
        };
        match Fold::of(run, &records, &mut self.definitions) {
            Fold::Whole(state) => Ok(Some(state)),
            Fold::Broken { why } => Err(Error::Quarantined { run: run.to_string(), why }),
            Fold::Empty => Ok(None),
        }
    }

    /// What is recorded never goes back within a partition, whatever the clock does.
    fn moment(&self, run: ExecutionId) -> Moment {
        let now = clock::now();
        let last = self.heads.get(usize::from(run.partition.0)).map_or(0, |h| h.committed_at.0);
        Moment { now, stamp: now.max(Timestamp(last.saturating_add(1))) }
    }

    /// Makes events durable, in as many commits as they need.
    fn append(
        &mut self,
        state: &State,
        version: u64,
        events: &[RunEvent],
        at: Timestamp,
    ) -> Result<(), Error> {
        let stream = StreamId::Execution(state.id);
        let Some(&first) = self.heads.get(usize::from(state.id.partition.0)) else {
            return Err(not_recorded("the run's partition is not one of this journal"));
        };
        let mut head = first;
        let mut events = (version + 1..).zip(events).peekable();
        while events.peek().is_some() {
            let mut builder = self.journal.commit_builder(state.id.partition, EPOCH, &head);
            while let Some((version, event)) = events.peek() {
                match builder.push(&stream, *version, at, &Event::Run((*event).clone())) {
                    Fit::Fits => drop(events.next()),
                    Fit::Full if !builder.is_empty() => break,
                    Fit::Full | Fit::TooLarge => {
                        return Err(not_recorded("an event is larger than a commit"));
                    }
                }
            }
            let commit = builder.finish(at);
            head = commit.head();
            let changes = if events.peek().is_none() { rows(state) } else { Vec::new() };
            let batch = Batch { commit, quiescent: Vec::new(), changes };
            let (answer, answered) = mpsc::channel();
            // Whoever waits below is there until it is answered.
            self.journal.append(batch, Box::new(move |result| drop(answer.send(result))));
            let result = answered.recv().map_err(|_| not_recorded("the log is gone"))?;
            result.map_err(|why| not_recorded(&why.to_string()))?;
            self.heads[usize::from(state.id.partition.0)] = head;
        }
        Ok(())
    }
}

fn rows(state: &State) -> Vec<ViewChange> {
    let run = ViewChange::Run(run_summary(state));
    std::iter::once(run).chain(letter_summaries(state).map(ViewChange::Letter)).collect()
}

fn not_recorded(why: &str) -> Error {
    Error::NotRecorded { why: why.to_owned() }
}
