//! Writing rows into the tree, each with its index entries and its share of the statistics.
//!
//! A tree changes in units, and a crash may fall between any two. So that the statistics
//! are always those of the rows that are there, a unit carries both: some rows, and what
//! they change in the statistics. Within one tick a key may change once, therefore each unit
//! has its own slot of every workflow's statistics; what counts is the sum of the slots.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use backstitch_core::statistics::RunStatistics;
use backstitch_core::summary::RunSummary;

use crate::bytes::Malformed;
use crate::error::Error;
use crate::fence::{FencedTree, Unit};
use crate::keys;
use crate::locks::lock;
use crate::record::{decode_row, encode_row};
use crate::store::encode_applied;
use crate::views::row::{self, Row};
use crate::views::table::{Entry, Table, malformed};

/// First byte of the statistics' keys; no index has it.
const TALLY: u8 = b'#';
/// Slots of each workflow's statistics, and so units of one tick.
const SLOTS: usize = 64;
/// Rows that are looked up together before they are written.
const ROWS_AT_ONCE: usize = 256;
/// Bytes of rows that go into the tree together.
const UNIT_BYTES: usize = 20 * 1024;

/// Whose statistics: a namespace, a workflow, and the arm of a roll-out with its revision.
type Key = (String, String, Arm);
/// None for the runs that fell into no arm.
type Arm = Option<(String, u32)>;

/// Statistics by namespace, workflow and arm.
#[derive(Debug, Default)]
pub(super) struct Tallies(BTreeMap<Key, RunStatistics>);

impl Tallies {
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

    /// Counts that a row became another one.
    pub(super) fn change(&mut self, old: Option<&RunSummary>, new: Option<&RunSummary>) {
        let mut of = |row: &RunSummary, count: fn(&mut RunStatistics, &RunSummary)| {
            let arm = row.variant.as_ref().map(|name| (name.to_string(), row.revision));
            let key = (row.namespace.to_string(), row.workflow.to_string(), arm);
            count(self.0.entry(key).or_default(), row);
        };
        old.into_iter().for_each(|row| of(row, RunStatistics::take_away));
        new.into_iter().for_each(|row| of(row, RunStatistics::add));
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
            match key_of(&key[1..]).and_then(|key| Ok((key, decode_row(value)?))) {
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
            let mut key = bytes_of(whose);
            key.push(u8::try_from(slot).expect("there are few slots"));
            let mut sum: RunStatistics = match tree.get(&key)? {
                Some(bytes) => decode_row(&bytes).map_err(|e| malformed(tree, &e))?,
                None => RunStatistics::default(),
            };
            sum.merge(share);
            unit.push((key, (!sum.is_empty()).then(|| encode_row(&sum))));
        }
        Ok(unit)
    }
}

/// A key's bytes, but for the slot. Revisions are counted from 1: 0 says that there is no arm.
fn bytes_of((namespace, workflow, arm): &Key) -> Vec<u8> {
    let mut key = vec![TALLY];
    keys::push_text(&mut key, namespace);
    keys::push_text(&mut key, workflow);
    let (name, revision) = arm.as_ref().map_or(("", 0), |(name, own)| (name.as_str(), *own));
    keys::push_text(&mut key, name);
    key.extend(revision.to_be_bytes());
    key
}

fn key_of(key: &[u8]) -> Result<Key, Malformed> {
    let bad = || Malformed::because("a key of the statistics names no workflow");
    let (namespace, rest) = keys::text_of(key).ok_or_else(bad)?;
    let (workflow, rest) = keys::text_of(rest).ok_or_else(bad)?;
    let (name, rest) = keys::text_of(rest).ok_or_else(bad)?;
    let (revision, _) = rest.split_first_chunk().ok_or_else(bad)?;
    let revision = u32::from_be_bytes(*revision);
    let arm = (revision > 0).then(|| (name.to_owned(), revision));
    Ok((namespace.to_owned(), workflow.to_owned(), arm))
}

/// Rows that go into the tree together, and what they change in the statistics.
#[derive(Default)]
struct Group {
    unit: Unit,
    bytes: usize,
    tallies: Tallies,
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
            let mut sum = Tallies::default();
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
    fn groups(&self, changed: &[(R::Id, Entry<R>)]) -> Result<(Vec<Group>, usize), Error> {
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
            group.tallies.change(old.as_ref().and_then(Row::counted), new.and_then(Row::counted));
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
