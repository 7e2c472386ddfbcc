//! One circuit: what a node has seen of one service, and who waits for it.
//!
//! Plain data and arithmetic: instants are arguments. It forgets everything with the process; a
//! start makes it again of what runs recorded about their waits.

use std::collections::BTreeSet;

use backstitch_core::breaker::BreakerRules;
use backstitch_core::event::{Hold, HoldReason, Priority};
use backstitch_core::failure::{Failure, FailureClass};
use backstitch_core::ids::ExecutionId;
use backstitch_core::state::Subject;
use backstitch_core::time::Timestamp;

use super::budget::Budget;
use super::window::Window;

/// A call: whose, and which.
pub type Asker = (ExecutionId, Subject);

/// Who goes first: by priority, then since when it waits; the same after every start.
pub type Order = (Priority, Timestamp, ExecutionId, Subject);

/// Where a circuit stands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Calls are made.
    Closed,
    /// None is made until then.
    Open(Timestamp),
    /// Some are tried.
    HalfOpen,
}

/// What an operator has it be, whatever is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// No call is made.
    Open,
    /// Every call is made.
    Closed,
}

/// What a call came to, as far as its service is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The service answered.
    Answered,
    /// It did not, or said that it cannot now.
    Failed(String),
    /// Nobody learned anything of it.
    Nothing,
}

impl Outcome {
    /// Of an attempt that failed: another attempt may help where the service is at fault; an
    /// answer with a status that is no such thing is an answer.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let answered = || {
            let details = failure.details.as_ref().map(|own| own.value());
            details.is_some_and(|own| own.get("status").is_some_and(|status| status.is_u64()))
        };
        match failure.class {
            FailureClass::Retryable => {
                Self::Failed(format!("{}: {}", failure.code, failure.message))
            }
            FailureClass::Permanent if answered() => Self::Answered,
            FailureClass::Permanent => Self::Nothing,
        }
    }
}

/// What somebody who waits was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// The circuit opened.
    Opened,
    /// It closed.
    Closed,
}

#[derive(Debug)]
pub(super) struct Circuit {
    pub standing: Standing,
    pub forced: Option<Forced>,
    /// Those of whoever called last; since it opened, those of whoever's failure opened it.
    pub rules: BreakerRules,
    /// Failures in a row.
    pub consecutive: u32,
    pub window: Window,
    pub budget: Budget,
    /// Who tries the service, or is about to.
    pub probing: BTreeSet<Asker>,
    /// Tries that succeeded since it was half open.
    pub proven: u32,
    /// Who waits for the service, and who for the budget of retries.
    pub line: BTreeSet<Order>,
    pub retries: BTreeSet<Order>,
    /// How often it opened.
    pub opened: u64,
    /// Rises when what was let through before says nothing of what follows: it opened, or an
    /// operator's word was given or taken back.
    pub epoch: u64,
    pub opened_at: Option<Timestamp>,
    pub last_failure: Option<(Timestamp, String)>,
    pub used_at: Timestamp,
    /// Whether it was made again of what runs recorded, and nothing was seen since.
    pub recovered: bool,
    /// When those who wait look at it, as the agenda has it.
    pub noted_at: Option<Timestamp>,
}

impl Circuit {
    pub fn new(rules: BreakerRules, now: Timestamp) -> Self {
        Self {
            standing: Standing::Closed,
            forced: None,
            rules,
            consecutive: 0,
            window: Window::default(),
            budget: Budget::new(now),
            probing: BTreeSet::new(),
            proven: 0,
            line: BTreeSet::new(),
            retries: BTreeSet::new(),
            opened: 0,
            epoch: 0,
            opened_at: None,
            last_failure: None,
            used_at: now,
            recovered: false,
            noted_at: None,
        }
    }

    /// Whether calls are made.
    pub fn is_closed(&self) -> bool {
        match self.forced {
            Some(forced) => forced == Forced::Closed,
            None => self.standing == Standing::Closed,
        }
    }

    /// Whether forgetting it keeps nobody waiting, and lets nobody through who would be kept back.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let lets = match self.standing {
            Standing::Closed | Standing::HalfOpen => true,
            Standing::Open(until) => until <= now,
        };
        let none = self.line.is_empty() && self.retries.is_empty() && self.probing.is_empty();
        lets && none && self.forced.is_none()
    }

    /// Whether a call may be made now; `again` if it repeats one that failed.
    pub fn ask(&mut self, rules: &BreakerRules, again: bool, now: Timestamp) -> Option<Hold> {
        self.used_at = now;
        self.tick(now);
        if self.standing == Standing::Closed {
            self.rules = *rules;
        }
        if !self.is_closed() {
            return Some(self.hold());
        }
        let ratio = rules.retry_ratio?;
        let spent = self.budget.spend(ratio, again, now)?;
        Some(Hold { key: "".into(), why: HoldReason::RetryBudget, until: Some(spent) })
    }

    /// Why calls wait for it.
    pub fn hold(&self) -> Hold {
        let (why, until) = match (self.forced, self.standing) {
            (Some(_), _) => (HoldReason::Forced, None),
            (None, Standing::Open(until)) => (HoldReason::Open, Some(until)),
            (None, _) => (HoldReason::Probing, None),
        };
        Hold { key: "".into(), why, until }
    }

    /// Its time is up: the service may be tried.
    pub fn tick(&mut self, now: Timestamp) {
        if let Standing::Open(until) = self.standing
            && until <= now
        {
            self.standing = Standing::HalfOpen;
            self.proven = 0;
            self.probing.clear();
        }
    }

    /// When it changes for somebody who waits, if it does by itself.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        let opens = match (self.forced, self.standing) {
            (None, Standing::Open(until)) if !self.line.is_empty() => Some(until),
            _ => None,
        };
        let refills = (self.is_closed() && !self.retries.is_empty()).then(|| self.budget.next_at());
        opens.into_iter().chain(refills).min()
    }

    /// A callback has no place in line: it is tried if there is room, or comes later.
    pub fn probe(&mut self, asker: Asker, now: Timestamp) -> bool {
        self.tick(now);
        let half_open = self.forced.is_none() && self.standing == Standing::HalfOpen;
        half_open && self.line.is_empty() && self.has_probe() && self.probing.insert(asker)
    }

    fn has_probe(&self) -> bool {
        self.probing.len() < self.rules.probes as usize
    }

    /// Who may go on of those that wait, in order: all once it is closed, some to try it.
    pub fn let_on(&mut self, now: Timestamp) -> Vec<Order> {
        self.tick(now);
        let mut free = Vec::new();
        if self.is_closed() {
            free.extend(std::mem::take(&mut self.line));
            while let Some(&first) = self.retries.first() {
                let ratio = self.rules.retry_ratio;
                if ratio.is_some_and(|own| self.budget.spend(own, true, now).is_some()) {
                    break;
                }
                self.retries.remove(&first);
                free.push(first);
            }
        } else if self.forced.is_none() && self.standing == Standing::HalfOpen {
            while self.has_probe() {
                let Some(order) = self.line.pop_first() else { break };
                self.probing.insert((order.2, order.3));
                free.push(order);
            }
        }
        free
    }

    /// A call has come to this. Answers whether that turned the circuit.
    pub fn report(
        &mut self,
        (asker, epoch): (Asker, u64),
        outcome: &Outcome,
        rules: &BreakerRules,
        now: Timestamp,
    ) -> Option<Turned> {
        self.tick(now);
        let probe = self.probing.remove(&asker);
        if let Outcome::Failed(why) = outcome {
            self.last_failure = Some((now, why.clone()));
        }
        match (self.standing, outcome) {
            (_, Outcome::Nothing) | (Standing::Open(_), _) => None,
            // What began before it opened says nothing of how the service is now.
            (Standing::HalfOpen, _) if !probe || epoch != self.epoch => None,
            (Standing::HalfOpen, Outcome::Failed(_)) => Some(self.open(rules, now)),
            (Standing::HalfOpen, Outcome::Answered) => {
                self.proven += 1;
                (self.proven >= self.rules.probes).then(|| self.close())
            }
            (Standing::Closed, Outcome::Answered) => {
                self.consecutive = 0;
                self.window.count(false, rules.window_ms, now);
                None
            }
            (Standing::Closed, Outcome::Failed(_)) => {
                self.consecutive = self.consecutive.saturating_add(1);
                let (calls, failures) = self.window.count(true, rules.window_ms, now);
                let in_a_row = self.consecutive >= rules.failures;
                let part =
                    calls >= rules.calls && f64::from(failures) >= f64::from(calls) * rules.ratio;
                (in_a_row || part).then(|| self.open(rules, now))
            }
        }
    }

    fn open(&mut self, rules: &BreakerRules, now: Timestamp) -> Turned {
        self.open_until(now.plus_ms(rules.open_ms), now);
        self.rules = *rules;
        Turned::Opened
    }

    /// An operator has it be so, or lets it go by what is seen.
    pub fn force(&mut self, forced: Option<Forced>) {
        if self.forced != forced {
            self.forced = forced;
            self.epoch += 1;
        }
    }

    /// It is open until then.
    pub fn open_until(&mut self, until: Timestamp, now: Timestamp) {
        self.standing = Standing::Open(until);
        self.opened += 1;
        self.epoch += 1;
        self.opened_at = Some(now);
        self.probing.clear();
        self.window = Window::default();
        self.consecutive = 0;
    }

    /// It is closed, and nothing seen before counts.
    pub fn close(&mut self) -> Turned {
        self.standing = Standing::Closed;
        self.probing.clear();
        self.window = Window::default();
        (self.consecutive, self.proven) = (0, 0);
        Turned::Closed
    }
}
