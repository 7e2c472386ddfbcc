//! Checkpoints of live runs: a cache that shortens the next start.
//!
//! Keys: a run's stream + part -> the checkpoint's bytes, cut into values sled can hold. A
//! tree that cannot be trusted, or was made for another store or generation, is emptied. So is
//! one that is ahead of the log: a log that lost its end goes on otherwise, and a checkpoint of
//! what was lost would fit the versions of what came instead. Knows nothing of what is in one.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use backstitch_core::checkpoint::Checkpoint;
use backstitch_core::ids::{ExecutionId, StreamId};

use crate::commit::Origin;
use crate::directory::Directory;
use crate::error::Error;
use crate::fence::{FencedTree, TreeOptions, Unit};
use crate::keys;
use crate::locks::lock;
use crate::record::{decode_checkpoint, encode_checkpoint};
use crate::sled::VALUE_BYTES_MAX;
use crate::store::{decode_applied, encode_applied};

/// Checkpoints that may wait to be written; beyond it new ones are dropped.
const PENDING_MAX: usize = 65_536;

/// All checkpoints of a store; journals in memory keep none.
pub(crate) struct Checkpoints {
    place: Option<Place>,
    /// Made with the first checkpoint.
    tree: OnceLock<FencedTree>,
    state: Mutex<State>,
}

/// Where the tree is, or is to be made.
struct Place {
    path: PathBuf,
    marks: PathBuf,
    options: TreeOptions,
    /// What the tree says of itself: which store and generation it was made for.
    made_for: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// Runs that have one in the tree.
    kept: HashSet<ExecutionId>,
    pending: Changes,
}

/// Checkpoints to be written, or removed if there is nothing.
pub(crate) type Changes = HashMap<ExecutionId, Option<Box<Checkpoint>>>;

impl Checkpoints {
    /// No checkpoints, for journals in memory.
    pub(crate) fn none() -> Self {
        Self { place: None, tree: OnceLock::new(), state: Mutex::default() }
    }

    /// Opens the tree if there is one that can be trusted and the log, which ends at `sequences`,
    /// holds all it was made of; answers why it was removed, if it was.
    pub(crate) fn open(
        directory: &Directory,
        origin: &Origin,
        options: TreeOptions,
        sequences: &[u64],
    ) -> Result<(Self, Option<String>), Error> {
        let mut made_for = origin.store.to_vec();
        made_for.extend(origin.generation.to_le_bytes());
        let (path, marks) = (directory.checkpoints(), directory.checkpoints_marks());
        let mut own = Self::none();
        let why = match path.exists() {
            false => None,
            true => match FencedTree::open(&path, &marks, options)? {
                Ok((tree, applied)) => match applied.strip_prefix(made_for.as_slice()) {
                    None => Some("they are of another store or generation".to_owned()),
                    Some(noted) => match decode_applied(noted, sequences.len()) {
                        Some(noted) if noted.iter().zip(sequences).all(|(own, log)| own <= log) => {
                            own = Self::over(tree)?;
                            None
                        }
                        Some(_) => Some("the log has lost what they were made of".to_owned()),
                        None => Some("they do not say what they were made of".to_owned()),
                    },
                },
                Err(untrusted) => Some(untrusted.0),
            },
        };
        if why.is_some() {
            FencedTree::discard(&path, &marks)?;
        }
        own.place = Some(Place { path, marks, options, made_for });
        Ok((own, why))
    }

    fn over(tree: FencedTree) -> Result<Self, Error> {
        let mut kept = HashSet::new();
        tree.scan(&[], &[], |key, _| {
            if let Ok((StreamId::Execution(run), _)) = keys::stream_of(key) {
                kept.insert(run);
            }
            ControlFlow::Continue(())
        })?;
        let state = Mutex::new(State { kept, pending: HashMap::new() });
        Ok(Self { place: None, tree: OnceLock::from(tree), state })
    }

    /// Its tree, if there is one.
    pub(crate) fn tree(&self) -> Option<&FencedTree> {
        self.tree.get()
    }

    /// Gives the tree's files back.
    pub(crate) fn close(&self) {
        self.tree.get().into_iter().for_each(FencedTree::close);
    }

    /// How many runs have one.
    pub(crate) fn count(&self) -> usize {
        lock(&self.state).kept.len()
    }

    /// Takes newer checkpoints of some runs.
    pub(crate) fn put(&self, made: Vec<(ExecutionId, Box<Checkpoint>)>) {
        if self.place.is_none() {
            return;
        }
        let mut state = lock(&self.state);
        for (run, checkpoint) in made {
            if state.pending.len() < PENDING_MAX || state.pending.contains_key(&run) {
                state.pending.insert(run, Some(checkpoint));
            }
        }
    }

    /// Forgets the checkpoints of runs that need none any more.
    pub(crate) fn remove<'a>(&self, runs: impl Iterator<Item = &'a StreamId>) {
        let mut state = lock(&self.state);
        for stream in runs {
            let StreamId::Execution(run) = stream else { continue };
            if state.kept.contains(run) {
                state.pending.insert(*run, None);
            } else {
                state.pending.remove(run);
            }
        }
    }

    /// The newest written checkpoint of a run; nothing if there is none that reads.
    pub(crate) fn get(&self, run: &ExecutionId) -> Result<Option<Checkpoint>, Error> {
        let Some(tree) = self.tree.get() else { return Ok(None) };
        if !lock(&self.state).kept.contains(run) {
            return Ok(None);
        }
        let (prefix, mut bytes) = (prefix(run), Vec::new());
        tree.scan(&prefix, &prefix, |_, value| {
            bytes.extend(value);
            ControlFlow::Continue(())
        })?;
        Ok(decode_checkpoint(&bytes).ok())
    }

    /// Takes what is to be written; the log must be synced before it is.
    pub(crate) fn take(&self) -> Changes {
        let mut state = lock(&self.state);
        let taken = std::mem::take(&mut state.pending);
        // From here on whoever wants one removed must say so in the next ones.
        let made = taken.iter().filter(|(_, checkpoint)| checkpoint.is_some());
        state.kept.extend(made.map(|(run, _)| *run));
        taken
    }

    /// Writes what was taken, durably. They are made of commits up to `sequences`.
    pub(crate) fn write(&self, pending: Changes, sequences: &[u64]) -> Result<(), Error> {
        let Some(place) = &self.place else { return Ok(()) };
        if pending.is_empty() {
            return Ok(());
        }
        let mut applied = place.made_for.clone();
        applied.extend(encode_applied(sequences));
        let tree = self.made(place, &applied)?;
        let mut units = Vec::with_capacity(pending.len());
        let mut kept = Vec::with_capacity(pending.len());
        for (run, checkpoint) in pending {
            let bytes = checkpoint.and_then(|checkpoint| encode_checkpoint(&*checkpoint));
            kept.push((run, bytes.is_some()));
            units.push(unit(tree, &run, bytes.as_deref().unwrap_or_default())?);
        }
        tree.tick(units, &applied)?;
        let mut state = lock(&self.state);
        for (run, is_kept) in kept {
            if is_kept {
                state.kept.insert(run)
            } else {
                state.kept.remove(&run)
            };
        }
        Ok(())
    }

    /// The tree, made if there is none yet. Only ticks call this, one after the other.
    fn made(&self, place: &Place, applied: &[u8]) -> Result<&FencedTree, Error> {
        if self.tree.get().is_none() {
            let Place { path, marks, options, .. } = place;
            let tree = FencedTree::create(path, marks, *options, applied)?;
            drop(self.tree.set(tree));
        }
        Ok(self.tree.get().expect("it was made just now"))
    }
}

/// What writing a checkpoint changes: its parts, and those of a longer one before it.
fn unit(tree: &FencedTree, run: &ExecutionId, bytes: &[u8]) -> Result<Unit, Error> {
    let prefix = prefix(run);
    let key = |part: u16| {
        let mut key = prefix.clone();
        key.extend(part.to_be_bytes());
        key
    };
    let mut unit: Unit = (0u16..)
        .zip(bytes.chunks(VALUE_BYTES_MAX))
        .map(|(part, value)| (key(part), Some(value.to_vec())))
        .collect();
    let from = key(u16::try_from(unit.len()).expect("a checkpoint has few parts"));
    tree.scan(&prefix, &from, |key, _| {
        unit.push((key.to_vec(), None));
        ControlFlow::Continue(())
    })?;
    Ok(unit)
}

fn prefix(run: &ExecutionId) -> Vec<u8> {
    keys::stream(&StreamId::Execution(*run))
}
