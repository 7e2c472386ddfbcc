//! A log in memory, for tests and simulation: the same contract, with the faults at hand.
//!
//! Automatic: a thread makes commits durable as they come. Manual: nothing is durable until
//! [`MemoryLog::complete`] says so, and a crash keeps what the caller chooses.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex};

use backstitch_core::ids::PartitionId;

use crate::commit::{Commit, Head, Origin};
use crate::error::Error;
use crate::locks::{lock, wait};
use crate::log::{AppendError, Done, Log, LogStats};
use crate::record::Record;

/// A handle; clones share the log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    settled: Condvar,
    manual: bool,
    origin: Origin,
}

struct State {
    durable: Vec<Commit>,
    durable_heads: Vec<Head>,
    staged_heads: Vec<Head>,
    waiting: VecDeque<(Commit, Done, Result<(), AppendError>)>,
    conflicts: Vec<u16>,
    poisoned: Option<Arc<str>>,
    closed: bool,
    crashed: bool,
    /// Commits whose callbacks are running; a sync waits for them.
    answering: bool,
}

impl MemoryLog {
    /// A log that makes commits durable by itself, in order, on its own thread.
    #[must_use]
    pub fn automatic(partitions: u16) -> Self {
        let log = Self::of(Vec::new(), usize::from(partitions), false);
        log.start();
        log
    }

    /// A log in which nothing is durable until told so. Callbacks run inside
    /// [`Self::complete`].
    #[must_use]
    pub fn manual(partitions: u16) -> Self {
        Self::of(Vec::new(), usize::from(partitions), true)
    }

    fn of(durable: Vec<Commit>, partitions: usize, manual: bool) -> Self {
        let mut heads = vec![Head::default(); partitions];
        for commit in &durable {
            heads[usize::from(commit.partition().0)] = commit.head();
        }
        let state = State {
            durable,
            durable_heads: heads.clone(),
            staged_heads: heads,
            waiting: VecDeque::new(),
            conflicts: Vec::new(),
            poisoned: None,
            closed: false,
            crashed: false,
            answering: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            settled: Condvar::new(),
            manual,
            origin: Origin { store: [0; 16], generation: 1 },
        };
        Self { shared: Arc::new(shared) }
    }

    /// Visits durable commits in order; none is held while it is visited.
    fn visit_durable(
        &self,
        wanted: impl Fn(&Commit) -> bool,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) {
        let mut from = 0;
        loop {
            let found = {
                let state = lock(&self.shared.state);
                let rest = state.durable.iter().enumerate().skip(from);
                rest.map(|(index, commit)| (index + 1, commit))
                    .find(|(_, commit)| wanted(commit))
                    .map(|(next, commit)| (next, commit.clone()))
            };
            let Some((next, commit)) = found else { return };
            from = next;
            if visit(&commit).is_break() {
                return;
            }
        }
    }

    fn start(&self) {
        let log = self.clone();
        std::thread::spawn(move || {
            loop {
                let shared = &log.shared;
                let mut state = lock(&shared.state);
                while state.waiting.is_empty() && !state.closed {
                    state = wait(&shared.arrived, state);
                }
                if state.waiting.is_empty() {
                    return;
                }
                drop(state);
                log.complete(usize::MAX);
            }
        });
    }

    /// Which store its commits are made for.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.shared.origin
    }

    /// How many appends wait for their answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.shared.state).waiting.len()
    }

    /// Everything durable, in order.
    #[must_use]
    pub fn durable(&self) -> Vec<Commit> {
        lock(&self.shared.state).durable.clone()
    }

    /// Makes the next `count` waiting appends durable and answers them here; says how many
    /// there were.
    pub fn complete(&self, count: usize) -> usize {
        let mut completed = 0;
        while completed < count {
            let mut state = lock(&self.shared.state);
            let Some((commit, done, verdict)) = state.waiting.pop_front() else { break };
            let poisoned = state.poisoned.clone();
            let verdict = match poisoned {
                Some(reason) => Err(AppendError::Poisoned { reason }),
                None => verdict,
            };
            if verdict.is_ok() {
                state.durable_heads[usize::from(commit.partition().0)] = commit.head();
                state.durable.push(commit.clone());
            }
            state.answering = true;
            drop(state);
            done(verdict.map(|()| &commit));
            lock(&self.shared.state).answering = false;
            self.shared.settled.notify_all();
            completed += 1;
        }
        completed
    }

    /// The next append to `partition` is answered with a conflict.
    pub fn conflict_next(&self, partition: u16) {
        lock(&self.shared.state).conflicts.push(partition);
    }

    /// The process dies. What was durable stays, with the first `keep` waiting appends:
    /// written, but nobody was told. This log answers nothing any more; the one that comes
    /// back is what the next start finds.
    #[must_use]
    pub fn crash(&self, keep: usize) -> Self {
        let mut state = lock(&self.shared.state);
        let mut durable = state.durable.clone();
        for (commit, _, verdict) in state.waiting.drain(..).take(keep) {
            if verdict.is_ok() {
                durable.push(commit);
            }
        }
        state.waiting.clear();
        state.crashed = true;
        state.closed = true;
        let next = Self::of(durable, state.durable_heads.len(), self.shared.manual);
        drop(state);
        self.shared.arrived.notify_all();
        self.shared.settled.notify_all();
        if !next.shared.manual {
            next.start();
        }
        next
    }
}

impl State {
    fn judge(&mut self, origin: Origin, commit: &Commit) -> Result<(), AppendError> {
        let partition = commit.partition().0;
        let conflict = |last: u64, detail: &'static str| AppendError::Conflict {
            partition,
            last,
            given: commit.sequence(),
            detail,
        };
        if commit.origin() != origin {
            return Err(conflict(0, "it was made for another store"));
        }
        let Some(head) = self.staged_heads.get_mut(usize::from(partition)) else {
            return Err(conflict(0, "there is no such partition"));
        };
        if let Some(index) = self.conflicts.iter().position(|&armed| armed == partition) {
            self.conflicts.swap_remove(index);
            return Err(conflict(head.sequence, "a conflict was asked for"));
        }
        commit.follows(head).map_err(|detail| conflict(head.sequence, detail))?;
        *head = commit.head();
        Ok(())
    }
}

impl Log for MemoryLog {
    fn append(&self, commit: Commit, done: Done) {
        let mut state = lock(&self.shared.state);
        if state.crashed {
            return;
        }
        if state.closed {
            drop(state);
            done(Err(AppendError::Closed));
            return;
        }
        let verdict = state.judge(self.shared.origin, &commit);
        state.waiting.push_back((commit, done, verdict));
        drop(state);
        self.shared.arrived.notify_one();
    }

    fn heads(&self) -> Vec<Head> {
        lock(&self.shared.state).durable_heads.clone()
    }

    fn commits_after(
        &self,
        partition: PartitionId,
        after_position: u64,
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let wanted = |commit: &Commit| {
            commit.partition() == partition && commit.head().position > after_position
        };
        self.visit_durable(wanted, visit);
        Ok(())
    }

    fn commits_behind(
        &self,
        positions: &[u64],
        visit: &mut dyn FnMut(&Commit) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_durable(|commit| commit.is_behind(positions), visit);
        Ok(())
    }

    fn beginning(&self) -> Result<Vec<Head>, Error> {
        Ok(vec![Head::default(); lock(&self.shared.state).durable_heads.len()])
    }

    fn for_each_kept(&self, _: &mut dyn FnMut(&Record)) -> Result<(), Error> {
        Ok(())
    }

    fn sync(&self) -> Result<(), AppendError> {
        let mut state = lock(&self.shared.state);
        while !self.shared.manual && (!state.waiting.is_empty() || state.answering) {
            state = wait(&self.shared.settled, state);
        }
        match state.poisoned.clone() {
            Some(reason) => Err(AppendError::Poisoned { reason }),
            None => Ok(()),
        }
    }

    fn poison(&self, reason: &str) {
        lock(&self.shared.state).poisoned.get_or_insert_with(|| reason.into());
    }

    fn poisoned(&self) -> Option<String> {
        lock(&self.shared.state).poisoned.as_ref().map(ToString::to_string)
    }

    fn close(&self) {
        let mut state = lock(&self.shared.state);
        state.closed = true;
        self.shared.arrived.notify_all();
        if self.shared.manual {
            drop(state);
            self.complete(usize::MAX);
            return;
        }
        while !state.waiting.is_empty() || state.answering {
            state = wait(&self.shared.settled, state);
        }
    }

    fn stats(&self) -> LogStats {
        let commits = lock(&self.shared.state).durable.len() as u64;
        LogStats { commits, ..LogStats::default() }
    }
}
