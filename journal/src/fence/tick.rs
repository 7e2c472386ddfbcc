//! Ticks: changing a tree so that a crash leaves it provable.
//!
//! See the head of [`super`] for the order of the writes.

use std::collections::HashMap;
use std::time::Instant;

use crate::error::Error;
use crate::fence::recent::{Changed, RecentTick, mark_of_hash};
use crate::fence::{FencedTree, TreeState, Unit};
use crate::locks::lock;
use crate::marks::{Marks, STATES_MAX, Totals, hash_of};
use crate::sled::VALUE_BYTES_MAX;

/// Changes applied as one batch of sled, unless one unit is larger. While a batch is applied
/// sled frees none of the pages it replaces: batches of 512 KiB of small rows took gigabytes.
pub(super) const BATCH_BYTES_MAX: usize = 32 * 1024;

/// An entry's hash and its bytes.
type Counted = ([u8; 32], u64);

/// A change of one key, with what it does to the totals.
pub(super) struct Planned {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub old: Option<Counted>,
    pub new: Option<Counted>,
}

/// Changes applied as one, and the tree's totals after it.
struct PlannedBatch {
    changes: Vec<Planned>,
    after: Totals,
}

impl FencedTree {
    /// Applies units in order, durably, and notes `applied` with the last one. A crash
    /// leaves the tree between two batches of units, with what was applied before.
    /// Within one tick each key may change once.
    ///
    /// # Errors
    /// If the file system or sled fails, or the tree was found damaged; then it must not be
    /// used any more.
    ///
    /// # Panics
    /// If a value is over [`VALUE_BYTES_MAX`] or a key comes twice.
    pub(crate) fn tick(&self, units: Vec<Unit>, applied: &[u8]) -> Result<(), Error> {
        let longest = units.iter().flatten().filter_map(|(_, value)| Some(value.as_ref()?.len()));
        let bytes = longest.max().unwrap_or_default();
        assert!(bytes <= VALUE_BYTES_MAX, "a value of {bytes} bytes would make a blob file");
        let began = Instant::now();
        let mut state = lock(&self.state);
        if let Some(reason) = self.distrusted.get() {
            return Err(self.distrust(reason));
        }
        let batches = self.plan(units, state.totals)?;
        if batches.is_empty() && state.applied == applied {
            return Ok(());
        }
        let changed = self.apply_all(batches, applied, &mut state);
        changed.map_err(|error| self.failed_to_change(&mut state, error))?;
        let tick_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.note(&state, |figures| figures.tick_us = tick_us);
        Ok(())
    }

    fn apply_all(
        &self,
        batches: Vec<PlannedBatch>,
        applied: &[u8],
        state: &mut TreeState,
    ) -> Result<(), Error> {
        let mut rest = batches;
        loop {
            let later = rest.split_off(self.together(&rest, state));
            let after = if later.is_empty() { applied.to_vec() } else { state.applied.clone() };
            self.apply(&rest, after, state)?;
            self.renew_if_due(state)?;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// How many batches are applied as one tick of the marks: as many as have room there, and
    /// no more changes than a quick open should look up, but for the first batch.
    fn together(&self, batches: &[PlannedBatch], state: &TreeState) -> usize {
        let (mut changes, changes_max) = (0, self.recent_changes_max(state));
        let fitting = batches.iter().take(STATES_MAX - 1).take_while(|batch| {
            changes += batch.changes.len() as u64;
            changes <= changes_max
        });
        fitting.count().max(1).min(batches.len())
    }

    fn apply(
        &self,
        batches: &[PlannedBatch],
        applied_after: Vec<u8>,
        state: &mut TreeState,
    ) -> Result<(), Error> {
        let states =
            [state.totals].into_iter().chain(batches.iter().map(|batch| batch.after)).collect();
        state.unsettled = true;
        state.tick += 1;
        if let Some(recent) = &mut state.recent {
            let batches = batches.iter().map(PlannedBatch::recent).collect();
            recent.append(&RecentTick { tick: state.tick, batches })?;
        }
        self.marks.write(&Marks {
            tick: state.tick,
            applied_after: applied_after.clone(),
            applied_before: state.applied.clone(),
            states,
            counted: true,
            rewritten_bytes: state.rewritten_bytes,
            conf: state.conf.clone(),
        })?;
        for batch in batches {
            let changes = &batch.changes;
            self.raw.apply(changes.iter().map(|change| (&*change.key, change.value.as_deref())))?;
            state.totals = batch.after;
        }
        if !batches.is_empty() {
            self.raw.sync()?;
        }
        state.applied = applied_after;
        for batch in batches {
            self.follow(&batch.changes, state);
        }
        state.unsettled = false;
        Ok(())
    }

    /// Has those who are reading the tree take over what changed behind them.
    fn follow(&self, changes: &[Planned], state: &mut TreeState) {
        if let Some(scrub) = &mut state.scrub {
            changes.iter().for_each(|change| scrub.pass.adjust(change));
        }
        if let Some(mut rewrite) = state.rewrite.take() {
            match rewrite.follow(changes) {
                Ok(()) => state.rewrite = Some(rewrite),
                Err(error) => self.give_up_rewrite(rewrite, state, &error),
            }
        }
    }

    /// Joins units to batches, leaving out what changes nothing, each with the tree's totals
    /// after it.
    fn plan(&self, units: Vec<Unit>, mut totals: Totals) -> Result<Vec<PlannedBatch>, Error> {
        let mut old_values = self.old_values(&units)?;
        let mut batches = Vec::new();
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for unit in units {
            let unit_bytes = unit_bytes(&unit);
            if bytes > 0 && bytes + unit_bytes > BATCH_BYTES_MAX {
                batches.push(PlannedBatch { changes: std::mem::take(&mut changes), after: totals });
                bytes = 0;
            }
            for (key, value) in unit {
                let old = old_values.remove(&key);
                if old == value {
                    continue;
                }
                let counted =
                    |value: &Vec<u8>| (hash_of(&key, value), (key.len() + value.len()) as u64);
                let (old, new) = (old.as_ref().map(counted), value.as_ref().map(counted));
                if let Some((hash, bytes)) = &old {
                    totals.remove(hash, *bytes);
                }
                if let Some((hash, bytes)) = &new {
                    totals.add(hash, *bytes);
                }
                bytes += key.len() + value.as_ref().map_or(0, Vec::len) + 1;
                changes.push(Planned { key, value, old, new });
            }
        }
        if bytes > 0 {
            batches.push(PlannedBatch { changes, after: totals });
        }
        Ok(batches)
    }

    /// What the tree holds under the keys of these units.
    fn old_values(&self, units: &[Unit]) -> Result<HashMap<Vec<u8>, Vec<u8>>, Error> {
        let mut keys: Vec<&[u8]> = units.iter().flatten().map(|(key, _)| key.as_slice()).collect();
        keys.sort_unstable();
        let distinct = keys.windows(2).all(|pair| pair[0] != pair[1]);
        assert!(distinct, "a key may change once in a tick");
        let values = keys.iter().zip(self.get_many(&keys)?);
        Ok(values.filter_map(|(key, value)| Some((key.to_vec(), value?))).collect())
    }
}

impl PlannedBatch {
    fn recent(&self) -> Vec<Changed> {
        let mark = |counted: &Option<Counted>| mark_of_hash(counted.as_ref().map(|(hash, _)| hash));
        self.changes
            .iter()
            .map(|change| Changed {
                key: change.key.clone(),
                old: mark(&change.old),
                new: mark(&change.new),
            })
            .collect()
    }
}

fn unit_bytes(unit: &Unit) -> usize {
    unit.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}
