//! Removed runs in the store: taken out of the tree whole, with a mark left in their place.
//!
//! A removal is one unit of the tree: its mark is there if and only if nothing is left of what
//! was before it. So replaying the log's end knows what is behind it already.

use std::collections::HashSet;
use std::ops::ControlFlow;

use backstitch_core::ids::StreamId;

use super::{Store, history_prefix, live_key};
use crate::error::Error;
use crate::fence::Unit;
use crate::keys;
use crate::pending::Selection;
use crate::record::{decode_row, encode_row};
use crate::removal::{self, RemovedRun};

const REMOVED: u8 = b't';
/// Marks that one tick forgets.
const MARKS_FORGOTTEN_PER_TICK_MAX: usize = 4_096;

impl Store {
    /// When and why a run was removed, if it was and the log still reaches back to it.
    pub(crate) fn removed_run(&self, stream: &StreamId) -> Result<Option<RemovedRun>, Error> {
        if removal::decided_in(stream).is_none() {
            return Ok(None);
        }
        match self.pending.removed(stream) {
            Some(mark) => Ok(Some(mark)),
            None => self.stored_mark(stream),
        }
    }

    /// Whether the tree knows that a run was removed at a position or behind it.
    pub(super) fn is_removed_at(&self, stream: &StreamId, position: u64) -> Result<bool, Error> {
        if removal::decided_in(stream).is_none() {
            return Ok(false);
        }
        Ok(self.stored_mark(stream)?.is_some_and(|mark| position <= mark.position))
    }

    fn stored_mark(&self, stream: &StreamId) -> Result<Option<RemovedRun>, Error> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let Some(bytes) = tree.get(&mark_key(stream))? else { return Ok(None) };
        decode_row(&bytes).map(Some).map_err(|e| self.broken(stream, &e))
    }

    /// Every run that the tree knows to be removed.
    pub(crate) fn removed_runs(&self) -> Result<Vec<(StreamId, RemovedRun)>, Error> {
        let mut found = Vec::new();
        let Some(tree) = &self.tree else { return Ok(found) };
        let mut failure = None;
        tree.scan(&[REMOVED], &[REMOVED], |key, value| {
            match (keys::stream_of(&key[1..]), decode_row(value)) {
                (Ok((stream, _)), Ok(mark)) => {
                    found.push((stream, mark));
                    ControlFlow::Continue(())
                }
                (Err(error), _) | (_, Err(error)) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        let broken = |error| Error::Store {
            path: tree.path().to_owned(),
            detail: format!("the mark of a removed run is malformed: {error}"),
        };
        failure.map_or(Ok(found), |error| Err(broken(error)))
    }

    /// Takes marks away that a selection wants forgotten, a bounded number. Answers whether
    /// those were all.
    pub(super) fn forget_units(
        &self,
        selection: &Selection,
        units: &mut Vec<Unit>,
    ) -> Result<bool, Error> {
        let Some(sequences) = &selection.forget else { return Ok(false) };
        let renewed: HashSet<&StreamId> = selection.removed.iter().map(|(run, _)| run).collect();
        let goes = |run: &StreamId, mark: &RemovedRun| {
            let partition = removal::decided_in(run);
            let until = partition.and_then(|own| sequences.get(usize::from(own.0)));
            until.is_some_and(|until| mark.sequence <= *until) && !renewed.contains(run)
        };
        let marks = self.removed_runs()?;
        let gone: Vec<_> = marks.iter().filter(|(run, mark)| goes(run, mark)).collect();
        let now = gone.iter().take(MARKS_FORGOTTEN_PER_TICK_MAX);
        units.extend(now.map(|(run, _)| vec![(mark_key(run), None)]));
        Ok(gone.len() <= MARKS_FORGOTTEN_PER_TICK_MAX)
    }

    /// What removing a run changes in the tree.
    pub(super) fn removal_unit(&self, stream: &StreamId, mark: &RemovedRun) -> Result<Unit, Error> {
        let mut unit = vec![(mark_key(stream), Some(encode_row(mark))), (live_key(stream), None)];
        let Some(tree) = &self.tree else { return Ok(unit) };
        let prefix = history_prefix(stream);
        tree.scan(&prefix, &prefix, |key, _| {
            unit.push((key.to_vec(), None));
            ControlFlow::Continue(())
        })?;
        Ok(unit)
    }
}

fn mark_key(stream: &StreamId) -> Vec<u8> {
    let mut key = vec![REMOVED];
    key.extend(keys::stream(stream));
    key
}
