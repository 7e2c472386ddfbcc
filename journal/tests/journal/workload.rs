//! A workload whose every event follows from its run and version, so that a checker can
//! tell what must be there without having seen it written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use backstitch_core::event::{Event, PartitionEvent, RedriveEvent, RunEvent, Submitted};
use backstitch_core::ids::{Digest, ExecutionId, PartitionId, RedriveId, StepIndex, StreamId};
use backstitch_core::payload::Payload;
use backstitch_core::summary::{RunStatus, RunSummary, ViewChange};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    AppendError, Batch, Commit, CommitBuilder, Error, Fit, Head, Journal, Opened, Options, Record,
};

/// Small enough that a short life sees segments change, ticks, and large values.
pub fn options() -> Options {
    Options {
        partitions: 4,
        segment_bytes: 512 * 1024,
        tick_ms: 3,
        store_after_ms: 20,
        store_after_bytes: 4 * 1024,
        cache_bytes: 8 * 1024 * 1024,
        ballast_bytes: 0,
        ..Options::default()
    }
}

/// The same with trees that open quickly, are renewed often, and are read behind and
/// rewritten at once.
pub fn quick_options() -> Options {
    Options {
        check_whole_below_bytes: 0,
        recent_changes_max: 200,
        keeper_bytes_per_second: u64::MAX,
        rewrite_above_bytes: 1024 * 1024,
        ..options()
    }
}

/// A small generator of numbers: the same seed, the same life.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn dice_of(run: &ExecutionId, version: u64) -> Dice {
    let low = u64::try_from(run.digits & u128::from(u64::MAX)).expect("masked to 64 bits");
    Dice(low ^ version.wrapping_mul(0xD6E8_FEB8_6659_FD93))
}

/// How many events a run has until it owes nothing.
pub fn length_of(run: &ExecutionId) -> u64 {
    match dice_of(run, 0).below(20) {
        0 => 60,
        other => 2 + other % 7,
    }
}

/// The event of a run's version.
pub fn event_of(run: &ExecutionId, version: u64) -> Event {
    let mut dice = dice_of(run, version);
    let bytes = match dice.below(40) {
        0 => 45_000,
        1 => 70_000,
        2..5 => 3_000,
        _ => dice.below(300),
    };
    // Some of what is kept beside its record is the same in several runs.
    let letters = if bytes == 70_000 && dice.below(2) == 0 { 1 } else { 26 };
    let letter = |_| char::from(b'a' + (dice.next() % letters) as u8);
    let text: String = (0..bytes).map(letter).collect();
    let mut payload = Payload::of(&serde_json::Value::String(text));
    if bytes < 20 {
        payload.keep_beside();
    }
    Event::Run(match version {
        1 => RunEvent::Submitted(Box::new(Submitted {
            namespace: "default".into(),
            workflow: "order".into(),
            revision: 1,
            digest: Digest::of(b"order"),
            input: payload,
            variables: Payload::null(),
            correlation_id: "c".into(),
            idempotency_key: None,
            request: Digest::of(b"request"),
            callbacks: Vec::new(),
            deadline_at: None,
            retry_of: None,
            actor: "test".to_owned(),
        })),
        _ => RunEvent::StepSucceeded { step: StepIndex(0), attempt: 1, output: payload },
    })
}

/// When an event was recorded.
pub fn recorded_at(run: &ExecutionId, version: u64) -> Timestamp {
    let digits = i64::try_from(run.digits & 0xFFFF_FFFF).expect("masked to 32 bits");
    Timestamp(1_000_000 + digits * 1_000 + i64::try_from(version).expect("few versions"))
}

/// The row of a run after so many events.
pub fn row_of(run: &ExecutionId, version: u64) -> RunSummary {
    let ended = version >= length_of(run);
    RunSummary {
        execution: *run,
        namespace: "default".into(),
        workflow: if run.digits.is_multiple_of(2) { "even".into() } else { "odd".into() },
        revision: 1,
        status: if ended { RunStatus::Completed } else { RunStatus::Running },
        correlation_id: "c".into(),
        tags: [].into(),
        submitted_at: recorded_at(run, 1),
        ended_at: ended.then(|| recorded_at(run, version)),
        parent: None,
        chunk: false,
        variant: None,
        trace: None,
        version,
    }
}

/// A commit that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acknowledged {
    pub partition: u16,
    pub sequence: u64,
    pub hash: Digest,
}

impl Acknowledged {
    pub fn of(commit: &Commit) -> Self {
        let head = commit.head();
        Self { partition: commit.partition().0, sequence: head.sequence, hash: head.hash }
    }

    pub fn line(&self) -> String {
        format!("\nACK {} {} {} .\n", self.partition, self.sequence, self.hash)
    }

    /// Reads whole lines; a torn last one was not acknowledged to anybody.
    pub fn all_of(text: &str) -> Vec<(u16, u64, String)> {
        text.lines()
            .filter_map(|line| line.strip_prefix("ACK ")?.strip_suffix(" ."))
            .filter_map(|line| {
                let mut words = line.split(' ');
                let partition = words.next()?.parse().ok()?;
                let sequence = words.next()?.parse().ok()?;
                Some((partition, sequence, words.next()?.to_owned()))
            })
            .collect()
    }
}

/// Writes runs, several in parallel, commit by commit.
pub struct Writer {
    pub journal: Journal,
    pub heads: Vec<Head>,
    dice: Dice,
    open: Vec<(ExecutionId, u64)>,
    answers: (Sender<Answer>, Receiver<Answer>),
    in_flight: usize,
}

type Answer = Result<Acknowledged, AppendError>;
type Told = Arc<dyn Fn(&Acknowledged) + Send + Sync>;

/// Runs that grow at the same time.
const OPEN_RUNS: usize = 12;
/// Commits appended before the first answer is waited for.
const IN_FLIGHT: usize = 6;

impl Writer {
    /// Takes over what opening handed out, as an engine would: unfinished runs go on, and
    /// every run gets its row.
    pub fn take_over(opened: Opened, seed: u64) -> Self {
        let Opened { journal, heads, streams, report } = opened;
        let mut open = Vec::new();
        let (mut quiescent, mut rows) = (Vec::new(), Vec::new());
        let mut take = |stream: StreamId, records: &[Record]| {
            let StreamId::Execution(run) = stream else { return };
            let version = records.len() as u64;
            rows.push(ViewChange::Run(row_of(&run, version)));
            if version < length_of(&run) {
                open.push((run, version));
            } else {
                quiescent.push(StreamId::Execution(run));
            }
        };
        for stream in streams {
            let records = journal.history(&stream).expect("every history can be read");
            take(stream, &records.unwrap_or_default());
        }
        if report.views_missing {
            journal
                .for_each_history(|stream, records| take(stream, &records))
                .expect("every history can be read");
            let mut seen = HashSet::new();
            open.retain(|(run, _)| seen.insert(*run));
        }
        journal.mark(quiescent, rows);
        journal.rows_complete();
        Self { journal, heads, dice: Dice(seed), open, answers: channel(), in_flight: 0 }
    }

    /// Appends the next commit: one to five records of one partition.
    pub fn append(&mut self, told: &Told) {
        while self.open.len() < OPEN_RUNS {
            let digits = u128::from(self.dice.next());
            let partition = u16::try_from(self.dice.below(self.heads.len() as u64));
            let partition = PartitionId(partition.expect("below the partitions"));
            self.open.push((ExecutionId { partition, digits }, 0));
        }
        let first = self.dice.below(self.open.len() as u64) as usize;
        let partition = self.open[first].0.partition;
        let head = self.heads[usize::from(partition.0)];
        let mut builder = self.journal.commit_builder(partition, 1, &head);
        let mut touched: HashMap<ExecutionId, u64> = HashMap::new();
        let records = 1 + self.dice.below(5);
        for (run, version) in self.open.iter_mut().filter(|(run, _)| run.partition == partition) {
            if touched.len() as u64 >= records || *version >= length_of(run) {
                continue;
            }
            let next = *version + 1;
            if !push(&mut builder, run, next) {
                break;
            }
            *version = next;
            touched.insert(*run, next);
        }
        if builder.is_empty() {
            return;
        }
        let commit = builder.finish(Timestamp(self.dice.below(1_000) as i64));
        self.heads[usize::from(partition.0)] = commit.head();
        let finished = |run: &ExecutionId, version: u64| version >= length_of(run);
        let quiescent = touched
            .iter()
            .filter(|(run, version)| finished(run, **version))
            .map(|(run, _)| StreamId::Execution(*run))
            .collect();
        let changes =
            touched.iter().map(|(run, version)| ViewChange::Run(row_of(run, *version))).collect();
        self.open.retain(|(run, version)| !finished(run, *version));
        self.send(Batch { commit, quiescent, changes }, told);
    }

    fn send(&mut self, batch: Batch, told: &Told) {
        let (told, sender) = (Arc::clone(told), self.answers.0.clone());
        let acknowledged = Acknowledged::of(&batch.commit);
        let callback = move |answer: Result<(), AppendError>| {
            if answer.is_ok() {
                told(&acknowledged);
            }
            // The test may have ended.
            drop(sender.send(answer.map(|()| acknowledged)));
        };
        self.journal.append(batch, Box::new(callback));
        self.in_flight += 1;
    }

    /// Appends so many commits, some always in flight, and waits for all answers.
    pub fn write(&mut self, commits: usize, told: &Told) -> Result<Vec<Acknowledged>, AppendError> {
        let mut acknowledged = Vec::new();
        for _ in 0..commits {
            self.append(told);
            while self.in_flight >= IN_FLIGHT {
                acknowledged.push(self.answer()?);
            }
        }
        while self.in_flight > 0 {
            acknowledged.push(self.answer()?);
        }
        Ok(acknowledged)
    }

    fn answer(&mut self) -> Answer {
        self.in_flight -= 1;
        self.answers.1.recv().expect("the writer holds a sender itself")
    }
}

fn push(builder: &mut CommitBuilder, run: &ExecutionId, version: u64) -> bool {
    let stream = StreamId::Execution(*run);
    match builder.push(&stream, version, recorded_at(run, version), &event_of(run, version)) {
        Fit::Fits => true,
        Fit::Full => false,
        Fit::TooLarge => panic!("the workload's events fit into a commit"),
    }
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Journal(#[from] Error),
}

impl Writer {
    /// Removes runs that all are of one partition, durably. Answers the removal's position.
    pub fn remove(&mut self, runs: &[ExecutionId]) -> Result<u64, Stop> {
        let partition = runs.first().expect("somebody is removed").partition;
        let (runs, rule, actor) = (runs.to_vec(), "a test's".to_owned(), "test".to_owned());
        self.record(partition, PartitionEvent::RunsRemoved { runs, rule, actor })
    }

    /// Records what befell a partition, durably. Answers its position.
    pub fn record(&mut self, partition: PartitionId, event: PartitionEvent) -> Result<u64, Stop> {
        self.record_and_begin(partition, event, None)
    }

    /// The same, and in that commit a run's first event.
    pub fn record_and_begin(
        &mut self,
        partition: PartitionId,
        event: PartitionEvent,
        begun: Option<ExecutionId>,
    ) -> Result<u64, Stop> {
        let stream = StreamId::Partition(partition);
        let version = self.journal.last_version(&stream)?.unwrap_or(0);
        let head = self.heads[usize::from(partition.0)];
        let mut builder = self.journal.commit_builder(partition, 1, &head);
        let event = Event::Partition(event);
        let fit = builder.push(&stream, version + 1, Timestamp(77), &event);
        assert_eq!(fit, Fit::Fits);
        assert!(begun.is_none_or(|run| push(&mut builder, &run, 1)));
        let changes = begun.iter().map(|run| ViewChange::Run(row_of(run, 1))).collect();
        let commit = builder.finish(Timestamp(0));
        let head = commit.head();
        self.heads[usize::from(partition.0)] = head;
        self.send(Batch { commit, quiescent: Vec::new(), changes }, &nobody());
        while self.in_flight > 0 {
            self.answer()?;
        }
        Ok(head.position)
    }

    /// Writes a redrive's history, durably.
    pub fn redrive(&mut self, id: RedriveId, events: u64) -> Result<(), AppendError> {
        let (stream, head) = (StreamId::Redrive(id), self.heads[0]);
        let mut builder = self.journal.commit_builder(PartitionId(0), 1, &head);
        for version in 1..=events {
            let event = Event::Redrive(RedriveEvent::Observed { outcomes: Vec::new() });
            assert_eq!(builder.push(&stream, version, Timestamp(77), &event), Fit::Fits);
        }
        let commit = builder.finish(Timestamp(0));
        self.heads[0] = commit.head();
        self.send(Batch { commit, quiescent: Vec::new(), changes: Vec::new() }, &nobody());
        while self.in_flight > 0 {
            self.answer()?;
        }
        Ok(())
    }

    /// Begins a run anew, with its first events.
    pub fn begin(&mut self, run: &ExecutionId, events: u64) -> Result<(), AppendError> {
        let head = self.heads[usize::from(run.partition.0)];
        let mut builder = self.journal.commit_builder(run.partition, 1, &head);
        for version in 1..=events {
            assert!(push(&mut builder, run, version), "a few events fit");
        }
        let commit = builder.finish(Timestamp(0));
        self.heads[usize::from(run.partition.0)] = commit.head();
        let ended = events >= length_of(run);
        let quiescent = ended.then_some(StreamId::Execution(*run)).into_iter().collect();
        let changes = vec![ViewChange::Run(row_of(run, events))];
        self.send(Batch { commit, quiescent, changes }, &nobody());
        while self.in_flight > 0 {
            self.answer()?;
        }
        Ok(())
    }
}

/// Nobody listens.
pub fn nobody() -> Told {
    Arc::new(|_| {})
}
