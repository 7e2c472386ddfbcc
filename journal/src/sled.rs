//! The fence around sled: the one file that names it.
//!
//! sled 0.34.7 loses what it does not sync (its flush is no fdatasync, its blob files are
//! never synced) and skips damage in silence. So: values are small enough that it never
//! makes a blob, changes come in ticks, each tick ends with our own fdatasync, and marks
//! kept outside say what the whole tree must hash to. A tree that does not is dropped by
//! the caller and rebuilt from the log. Reading the whole tree at open costs about a second
//! per gigabyte of file, and up to as much memory for a moment, since sled's cache limit
//! works late.
//!
//! Knows keys and values, not what they mean.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::error::Error;
use crate::files;
use crate::locks::lock;
use crate::marks::{Marks, MarksFile, STATES_MAX, mix};
use crate::repair::{has_blobs, repair_before_open};
use crate::watchdog::under_watchdog;

/// The largest value: beyond about 21 KiB a page may outgrow a quarter of the segment and
/// go to a blob file.
pub(crate) const VALUE_BYTES_MAX: usize = 20_000;
const SEGMENT_BYTES: usize = 2 * 1024 * 1024;
/// Changes applied as one batch of sled, unless one unit is larger. While a batch is applied
/// sled frees none of the pages it replaces: batches of 512 KiB of small rows took gigabytes.
const BATCH_BYTES_MAX: usize = 32 * 1024;

/// How often to try again while sled's file is still locked, and how long apart.
const LOCK_ATTEMPTS_MAX: u32 = 400;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A change of one key: its new value, or none.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);
/// Changes that are applied together or not at all.
pub(crate) type Unit = Vec<Change>;

/// Why a tree cannot be trusted and must be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Untrusted(pub String);

/// One sled tree that changes only in ticks.
pub(crate) struct FencedTree {
    /// Gone once closed.
    db: RwLock<Option<::sled::Db>>,
    /// Our own handle of sled's one data file.
    data: File,
    path: PathBuf,
    marks: MarksFile,
    state: Mutex<TreeState>,
}

struct TreeState {
    tick: u64,
    digest: [u8; 32],
    applied: Vec<u8>,
    conf: Vec<u8>,
}

impl FencedTree {
    /// Opens a tree, reads all of it and compares it with its marks. Answers what it has
    /// applied, or why it cannot be trusted.
    ///
    /// # Errors
    /// If the file system refuses; a tree that is merely wrong is [`Untrusted`].
    pub(crate) fn open(
        path: &Path,
        marks_path: &Path,
        cache_bytes: u64,
    ) -> Result<Result<(Self, Vec<u8>), Untrusted>, Error> {
        let untrusted = |detail: &str| Ok(Err(Untrusted(detail.to_owned())));
        let Some((marks, mut newest)) = MarksFile::open(marks_path)? else {
            return untrusted("its marks are missing or damaged");
        };
        if !path.join("db").exists() {
            return untrusted("its files are missing");
        }
        repair_before_open(path, &newest.conf)?;
        if has_blobs(path)? {
            return untrusted("it has blob files");
        }
        let opened = guarded(path, || {
            let db = open_db(path, cache_bytes)?;
            let digest = digest_of(&db)?;
            Ok((db, digest))
        });
        let (db, digest) = match opened {
            Ok(opened) => opened,
            Err(error @ (Error::Full { .. } | Error::Denied { .. })) => return Err(error),
            Err(error) if is_locked(&error) => return Err(error),
            Err(error) => return untrusted(&error.to_string()),
        };
        if has_blobs(path)? {
            return untrusted("it has blob files");
        }
        let applied = match newest.states.iter().position(|state| *state == digest) {
            Some(place) if place + 1 == newest.states.len() => newest.applied_after,
            Some(_) => newest.applied_before,
            None => return untrusted("its content does not match its marks"),
        };
        let conf = std::mem::take(&mut newest.conf);
        let state = TreeState { tick: newest.tick, digest, applied: applied.clone(), conf };
        let tree = Self::of(db, path, marks, state)?;
        // What was read may be in the system's memory only.
        tree.sync()?;
        Ok(Ok((tree, applied)))
    }

    /// Makes an empty tree in place of whatever is there.
    pub(crate) fn create(
        path: &Path,
        marks_path: &Path,
        cache_bytes: u64,
        applied: &[u8],
    ) -> Result<Self, Error> {
        // Without marks the rest counts for nothing, so a crash from here on starts over.
        files::remove(marks_path)?;
        files::remove(path)?;
        let beside = path.with_extension("new");
        files::remove(&beside)?;
        guarded(&beside, || {
            let db = open_db(&beside, cache_bytes)?;
            db.flush()?;
            Ok(())
        })?;
        for name in ["db", "conf"] {
            let file = beside.join(name);
            File::open(&file)
                .and_then(|opened| opened.sync_all())
                .map_err(|e| Error::io("syncing", &file, e))?;
        }
        let conf = beside.join("conf");
        let conf = fs::read(&conf).map_err(|e| Error::io("reading", &conf, e))?;
        files::sync_directory(&beside)?;
        fs::rename(&beside, path).map_err(|e| Error::io("naming", path, e))?;
        files::sync_directory(files::parent(path))?;
        let (db, digest) = guarded(path, || {
            let db = open_db(path, cache_bytes)?;
            let digest = digest_of(&db)?;
            Ok((db, digest))
        })?;
        let applied = applied.to_vec();
        let (applied_after, applied_before) = (applied.clone(), applied.clone());
        let first = Marks {
            tick: 1,
            applied_after,
            applied_before,
            states: vec![digest],
            conf: conf.clone(),
        };
        let marks = MarksFile::create(marks_path, &first)?;
        Self::of(db, path, marks, TreeState { tick: 1, digest, applied, conf })
    }

    fn of(db: ::sled::Db, path: &Path, marks: MarksFile, state: TreeState) -> Result<Self, Error> {
        let data = path.join("db");
        let data = OpenOptions::new()
            .write(true)
            .open(&data)
            .map_err(|e| Error::io("opening", &data, e))?;
        let (db, state) = (RwLock::new(Some(db)), Mutex::new(state));
        Ok(Self { db, data, path: path.to_owned(), marks, state })
    }

    /// Applies units in order, durably, and notes `applied` with the last one. A crash
    /// leaves the tree between two batches of units, with what was applied before.
    /// Within one tick each key may change once.
    ///
    /// # Errors
    /// If the file system or sled fails; then the tree must not be used any more.
    ///
    /// # Panics
    /// If a value is over [`VALUE_BYTES_MAX`] or a key comes twice.
    pub(crate) fn tick(&self, units: Vec<Unit>, applied: &[u8]) -> Result<(), Error> {
        check(&units);
        let mut state = lock(&self.state);
        let batches = self.plan(units, state.digest)?;
        if batches.is_empty() && state.applied == applied {
            return Ok(());
        }
        let mut rest = batches.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(STATES_MAX - 1));
            let after = if later.is_empty() { applied.to_vec() } else { state.applied.clone() };
            self.apply(now, after, &mut state)?;
            rest = later;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn apply(
        &self,
        batches: &[(::sled::Batch, [u8; 32])],
        applied_after: Vec<u8>,
        state: &mut TreeState,
    ) -> Result<(), Error> {
        let states =
            [state.digest].into_iter().chain(batches.iter().map(|(_, digest)| *digest)).collect();
        state.tick += 1;
        self.marks.write(&Marks {
            tick: state.tick,
            applied_after: applied_after.clone(),
            applied_before: state.applied.clone(),
            states,
            conf: state.conf.clone(),
        })?;
        for (batch, digest) in batches {
            self.with(|db| db.apply_batch(batch.clone()))?;
            state.digest = *digest;
        }
        if !batches.is_empty() {
            self.sync()?;
        }
        state.applied = applied_after;
        Ok(())
    }

    /// Joins units to batches, leaving out what changes nothing, each with the tree's digest
    /// after it.
    fn plan(
        &self,
        units: Vec<Unit>,
        mut digest: [u8; 32],
    ) -> Result<Vec<(::sled::Batch, [u8; 32])>, Error> {
        let mut batches = Vec::new();
        let (mut batch, mut bytes) = (::sled::Batch::default(), 0);
        for unit in units {
            let unit_bytes = unit_bytes(&unit);
            if bytes > 0 && bytes + unit_bytes > BATCH_BYTES_MAX {
                batches.push((std::mem::take(&mut batch), digest));
                bytes = 0;
            }
            for (key, value) in unit {
                let old = self.get(&key)?;
                if old == value {
                    continue;
                }
                for content in [&old, &value].into_iter().flatten() {
                    mix(&mut digest, &key, content);
                }
                bytes += key.len() + value.as_ref().map_or(0, Vec::len) + 1;
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
        }
        if bytes > 0 {
            batches.push((batch, digest));
        }
        Ok(batches)
    }

    fn sync(&self) -> Result<(), Error> {
        let flushed = under_watchdog(&self.path, || self.with(::sled::Tree::flush));
        flushed?;
        let synced = under_watchdog(&self.path, || self.data.sync_data());
        synced.map_err(|e| Error::io("syncing", &self.path, e))?;
        match has_blobs(&self.path)? {
            true => Err(failed(&self.path, "sled made a blob file, which it does not sync")),
            false => Ok(()),
        }
    }

    fn with<T>(&self, call: impl FnOnce(&::sled::Tree) -> ::sled::Result<T>) -> Result<T, Error> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db.as_ref().ok_or(Error::Closed)?;
        guarded(&self.path, || call(db))
    }

    /// Gives sled's files back; every later call is refused.
    pub(crate) fn close(&self) {
        let db = self.db.write().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping it flushes, which may panic or hang like any other call.
        let closed = || {
            drop(db);
            Ok(())
        };
        drop(under_watchdog(&self.path, || guarded(&self.path, closed)));
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A key's value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.with(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    /// Visits the keys that begin with `prefix`, in order, from `from` on (itself included),
    /// until told to stop.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.with(|db| {
            for entry in db.range(from..) {
                let (key, value) = entry?;
                if !key.starts_with(prefix) || visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Opens sled. A tree closed a moment ago may keep its lock until sled's own threads have
/// let go of it, so that is waited for; other processes are kept out by the directory's lock.
fn open_db(path: &Path, cache_bytes: u64) -> ::sled::Result<::sled::Db> {
    let mut attempts = 0;
    loop {
        match config(path, cache_bytes).open() {
            Err(::sled::Error::Io(error))
                if lock_refused(&error) && attempts < LOCK_ATTEMPTS_MAX =>
            {
                attempts += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            opened => return opened,
        }
    }
}

/// sled tells this by its words only.
fn lock_refused(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if lock_refused(source))
}

fn config(path: &Path, cache_bytes: u64) -> ::sled::Config {
    ::sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(cache_bytes)
        .mode(::sled::Mode::LowSpace)
        .use_compression(false)
        .flush_every_ms(None)
}

fn check(units: &[Unit]) {
    let mut keys = HashSet::new();
    for (key, value) in units.iter().flatten() {
        let bytes = value.as_ref().map_or(0, Vec::len);
        assert!(bytes <= VALUE_BYTES_MAX, "a value of {bytes} bytes would make a blob file");
        assert!(keys.insert(key), "a key may change once in a tick");
    }
}

fn unit_bytes(unit: &Unit) -> usize {
    unit.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

fn digest_of(db: &::sled::Db) -> ::sled::Result<[u8; 32]> {
    let mut digest = [0; 32];
    for entry in db.iter() {
        let (key, value) = entry?;
        mix(&mut digest, &key, &value);
    }
    Ok(digest)
}

/// Runs a call of sled, which panics on much that it does not expect.
fn guarded<T>(path: &Path, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Io(source))) => Err(Error::io("the store in", path, source)),
        Ok(Err(error)) => Err(failed(path, &error.to_string())),
        Err(_) => Err(failed(path, "sled panicked")),
    }
}

fn failed(path: &Path, detail: &str) -> Error {
    Error::Store { path: path.to_owned(), detail: detail.to_owned() }
}
