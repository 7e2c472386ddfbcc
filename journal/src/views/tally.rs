//! Writing rows into the tree, each with its index entries and its share of the statistics.
//!
//! A tree changes in units, and a crash may fall between any two. So that the statistics
//! are always those of the rows that are there, a unit carries both: some rows, and what
//! they change in the statistics. Within one tick a key may change once, therefore each unit
//! has its own slot of every workflow's statistics; what counts is the sum of the slots.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use backstitch_core::statistics::RunStatistics;

use crate::error::Error;
use crate::fence::{FencedTree, Unit};
use crate::locks::lock;
use crate::record::{decode_row, encode_row};
use crate::store::encode_applied;
use crate::views::row::{self, Row};
use crate::views::share::{Arm, Share};
use crate::views::table::{Entry, ROWS_AT_ONCE, Table, malformed};

/// First byte of the statistics' keys; no index has it.
const TALLY: u8 = b'#';
/// Slots of each workflow's statistics, and so units of one tick.
const SLOTS: usize = 64;
/// Bytes of rows that go into the tree together.
const UNIT_BYTES: usize = 20 * 1024;
/// Rows that what is made of all histories keeps in memory before it writes them.
pub(super) const ROWS_SPILLED: usize = 4_096;

/// Counts by what is counted together.
#[derive(Debug)]
pub(super) struct Tallies<S: Share>(BTreeMap<S::Key, S>);

impl<S: Share> Default for Tallies<S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl Tallies<RunStatistics> {
    /// Of each workflow of each namespace, its arms together.
    pub(super) fn by_workflow(&self) -> BTreeMap<(String, String), RunStatistics> {
        let mut all: BTreeMap<_, RunStatistics> = BTreeMap::new();
        for ((namespace, workflow, _), share) in &self.0 {
            all.entry((namespace.clone(), workflow.clone())).or_default().merge(share);
        }
        all
    }

    /// Of each arm of a workflow.
    pub(super) fn of_arms(
        &self,
        namespace: &str,
        workflow: &str,
    ) -> impl Iterator<Item = (&Arm, &RunStatistics)> {
        let name = (namespace.to_owned(), workflow.to_owned());
        let from = self.0.range((name.0.clone(), name.1.clone(), None)..);
        let own = from.take_while(move |((space, own, _), _)| (space, own) == (&name.0, &name.1));
        own.map(|((_, _, arm), share)| (arm, share))
    }
}

impl<S: Share> Tallies<S> {
    /// Everything that is counted.
    pub(super) fn all(&self) -> impl Iterator<Item = (&S::Key, &S)> {
        self.0.iter()
    }

    /// Counts that a row became another one.
    pub(super) fn change(&mut self, old: Option<&S::Row>, new: Option<&S::Row>) {
        let mut of = |row: &S::Row, count: fn(&mut S, &S::Row)| {
            if let Some(key) = S::key(row) {
                count(self.0.entry(key).or_default(), row);
            }
        };
        old.into_iter().for_each(|row| of(row, S::take_away));
        new.into_iter().for_each(|row| of(row, S::add));
    }

    fn merge(&mut self, other: &Self) {
        for (key, share) in &other.0 {
            self.0.entry(key.clone()).or_default().merge(share);
        }
        self.0.retain(|_, share| !share.is_empty());
    }

    /// The sums of all slots of a tree.
    pub(super) fn load(tree: &FencedTree) -> Result<Self, Error> {
        let mut tallies = Self::default();
        let mut broken = None;
        let prefix = [TALLY];
        tree.scan(&prefix, &prefix, |key, value| {
            match S::key_of(&key[1..]).and_then(|key| Ok((key, decode_row(value)?))) {
                Ok((key, share)) => {
                    tallies.merge(&Self(BTreeMap::from([(key, share)])));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    broken = Some(malformed(tree, &error));
                    ControlFlow::Break(())
                }
            }
        })?;
        broken.map_or(Ok(tallies), Err)
    }

    /// What adding these shares to a slot changes in the tree.
    fn unit(&self, tree: &FencedTree, slot: usize) -> Result<Unit, Error> {
        let mut unit = Unit::new();
        for (whose, share) in self.0.iter().filter(|(_, share)| !share.is_empty()) {
            let mut key = vec![TALLY];
            S::push_key(whose, &mut key);
            key.push(u8::try_from(slot).expect("there are few slots"));
            let mut sum: S = match tree.get(&key)? {
                Some(bytes) => decode_row(&bytes).map_err(|e| malformed(tree, &e))?,
                None => S::default(),
            };
            sum.merge(share);
            unit.push((key, (!sum.is_empty()).then(|| encode_row(&sum))));
        }
        Ok(unit)
    }
}

/// Some of them, and how many rows they hold.
type Groups<S> = (Vec<Group<S>>, usize);

/// Rows that go into the tree together, and what they change in the statistics.
struct Group<S: Share> {
    unit: Unit,
    bytes: usize,
    tallies: Tallies<S>,
}

impl<S: Share> Default for Group<S> {
    fn default() -> Self {
        Self { unit: Unit::new(), bytes: 0, tallies: Tallies::default() }
    }
}

impl<R: Row> Table<R> {
    /// Writes the rows that changed into the tree, durably, and notes what is applied.
    ///
    /// # Errors
    /// If the tree cannot be read or written; it must not be used any more then.
    pub(super) fn tick(&self, applied: &[u64]) -> Result<(), Error> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let before = lock(&self.applied).clone();
        let changed = self.changed_in_order();
        let mut rest = changed.as_slice();
        loop {
            let (groups, taken) = self.groups(rest)?;
            let (written, later) = rest.split_at(taken);
            let mut units = Vec::new();
            let mut sum = Tallies::<R::Share>::default();
            for (slot, group) in groups.into_iter().enumerate() {
                let mut unit = group.unit;
                unit.extend(group.tallies.unit(tree, slot)?);
                units.push(unit);
                sum.merge(&group.tallies);
            }
            let reached = if later.is_empty() { applied } else { &before };
            tree.tick(units, &encode_applied(reached))?;
            lock(&self.tallies).merge(&sum);
            reached.clone_into(&mut lock(&self.applied));
            self.written(written);
            if later.is_empty() {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Writes what changed if it is much: what is made of all histories keeps so little in memory.
    /// How far the tree has come stays as it is.
    ///
    /// # Errors
    /// If the tree cannot be read or written; it must not be used any more then.
    pub(super) fn spill(&self) -> Result<(), Error> {
        if self.changed_count() < ROWS_SPILLED {
            return Ok(());
        }
        let applied = lock(&self.applied).clone();
        self.tick(&applied)
    }

    /// The rows that changed, in the order of lists: what goes into the tree together then
    /// lies together there.
    fn changed_in_order(&self) -> Vec<(R::Id, Entry<R>)> {
        let mut rows: Vec<(R::Id, Entry<R>)> = {
            let changed = lock(&self.changed);
            changed.rows.iter().map(|(id, entry)| (*id, entry.clone())).collect()
        };
        rows.sort_by_cached_key(|(id, entry)| {
            (entry.row.as_ref().map(|row| row::turned(row.at())), R::id_key(id))
        });
        rows
    }

    /// What the first of these rows change, as much as one tick of the tree takes, and how
    /// many rows those are.
    fn groups(&self, changed: &[(R::Id, Entry<R>)]) -> Result<Groups<R::Share>, Error> {
        let (mut groups, mut group) = (Vec::new(), Group::default());
        let mut stored = HashMap::new();
        for (taken, (id, entry)) in changed.iter().enumerate() {
            if groups.len() == SLOTS {
                return Ok((groups, taken));
            }
            if taken.is_multiple_of(ROWS_AT_ONCE) {
                let next = changed[taken..].iter().take(ROWS_AT_ONCE);
                stored = self.stored_among(next.map(|(id, _)| id))?;
            }
            let (old, new) = (stored.remove(id), entry.row.as_deref());
            let is_known = match (&old, new) {
                (Some(old), Some(new)) => !entry.forced && old.version() >= new.version(),
                (None, None) => true,
                _ => false,
            };
            if is_known {
                continue;
            }
            for (key, value) in difference(id, old.as_ref(), new) {
                group.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                group.unit.push((key, value));
            }
            group.tallies.change(old.as_ref(), new);
            if group.bytes >= UNIT_BYTES {
                groups.push(std::mem::take(&mut group));
            }
        }
        if !group.unit.is_empty() {
            groups.push(group);
        }
        Ok((groups, changed.len()))
    }

    /// Forgets rows that are written, unless they changed again.
    fn written(&self, rows: &[(R::Id, Entry<R>)]) {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            let mut changed = lock(&self.changed);
            for (id, entry) in rows {
                if changed.rows.get(id).is_some_and(|known| known.change == entry.change) {
                    changed.rows.remove(id);
                    if let Some(row) = &entry.row {
                        changed.order.remove(&row::place(row.as_ref()));
                    }
                }
            }
        }
    }
}

/// What a row's change changes in the tree: the row, and the index entries that differ.
fn difference<R: Row>(id: &R::Id, old: Option<&R>, new: Option<&R>) -> Unit {
    let entries = |row: Option<&R>| -> Vec<Vec<u8>> {
        let Some(row) = row else { return Vec::new() };
        let place = row::place(row);
        row.indexes().into_iter().map(|index| [index, place.clone()].concat()).collect()
    };
    let (gone, come) = (entries(old), entries(new));
    let mut unit = vec![(row::row_key::<R>(id), new.map(encode_row))];
    unit.extend(gone.iter().filter(|key| !come.contains(key)).map(|key| (key.clone(), None)));
    let fresh = come.iter().filter(|key| !gone.contains(key));
    unit.extend(fresh.map(|key| (key.clone(), Some(Vec::new()))));
    unit
}
