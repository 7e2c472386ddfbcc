//! Which runs have a turn, and which stand in line for one.
//!
//! What a run holds beyond what it has in flight goes back after every decision, so that what is
//! taken is always what is under way, whatever happened in between.

use std::collections::BTreeSet;

use backstitch_core::arrows::Phase;
use backstitch_core::breaker::{Call, Passage};
use backstitch_core::cache::{CacheKey, Recalled};
use backstitch_core::command::Command;
use backstitch_core::ids::{ExecutionId, StepIndex};
use backstitch_core::room::{Attempt, Room};
use backstitch_core::state::{State, Wanted};
use backstitch_core::time::{Moment, Timestamp};

use super::calls::{Calling, Calls};
use super::cell::Cell;
use super::keyed::{Asking, Keyed};
use super::{Abandon, Partition};
use crate::cache::ResultCache;
use crate::keys::KeySeat;
use crate::slots::{Circle, Claim, Displaced, SlotSeat};
use crate::turns::{Class, Place, Seat};

/// Granted turns that one call of [`Partition::fire`] sees to.
const GRANTS_PER_FIRE_MAX: usize = 1_024;

/// Room for one decision: what the run was given, then whatever is free.
pub(super) struct Turns<'a> {
    seat: &'a Seat,
    slots: &'a SlotSeat,
    asking: Asking<'a>,
    calling: Calling<'a>,
    cache: &'a ResultCache,
    claim: &'a Claim,
    spare: usize,
    now: Timestamp,
    /// Turns taken from the pool.
    pub(super) taken: usize,
    /// Whether the run was let in, and so holds its slots.
    pub(super) began: bool,
}

impl<'a> Turns<'a> {
    pub(super) fn new(
        (seat, slots, cache): (&'a Seat, &'a SlotSeat, &'a ResultCache),
        (asking, calling): (Asking<'a>, Calling<'a>),
        claim: &'a Claim,
        spare: usize,
        now: Timestamp,
    ) -> Self {
        Self { seat, slots, asking, calling, cache, claim, spare, now, taken: 0, began: false }
    }
}

impl Room for Turns<'_> {
    fn starts(&mut self, _: Attempt) -> bool {
        if self.spare > 0 {
            self.spare -= 1;
            return true;
        }
        let taken = self.seat.take();
        self.taken += usize::from(taken);
        taken
    }

    fn holds(&mut self, step: StepIndex, wanted: &Wanted) -> bool {
        self.asking.holds(self.claim, step, wanted)
    }

    fn begins(&mut self) -> bool {
        self.began = self.slots.begins(self.claim);
        self.began
    }

    fn passes(&mut self, call: &Call<'_>) -> Passage {
        self.calling.passes(call)
    }

    fn recalls(&mut self, key: &CacheKey, ttl_ms: u64) -> Option<Recalled> {
        self.cache.recall(key, ttl_ms, self.now)
    }
}

/// What a run has to do with the pool.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Turns that it holds.
    pub(super) held: usize,
    /// Where it stands in line.
    pub(super) place: Option<Place>,
    /// What its steps have to do with keyed limits.
    pub(super) keys: Keyed,
    /// Its calls of services, as far as circuits have to do with them.
    pub(super) calls: Calls,
}

impl Standing {
    /// Whether the run holds nothing and stands in no line.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.place.is_none() && self.keys.is_idle() && self.calls.is_idle()
    }
}

/// What a run has to do with slots; a run that the partition has said nothing of has neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SlotOf {
    /// It has begun and not ended.
    Holds,
    /// It waits to begin.
    Waits,
    /// It is over, or paused before it began.
    #[default]
    Neither,
}

impl SlotOf {
    pub(super) fn state(state: &State) -> Self {
        if state.holds_slot() {
            Self::Holds
        } else if state.waits_to_begin() {
            Self::Waits
        } else {
            Self::Neither
        }
    }
}

impl<T: Abandon> Partition<T> {
    /// Takes its turns and slots from where others take theirs.
    #[must_use]
    pub fn seated(mut self, seat: Seat, slots: SlotSeat, keys: KeySeat) -> Self {
        (self.seat, self.slots, self.keys) = (seat, slots, keys);
        self
    }

    /// Says what every run holds or waits for. No partition of a node decides anything, and
    /// nobody is let in, before all have said so.
    pub fn claim_slots(&mut self) {
        self.claim_rested_slots();
        let mut runs: Vec<_> = self.runs.keys().copied().collect();
        runs.sort_unstable();
        for id in runs {
            if let Some(Cell::Run(run)) = self.runs.get_mut(&id) {
                run.slot = SlotOf::state(&run.state);
                match run.slot {
                    SlotOf::Holds => self.slots.holds(&Claim::of(&run.state)),
                    SlotOf::Waits => self.slots.waited(&Claim::of(&run.state)),
                    SlotOf::Neither => {}
                }
                run.standing.keys.claim(&run.state, &self.keys, self.last_at);
                run.standing.calls.claim(&run.state, &self.breakers, self.last_at);
            }
        }
    }

    /// After a decision: what the run holds or waits for now. What it lets go is free once the
    /// stage is durable.
    pub(super) fn settle_slot(&mut self, id: ExecutionId) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let now = SlotOf::state(&run.state);
        let before = std::mem::replace(&mut run.slot, now);
        if before == now {
            return;
        }
        let claim = Claim::of(&run.state);
        match now {
            SlotOf::Holds => self.slots.holds(&claim),
            SlotOf::Waits => {
                self.slots.waits(&claim);
                self.settled.push_back((self.next_stage, now, claim));
            }
            SlotOf::Neither => {
                self.slots.ends(&claim);
                self.endings.insert(id, self.next_stage);
                self.settled.push_back((self.next_stage, now, claim));
            }
        }
    }

    /// Lets go what durable endings have freed, and has older runs make room for those that
    /// durably wait.
    pub(super) fn settle_slots(&mut self) {
        while let Some((stage, slot, claim)) =
            self.settled.pop_front_if(|(stage, ..)| *stage < self.committed_stages)
        {
            if slot == SlotOf::Neither {
                // It may have been reopened since and have ended again, which is to be durable.
                if self.endings.get(&claim.run) != Some(&stage) {
                    continue;
                }
                self.endings.remove(&claim.run);
            }
            // It may have been reopened since.
            let run = self.runs.get(&claim.run);
            let again = matches!(run, Some(Cell::Run(run)) if run.slot != SlotOf::Neither)
                || self.resting.claims_slot(claim.run);
            match (slot, again) {
                (SlotOf::Waits, _) => self.slots.displaces(&claim),
                (_, false) => self.slots.forget(&claim),
                (_, true) => {}
            }
        }
    }

    /// Cancels runs that are to make room for newer ones, and have not been asked to stop.
    pub(super) fn make_room(&mut self, moment: Moment) {
        for _ in 0..GRANTS_PER_FIRE_MAX {
            if self.draining {
                break;
            }
            let Some(Displaced { run, by, reason }) = self.slots.next_displaced() else { break };
            if !self.is_here(run) {
                continue;
            }
            let Ok(Some(own)) = self.resident_run(run) else { continue };
            let goes_on = matches!(own.state.phase, Phase::Forward | Phase::Suspended)
                || own.state.partial().is_some();
            if goes_on && own.state.cancel.is_none() {
                let (actor, compensate) = (by.to_string(), None);
                let cancel = Command::Cancel { reason, actor, compensate, force: false };
                self.decide(run, cancel, None, moment);
            }
        }
    }

    /// Gives up children that wait for what waits for them.
    pub(super) fn open_circles(&mut self, moment: Moment) {
        for _ in 0..GRANTS_PER_FIRE_MAX {
            let Some(Circle { run, reason }) = self.slots.next_circle() else { break };
            if self.is_here(run) && !self.draining {
                self.decide(run, Command::GiveUpWaiting { reason }, None, moment);
            }
        }
    }

    /// Gives back the turns of attempts that are stopped now.
    pub(super) fn free_stopped(&mut self) {
        while let Some((_, turns)) =
            self.stopping.pop_front_if(|(stage, _)| *stage < self.committed_stages)
        {
            self.seat.give_back(turns);
        }
    }

    /// Goes on with runs that were given a turn.
    pub(super) fn use_turns(&mut self, moment: Moment) {
        for _ in 0..GRANTS_PER_FIRE_MAX {
            let Some(id) = self.seat.next_granted() else { break };
            let Some(Cell::Run(run)) = self.runs.get_mut(&id) else {
                self.seat.give_back(1);
                continue;
            };
            run.standing.held += 1;
            run.standing.place = None;
            self.decide(id, Command::Continue, None, moment);
        }
    }

    /// Goes on with runs that may begin.
    pub(super) fn use_slots(&mut self, moment: Moment) {
        for _ in 0..GRANTS_PER_FIRE_MAX {
            let Some(id) = self.slots.next_granted() else { break };
            if self.is_here(id) {
                self.decide(id, Command::Continue, None, moment);
            }
        }
    }

    /// After a decision: gives back what the run does not use, and stands it in line if it
    /// wants more. A decision that was cut goes on of itself.
    pub(super) fn settle_turns(&mut self, id: ExecutionId, cut: bool, moment: Moment) {
        let Some(Cell::Run(run)) = self.runs.get_mut(&id) else { return };
        let idle = run.spare_turns();
        run.standing.held -= idle;
        self.seat.give_back(idle);
        if cut {
            return;
        }
        let passing = run.standing.calls.granted();
        let wanted = run.state.wants_turn(moment.now, run.standing.keys.held(), &passing);
        let class = wanted.map(|wanted| Class::of(wanted, run.state.priority()));
        let stands = run.standing.place.map(|place| place.class);
        if stands == class || self.draining {
            return;
        }
        if let Some(place) = run.standing.place.take() {
            self.seat.leave(place);
        }
        run.standing.place = class.map(|class| self.seat.wait(id, class));
    }

    /// Gives back what a run holds beyond its attempts: it is worked on no more.
    pub(super) fn give_up_turns(&self, standing: &Standing, attempts: usize) {
        if let Some(place) = standing.place {
            self.seat.leave(place);
        }
        self.seat.give_back(standing.held.saturating_sub(attempts));
    }

    /// Attempts under way, which is what the partition holds turns for; those that are being
    /// stopped are among them.
    #[must_use]
    pub fn attempts(&self) -> usize {
        let stopping: usize = self.stopping.iter().map(|(_, turns)| turns).sum();
        self.runs.values().map(Cell::attempts).sum::<usize>() + stopping
    }

    /// Runs of the partition that hold slots, as those who give them know it.
    #[must_use]
    pub fn slots_held(&self) -> BTreeSet<ExecutionId> {
        self.slots.held()
    }

    /// Whether a run of the partition waits until it may begin.
    #[must_use]
    pub fn waits_to_begin(&self, run: ExecutionId) -> bool {
        match self.runs.get(&run) {
            Some(Cell::Run(own)) => own.slot == SlotOf::Waits,
            Some(Cell::Quarantined(_)) => false,
            None => self.resting.claims_slot(run),
        }
    }

    /// Runs that go on, as the partition knows it, those among them whose end is not durable yet.
    #[must_use]
    pub fn slotted(&self) -> BTreeSet<ExecutionId> {
        let goes_on = |cell: &Cell| match cell {
            Cell::Run(run) => run.slot == SlotOf::Holds,
            Cell::Quarantined(aside) => aside.slot.is_some(),
        };
        let going_on = self.runs.iter().filter(|(_, cell)| goes_on(cell)).map(|(run, _)| *run);
        let ending = self.settled.iter().filter(|(_, slot, _)| *slot == SlotOf::Neither);
        let resting = self.rested().filter(|own| own.holds_slot).map(|own| own.run);
        going_on.chain(resting).chain(ending.map(|(.., claim)| claim.run)).collect()
    }

    /// Turns that the partition holds, and how many of them it has not looked at yet.
    #[must_use]
    pub fn turns(&self) -> (usize, usize) {
        (self.seat.held(), self.seat.granted())
    }
}
