//! Operators that have dead letters retried by a filter, and the task that does it for them.
//!
//! Partition 0 has the redrives' streams. The task stands here in small steps, each from what was
//! let out and is durable; it dies with partition 0, and what is let out at the start begins it
//! again.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::command::Command;
use backstitch_core::event::{
    ClaimedLetter, Event, RedriveEvent, RedriveOutcome, RedriveRequest, RunEvent,
};
use backstitch_core::ids::{LetterId, PartitionId, RedriveId};
use backstitch_core::letters::{Fate, InputEdit, fate};
use backstitch_core::redrives::{
    self, Canary, LETTERS_PER_CLAIM_MAX, LetterChoice, RedriveCommand, RedriveState, RedriveStatus,
    StopWhen, Terms, place_of,
};
use backstitch_core::summary::{LetterStatus, ViewChange};
use backstitch_saga::partition::Input;
use serde_json::json;

use super::disk::events_of;
use super::world::{Asked, World};

/// Kinds of events that the seeds together must reach.
pub const EVENT_KINDS: [&str; 7] = [
    "RedriveRequested",
    "RedriveClaimed",
    "RedriveObserved",
    "RedriveHalted",
    "RedriveResumed",
    "RedriveCancelled",
    "RedriveCompleted",
];

/// One of so many redrives edits the inputs.
const EDITS_OF: u128 = 4;
/// The partition that has the redrives' streams.
const REDRIVES_PARTITION: PartitionId = PartitionId(0);

/// A redrive's task.
#[derive(Debug)]
pub struct Job {
    state: RedriveState,
    /// Letters that it has asked to be retried.
    asked: BTreeSet<LetterId>,
    /// Those that were refused.
    refused: BTreeSet<LetterId>,
    /// Whether what it said is not durable yet.
    waits: bool,
}

impl World {
    /// Somebody begins a redrive, or pauses, resumes or cancels one.
    pub fn redrive(&mut self) {
        let ids: Vec<_> = self.disk.lock().expect("no panic").redrives.keys().copied().collect();
        if ids.is_empty() || self.random.chance(30) {
            let id = RedriveId(self.random.next().into());
            let request = self.redrive_request(id);
            return self.tell_redrive(id, RedriveCommand::Request(request));
        }
        let id = *self.random.pick(&ids);
        let (reason, actor) = ("as it goes".to_owned(), "operator".to_owned());
        let command = match self.random.below(5) {
            0..=1 => RedriveCommand::Halt { reason, actor: Some(actor) },
            2 => RedriveCommand::Cancel { reason, actor },
            _ => RedriveCommand::Resume { reason, actor },
        };
        self.tell_redrive(id, command);
    }

    fn redrive_request(&mut self, id: RedriveId) -> Box<RedriveRequest> {
        let canary = self.random.chance(40).then_some(Canary { count: 1, wait_ms: 1_000 });
        let failures = self.random.chance(30).then(|| 1 + self.random.below(3));
        let stop_when = StopWhen { failures, ..StopWhen::default() };
        let edit = id.0.is_multiple_of(EDITS_OF).then(|| InputEdit::Replace(json!({ "n": 7 })));
        Box::new(RedriveRequest {
            namespace: "default".into(),
            until: self.now,
            terms: Terms { filter: LetterChoice::default(), canary, stop_when, edit }.payload(),
            rate_per_second: 10,
            reason: "as it goes".to_owned(),
            actor: "operator".to_owned(),
        })
    }

    fn tell_redrive(&mut self, id: RedriveId, command: RedriveCommand) {
        let asked = Asked::Redrive(id);
        self.ask_partition(REDRIVES_PARTITION, asked, |t| Input::Redrive(id, command, Some(t)));
    }

    /// A redrive stands so, and that is durable.
    pub fn redriven(&mut self, id: RedriveId, state: RedriveState) {
        let durable = self.disk.lock().expect("no panic").redrives.get(&id).map_or(0, Vec::len);
        assert!(state.version <= durable as u64, "seed {}: {id} ahead of the disk", self.seed);
        match self.jobs.get_mut(&id) {
            Some(job) if state.version >= job.state.version => {
                (job.state, job.waits) = (state, false);
            }
            Some(_) => {}
            None => {
                let (asked, refused) = (BTreeSet::new(), BTreeSet::new());
                self.jobs.insert(id, Job { state, asked, refused, waits: false });
            }
        }
        self.jobs.retain(|_, job| job.state.is_under_way());
    }

    /// A letter that a redrive asked for is not retried.
    pub fn not_redriven(&mut self, id: RedriveId, letter: LetterId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.refused.insert(letter);
        }
    }

    /// What was asked of partitions that died is asked again.
    pub fn ask_redriven_again(&mut self, which: &[usize]) {
        let lost = |own: &LetterId| which.contains(&usize::from(own.execution.partition.0));
        self.jobs.values_mut().for_each(|job| job.asked.retain(|own| !lost(own)));
    }

    /// What partition 0 found at its start; the tasks are gone, and begin with what it lets out.
    pub fn take_up_redrives(&mut self) {
        self.jobs.clear();
        let disk = self.disk.lock().expect("no panic");
        for (id, records) in &disk.redrives {
            let partition = &mut self.partitions[usize::from(REDRIVES_PARTITION.0)];
            partition.adopt_redrive(*id, &events_of(records)).expect("it was staged after a fold");
        }
    }

    /// One small step of some redrive's task; says whether there was one.
    pub fn redrive_some(&mut self) -> bool {
        let ids: Vec<_> = self.jobs.keys().copied().collect();
        ids.into_iter().any(|id| self.go_on_with(id))
    }

    fn go_on_with(&mut self, id: RedriveId) -> bool {
        let job = &self.jobs[&id];
        if job.waits {
            return false;
        }
        let mut outcomes = Vec::new();
        for &letter in job.state.pending.keys() {
            match self.outcome(id, letter) {
                Next::Wait => {}
                Next::Known(outcome) => outcomes.push((letter, outcome)),
                Next::Retry => {
                    self.jobs.get_mut(&id).expect("it is there").asked.insert(letter);
                    let (number, run, actor) = (letter.number, letter.execution, id.to_string());
                    let terms = self.jobs[&id].state.terms().expect("as they were written");
                    let command = match terms.edit {
                        None => Command::RetryLetter { letter: number, actor, linked: None },
                        Some(edit) => {
                            let reason = "as it goes".to_owned();
                            Command::RetryLetterWith { letter: number, edit, reason, actor }
                        }
                    };
                    let asked = Asked::Redriven(id, letter);
                    self.ask(run, asked, |t| Input::Command(run, command, Some(t)));
                    return true;
                }
            }
        }
        if !outcomes.is_empty() {
            return self.tell_of(id, RedriveCommand::Observe { outcomes });
        }
        let job = &self.jobs[&id];
        if job.state.status != RedriveStatus::Running {
            return false;
        }
        let terms = job.state.terms().expect("as they were written");
        if let Some(reason) = job.state.stop_reason(&terms) {
            return self.tell_of(id, RedriveCommand::Halt { reason, actor: None });
        }
        if job.state.waits_for_canaries() {
            return false;
        }
        match job.state.next_claim(&terms, &self.open_letters(&job.state)) {
            Err(reason) => self.tell_of(id, RedriveCommand::Halt { reason, actor: None }),
            Ok((letters, _)) if letters.is_empty() && job.state.pending.is_empty() => {
                self.tell_of(id, RedriveCommand::Complete)
            }
            Ok((letters, _)) if letters.is_empty() => false,
            Ok((letters, canary)) => self.tell_of(id, RedriveCommand::Claim { letters, canary }),
        }
    }

    /// The task has something recorded, and goes on once that is durable.
    fn tell_of(&mut self, id: RedriveId, command: RedriveCommand) -> bool {
        self.jobs.get_mut(&id).expect("it is there").waits = true;
        self.tell_redrive(id, command);
        true
    }

    /// What is to be done about a letter that was claimed.
    fn outcome(&self, id: RedriveId, letter: LetterId) -> Next {
        let job = &self.jobs[&id];
        let exists = self.disk.lock().expect("no panic").runs.contains_key(&letter.execution);
        if !exists {
            return Next::Known(RedriveOutcome::Unknown);
        }
        let state = self.live_state(letter.execution);
        let Some((found, actor)) = fate(&state, letter.number) else {
            return Next::Known(RedriveOutcome::Unknown);
        };
        let own = actor == Some(id.to_string().as_str());
        match found {
            Fate::Open if job.refused.contains(&letter) || job.state.status.is_over() => {
                Next::Known(RedriveOutcome::Refused)
            }
            Fate::Open if job.state.status == RedriveStatus::Running => {
                if job.asked.contains(&letter) { Next::Wait } else { Next::Retry }
            }
            Fate::Open => Next::Wait,
            _ if !own => Next::Known(RedriveOutcome::Refused),
            Fate::Succeeded => Next::Known(RedriveOutcome::Succeeded),
            Fate::Failed => Next::Known(RedriveOutcome::Failed),
            Fate::GivenUp => Next::Known(RedriveOutcome::Unknown),
            Fate::Settled | Fate::Linked(_) => Next::Known(RedriveOutcome::Refused),
            Fate::Pending => Next::Wait,
        }
    }

    /// The open letters that a redrive may claim, the oldest first, as the view lists them.
    fn open_letters(&self, state: &RedriveState) -> Vec<ClaimedLetter> {
        let rows = self.rows.values().filter_map(|row| match row {
            ViewChange::Letter(own) if own.status == LetterStatus::Open => Some(own),
            _ => None,
        });
        let due = rows.filter(|own| own.opened_at < state.request.until);
        let mut open: Vec<_> = due
            .map(|own| ClaimedLetter {
                letter: own.letter,
                fingerprint: own.fingerprint,
                opened_at: own.opened_at,
            })
            .filter(|own| !state.was_claimed(own))
            .collect();
        open.sort_by_key(|own| place_of(own.opened_at, own.letter));
        open.truncate(LETTERS_PER_CLAIM_MAX);
        open
    }
}

/// What is to be done about a claimed letter.
enum Next {
    Wait,
    Retry,
    Known(RedriveOutcome),
}

/// Each letter is claimed once by a redrive, and retried only once it was; what is under way has
/// come to rest, with an outcome for each letter.
pub fn letters_were_claimed_first(world: &World) {
    let (seed, disk) = (world.seed, world.disk.lock().expect("no panic"));
    let mut claims = BTreeMap::new();
    for (id, records) in &disk.redrives {
        let mut state = None;
        for record in records {
            let Event::Redrive(event) = &record.event else { panic!("only redrives here") };
            redrives::evolve(&mut state, event, record.at).expect("it was staged after a fold");
            let RedriveEvent::Claimed { letters, .. } = event else { continue };
            for own in letters {
                let before = claims.insert((id.to_string(), own.letter), record.at);
                assert_eq!(before, None, "seed {seed}: {id} claimed {} twice", own.letter);
            }
        }
        let state = state.expect("it was requested");
        assert!(!state.is_under_way(), "seed {seed}: {id} never ends: {state:?}");
    }
    for (run, records) in &disk.runs {
        for record in records {
            let Event::Run(RunEvent::LetterRetried { letter, actor, .. }) = &record.event else {
                continue;
            };
            let letter = LetterId { execution: *run, number: *letter };
            let claimed = claims.get(&(actor.clone(), letter));
            let first = claimed.is_some() || !actor.starts_with("redrive_");
            assert!(first, "seed {seed}: {actor} retried {letter} and has not claimed it");
        }
    }
}
