//! The line of one workflow: who has begun, and who waits in which lane.
//!
//! Runs with the same keys wait in one lane, so that those of one customer hold up no others;
//! the first of each lane whose keys have room are listed together, so that whoever is next is
//! found without looking at the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use backstitch_core::event::SlotKey;
use backstitch_core::ids::ExecutionId;

use super::claim::{Claim, Since, most};
use super::lane::{CLASSES, Lane, LaneName, class_of, classes_like, lane_of};
use super::shown::{HOLDERS_SHOWN_MAX, Held, KEYS_SHOWN_MAX, KeyedRuns, Limit};
use crate::catalog::Name;

/// Younger runs that may go before one that waits for several keys, and take one of them; then
/// its keys are kept for it. Without this it could wait for ever: they need not be free together.
/// Children take them all the same: whoever is above one waits for it, and may hold what the older
/// run waits for.
const OVERTAKEN_MAX: u32 = 32;

/// One workflow's runs.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Those that have begun and count against its own limit.
    holders: BTreeMap<ExecutionId, Held>,
    keys: BTreeMap<Arc<str>, Key>,
    lanes: BTreeMap<LaneName, Lane>,
    /// The first of each lane that its keys have room for, by class.
    listed: [BTreeMap<Since, LaneName>; CLASSES],
    /// Where each waits.
    places: HashMap<ExecutionId, (LaneName, usize, Since)>,
    /// Those that wait: high, medium, low.
    lengths: [usize; 3],
    /// Those that wait for several keys.
    several: BTreeSet<(Since, LaneName)>,
    /// How many went before the first of them, and whether its keys are kept for it.
    overtaken: u32,
    kept_for: Option<(ExecutionId, LaneName)>,
    /// Runs whose waiting is durable and has others make room.
    pub(super) displacing: BTreeSet<ExecutionId>,
    /// The limits of the revisions met.
    max_runs: Option<usize>,
}

/// Runs with the same key.
#[derive(Debug, Default)]
pub(super) struct Key {
    pub(super) holders: BTreeMap<ExecutionId, Held>,
    lanes: BTreeSet<LaneName>,
    /// The smallest and the largest limit met.
    least: Option<usize>,
    most: usize,
}

impl Line {
    pub(super) fn is_full(&self, max_runs: Option<usize>) -> bool {
        max_runs.is_some_and(|max| self.holders.len() >= max)
    }

    pub(super) fn is_key_full(&self, own: &SlotKey) -> bool {
        let held = self.keys.get(&own.key).map_or(0, |key| key.holders.len());
        held >= most(own.max_runs)
    }

    /// Whether all limits of the workflow have room for a run.
    pub(super) fn has_room(&self, claim: &Claim) -> bool {
        !(claim.whole && self.is_full(claim.max_runs)) && self.keys_have_room(claim)
    }

    fn keys_have_room(&self, claim: &Claim) -> bool {
        let kept = self.kept_for.as_ref().is_some_and(|(run, lane)| {
            *run != claim.run
                && !claim.is_child()
                && claim.keys.iter().any(|own| lane.contains(&own.key))
        });
        !kept && !claim.keys.iter().any(|own| self.is_key_full(own))
    }

    /// Whether somebody of the same kind waits who goes before one that comes.
    pub(super) fn has_waiting(&self, claim: &Claim) -> bool {
        let lane = self.lanes.get(&lane_of(claim));
        lane.is_some_and(|lane| lane.has_waiting(claim))
            || classes_like(claim).any(|class| !self.listed[class].is_empty())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.holders.is_empty() && self.places.is_empty() && self.keys.is_empty()
    }

    /// Whether a run holds all that it wants.
    pub(super) fn holds(&self, claim: &Claim) -> bool {
        let of_key = |own: &SlotKey| self.key_holders(&own.key).any(|run| run == claim.run);
        (claim.whole || !claim.keys.is_empty())
            && (!claim.whole || self.is_held_by(claim.run))
            && claim.keys.iter().all(of_key)
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = (ExecutionId, Held)> + '_ {
        self.holders.iter().map(|(run, held)| (*run, held.clone()))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&Arc<str>, &Key)> {
        self.keys.iter()
    }

    pub(super) fn key_holders(&self, key: &str) -> impl Iterator<Item = ExecutionId> + '_ {
        self.keys.get(key).into_iter().flat_map(|own| own.holders.keys().copied())
    }

    /// Runs of a seat that hold anything.
    pub(super) fn held(&self, seat: u64) -> impl Iterator<Item = ExecutionId> + '_ {
        let keyed = self.keys.values().flat_map(|own| &own.holders);
        let all = self.holders.iter().chain(keyed);
        all.filter(move |(_, held)| held.seat == seat).map(|(run, _)| *run)
    }

    /// Notes since when a run goes on, wherever it holds anything.
    pub(super) fn note_begun(&mut self, claim: &Claim) {
        let begun = |held: &mut Held| held.since = claim.begun_at;
        self.holders.get_mut(&claim.run).into_iter().for_each(begun);
        for own in &claim.keys {
            let key = self.keys.get_mut(&own.key);
            key.and_then(|key| key.holders.get_mut(&claim.run)).into_iter().for_each(begun);
        }
    }

    pub(super) fn is_held_by(&self, run: ExecutionId) -> bool {
        self.holders.contains_key(&run)
    }

    pub(super) fn is_key_held_by(&self, key: &str, run: ExecutionId) -> bool {
        self.keys.get(key).is_some_and(|own| own.holders.contains_key(&run))
    }

    pub(super) fn hold(&mut self, seat: u64, claim: &Claim) {
        self.leave(claim);
        self.meet(claim);
        self.overtake(claim);
        let held = Held::of(seat, claim);
        if claim.whole {
            self.holders.insert(claim.run, held.clone());
        }
        for own in &claim.keys {
            let key = self.keys.entry(own.key.clone()).or_default();
            let before = key.holders.len();
            key.holders.insert(claim.run, held.clone());
            self.counted(&own.key, before);
        }
    }

    /// The run counts against the workflow's own limit no more.
    pub(super) fn release_whole(&mut self, run: ExecutionId) {
        self.holders.remove(&run);
    }

    /// The run counts against the limit of a key no more.
    pub(super) fn release_key(&mut self, key: &str, run: ExecutionId) {
        if let Some(own) = self.keys.get_mut(key) {
            let before = own.holders.len();
            own.holders.remove(&run);
            self.counted(key, before);
            self.drop_idle(key);
        }
    }

    /// Another number of runs hold a key: lists anew who is next, if anybody's limit is there.
    fn counted(&mut self, key: &str, before: usize) {
        let Some(own) = self.keys.get(key) else { return };
        let more = before.max(own.holders.len());
        if before != own.holders.len() && (own.least.unwrap_or_default()..=own.most).contains(&more)
        {
            self.list_all(key);
        }
    }

    pub(super) fn release(&mut self, claim: &Claim) {
        self.release_whole(claim.run);
        claim.keys.iter().for_each(|own| self.release_key(&own.key, claim.run));
    }

    pub(super) fn wait(&mut self, seat: u64, claim: &Claim) {
        if self.holds(claim) {
            return;
        }
        let (lane, class, since) = (lane_of(claim), class_of(claim), claim.since());
        match self.places.get(&claim.run) {
            Some((known, as_class, _)) if *known == lane && *as_class == class => return,
            Some(_) => self.leave(claim),
            None => {}
        }
        self.meet(claim);
        for own in &claim.keys {
            self.keys.entry(own.key.clone()).or_default().lanes.insert(lane.clone());
        }
        self.lanes.entry(lane.clone()).or_default().insert(seat, claim);
        if lane.len() > 1 {
            self.several.insert((since, lane.clone()));
        }
        self.places.insert(claim.run, (lane.clone(), class, since));
        self.lengths[class % 3] += 1;
        self.list(&lane);
    }

    pub(super) fn leave(&mut self, claim: &Claim) {
        self.displacing.remove(&claim.run);
        let Some((lane, class, since)) = self.places.remove(&claim.run) else { return };
        self.lengths[class % 3] -= 1;
        if let Some(own) = self.lanes.get_mut(&lane) {
            own.remove(class, since);
        }
        self.list(&lane);
        if self.several.first().is_some_and(|(first, _)| *first == since) {
            self.overtaken = 0;
        }
        self.several.remove(&(since, lane.clone()));
        if self.kept_for.take_if(|(run, _)| *run == claim.run).is_some() {
            self.overtaken = 0;
            lane.iter().for_each(|key| self.list_all(key));
        }
        for key in lane.iter() {
            self.drop_idle(key);
        }
    }

    /// A run goes before those that wait for several keys and are older.
    fn overtake(&mut self, claim: &Claim) {
        let Some((since, lane)) = self.several.first() else { return };
        let (run, lane) = (since.1, lane.clone());
        if *since > claim.since() || !claim.keys.iter().any(|own| lane.contains(&own.key)) {
            return;
        }
        self.overtaken += 1;
        if self.overtaken >= OVERTAKEN_MAX && self.kept_for.is_none() {
            self.kept_for = Some((run, lane.clone()));
            lane.iter().for_each(|key| self.list_all(key));
        }
    }

    /// Lists anew who of the lanes with a key is next.
    fn list_all(&mut self, key: &str) {
        let lanes = self.keys.get(key).map(|own| own.lanes.clone()).unwrap_or_default();
        lanes.iter().for_each(|lane| self.list(lane));
    }

    fn list(&mut self, name: &LaneName) {
        let Some(mut lane) = self.lanes.remove(name) else { return };
        for (class, since) in lane.listed.drain(..) {
            self.listed[class].remove(&since);
        }
        if lane.is_empty() {
            for key in name.iter() {
                if let Some(own) = self.keys.get_mut(key) {
                    own.lanes.remove(name);
                }
            }
            return;
        }
        let free = lane.heads().filter(|(.., (_, claim))| self.keys_have_room(claim));
        let free: Vec<_> = free.map(|(class, since, _)| (class, since)).collect();
        for &(class, since) in &free {
            self.listed[class].insert(since, name.clone());
        }
        lane.listed = free;
        self.lanes.insert(name.clone(), lane);
    }

    fn drop_idle(&mut self, key: &str) {
        if self.keys.get(key).is_some_and(|own| own.holders.is_empty() && own.lanes.is_empty()) {
            self.keys.remove(key);
        }
    }

    fn meet(&mut self, claim: &Claim) {
        let least = |known: Option<usize>, own| Some(known.map_or(own, |known| known.min(own)));
        if let Some(own) = claim.max_runs {
            self.max_runs = least(self.max_runs, own);
        }
        for own in &claim.keys {
            let key = self.keys.entry(own.key.clone()).or_default();
            key.least = least(key.least, most(own.max_runs));
            key.most = key.most.max(most(own.max_runs));
        }
    }

    /// The first of each class that there is room for.
    pub(super) fn heads(&self, node_is_full: bool) -> impl Iterator<Item = (Since, &(u64, Claim))> {
        let first = self.listed.iter().enumerate();
        let first = first.filter_map(|(class, all)| {
            let (since, lane) = all.first_key_value()?;
            Some((*since, self.lanes.get(lane)?.get(class, *since)?))
        });
        first.filter(move |(_, (_, claim))| {
            !(claim.whole && self.is_full(claim.max_runs)) && (claim.is_child() || !node_is_full)
        })
    }

    pub(super) fn lengths(&self) -> [usize; 3] {
        self.lengths
    }

    /// Those that wait for the workflow's own limit, or for a key.
    pub(super) fn waiting(&self, key: Option<&str>) -> impl Iterator<Item = &(u64, Claim)> {
        let lanes = self.lanes.iter();
        let own =
            lanes.filter(move |(name, _)| key.is_none_or(|key| name.iter().any(|k| **k == *key)));
        own.flat_map(|(_, lane)| lane.claims())
            .filter(move |(_, claim)| key.is_some() || claim.whole)
    }

    /// The claim of a run that waits.
    pub(super) fn waiting_claim(&self, run: ExecutionId) -> Option<&(u64, Claim)> {
        let (lane, class, since) = self.places.get(&run)?;
        self.lanes.get(lane)?.get(*class, *since)
    }

    /// The limits of a run that are full, each with its holders.
    pub(super) fn full_of<'a>(
        &'a self,
        claim: &'a Claim,
    ) -> impl Iterator<Item = Box<dyn Iterator<Item = ExecutionId> + 'a>> {
        let mut full: Vec<Box<dyn Iterator<Item = ExecutionId> + 'a>> = Vec::new();
        if claim.whole && self.is_full(claim.max_runs) {
            full.push(Box::new(self.holders.keys().copied()));
        }
        for own in claim.keys.iter().filter(|own| self.is_key_full(own)) {
            full.push(Box::new(self.key_holders(&own.key)));
        }
        full.into_iter()
    }

    /// How many of its class and with its keys are before a run that waits.
    pub(super) fn before(&self, run: ExecutionId) -> Option<usize> {
        let (lane, class, since) = self.places.get(&run)?;
        Some(self.lanes.get(lane)?.before(*class, *since))
    }

    pub(super) fn forget_seat(&mut self, seat: u64) {
        self.holders.retain(|_, held| held.seat != seat);
        let names: Vec<_> = self.keys.keys().cloned().collect();
        for name in &names {
            if let Some(key) = self.keys.get_mut(name) {
                key.holders.retain(|_, held| held.seat != seat);
            }
        }
        let lanes = self.lanes.values().flat_map(Lane::claims);
        let gone = lanes.filter(|(own, _)| *own == seat).map(|(_, claim)| claim.clone());
        for claim in gone.collect::<Vec<_>>() {
            self.leave(&claim);
        }
        for name in &names {
            self.list_all(name);
            self.drop_idle(name);
        }
    }

    pub(super) fn shown(&self, name: &Name) -> Limit {
        Limit {
            namespace: name.0.clone(),
            workflow: name.1.clone(),
            max_runs: self.max_runs,
            running: self.holders.len(),
            holders: self.holders.iter().take(HOLDERS_SHOWN_MAX).map(Held::shown).collect(),
            waiting: self.lengths(),
            keys: self.keys.keys().take(KEYS_SHOWN_MAX).filter_map(|key| self.key(key)).collect(),
            keys_more: self.keys.len().saturating_sub(KEYS_SHOWN_MAX),
        }
    }

    pub(super) fn key(&self, key: &Arc<str>) -> Option<KeyedRuns> {
        let own = self.keys.get(key)?;
        let mut waiting = [0; 3];
        for lane in own.lanes.iter().filter_map(|name| self.lanes.get(name)) {
            waiting.iter_mut().zip(lane.lengths()).for_each(|(all, own)| *all += own);
        }
        Some(KeyedRuns {
            key: key.clone(),
            max_runs: own.least.unwrap_or_default(),
            running: own.holders.len(),
            holders: own.holders.iter().take(HOLDERS_SHOWN_MAX).map(Held::shown).collect(),
            waiting,
        })
    }
}
