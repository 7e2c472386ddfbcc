//! The raw calls of sled: the one file that names it.
//!
//! sled 0.34.7 loses what it does not sync (its flush is no fdatasync, its blob files are
//! never synced), panics on much that it does not expect, may never return from a flush
//! after a failed write, stops for ever if too many of its writes are under way, and applies
//! its cache limit late. Each call here is fenced against that; what the tree must hold is the
//! business of [`crate::fence`].

use std::fs::{File, OpenOptions};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use crate::error::Error;
use crate::files;
use crate::repair::has_blobs;
use crate::watchdog::under_watchdog;

/// The largest value: beyond about 21 KiB a page may outgrow a quarter of the segment and
/// go to a blob file.
pub(crate) const VALUE_BYTES_MAX: usize = 20_000;
const SEGMENT_BYTES: usize = 2 * 1024 * 1024;

/// How often to try again while sled's file is still locked, and how long apart.
const LOCK_ATTEMPTS_MAX: u32 = 400;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What a scan reads before it hands it out, so that nobody's code runs inside of sled.
const SCAN_ENTRIES_FIRST: usize = 16;
const SCAN_ENTRIES_MAX: usize = 512;
const SCAN_BYTES_MAX: usize = 256 * 1024;

/// sled looks at its cache only once 64 accesses have gathered in one of its 256 shards; a
/// long read of pages touched once each would keep thousands of them. So each of so many
/// entries is looked up so many times, which costs no disk and bounds what gathers to about
/// two thousand pages.
const THRIFT_ENTRIES: usize = 8;
const THRIFT_READS: usize = 4;

/// Entries that are read on the way from one wanted key to the next before that one is sought.
const PASSED_ENTRIES_MAX: usize = 4;

/// After a batch one of so many of its keys is looked up.
const KEYS_PER_LOOK: usize = 2;

/// Applied bytes after which sled writes all it has before it is given more.
///
/// It writes its segments with seven threads, which it shares with the shortening of its file. Who
/// needs a new segment where the file is being shortened waits for that and holds the lock that
/// each write needs: seven writes that were begun before it are one deadlock. Rows of this many
/// bytes rewrite pages of at most four segments or so.
const UNWRITTEN_BYTES_MAX: usize = 1024 * 1024;

/// What a failed sync says it was doing.
pub(crate) const SYNCING: &str = "syncing";

/// A change of one key: its new value, or none.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);
/// A key with its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// One sled tree in its directory.
pub(crate) struct RawTree {
    path: PathBuf,
    cache_bytes: u64,
    /// Gone once closed.
    handles: RwLock<Option<Handles>>,
    /// Bytes applied since sled wrote all it had.
    unwritten_bytes: AtomicUsize,
}

struct Handles {
    db: ::sled::Db,
    /// Our own handle of sled's one data file.
    data: File,
}

impl RawTree {
    /// Opens a tree, or makes one. sled writes its snapshot here and nowhere else.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let handles = RwLock::new(Some(Handles::open(path, cache_bytes)?));
        let unwritten_bytes = AtomicUsize::new(0);
        Ok(Self { path: path.to_owned(), cache_bytes, handles, unwritten_bytes })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of its data file.
    pub(crate) fn file_bytes(&self) -> u64 {
        file_bytes(&self.path)
    }

    /// A key's value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.with(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    /// The values of keys, which must ascend. Those that lie close together, or behind each
    /// other where there is nothing, are found in one pass over what is there.
    pub(crate) fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        debug_assert!(keys.is_sorted(), "keys are looked up in order");
        self.with(|db| {
            let mut found = Vec::with_capacity(keys.len());
            for seeks in 0.. {
                let Some(key) = keys.get(found.len()) else { break };
                if seeks % THRIFT_ENTRIES == 0 {
                    for _ in 0..THRIFT_READS {
                        db.get(key)?;
                    }
                }
                read_from(db, keys, &mut found)?;
            }
            Ok(found)
        })
    }

    /// Visits keys in order from `from` on (itself included), until told to stop. Keys that
    /// change meanwhile are seen before or after their change.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (mut from, mut entries_max) = (from.to_vec(), SCAN_ENTRIES_FIRST);
        loop {
            let (entries, end) = self.read(&from, entries_max, SCAN_BYTES_MAX, false)?;
            if entries.iter().any(|(key, value)| visit(key, value).is_break()) {
                return Ok(());
            }
            let Some(next) = end else { return Ok(()) };
            from = next;
            entries_max = (entries_max * 4).min(SCAN_ENTRIES_MAX);
        }
    }

    /// Reads entries in order from `from` on, about so many bytes of them, keeping sled's
    /// cache small; answers where to go on, or `None` at the end.
    pub(crate) fn read_chunk(
        &self,
        from: &[u8],
        bytes_max: usize,
    ) -> Result<(Vec<Entry>, Option<Vec<u8>>), Error> {
        self.read(from, usize::MAX, bytes_max, true)
    }

    fn read(
        &self,
        from: &[u8],
        entries_max: usize,
        bytes_max: usize,
        thrifty: bool,
    ) -> Result<(Vec<Entry>, Option<Vec<u8>>), Error> {
        self.with(|db| {
            let (mut entries, mut bytes) = (Vec::new(), 0);
            for entry in db.range(from..) {
                let (key, value) = entry?;
                if thrifty && entries.len() % THRIFT_ENTRIES == 0 {
                    for _ in 0..THRIFT_READS {
                        db.get(&key)?;
                    }
                }
                bytes += key.len() + value.len();
                entries.push((key.to_vec(), value.to_vec()));
                if entries.len() >= entries_max || bytes >= bytes_max {
                    let mut next = key.to_vec();
                    next.push(0);
                    return Ok((entries, Some(next)));
                }
            }
            Ok((entries, None))
        })
    }

    /// Applies changes together or not at all; durable only after [`RawTree::sync`].
    ///
    /// Afterwards every other key is looked up: sled frees the pages it has replaced only as it
    /// is called, some hundreds with each hundred calls, and a batch is one call. Without this, half a
    /// million changes of small rows took gigabytes.
    ///
    /// # Panics
    /// If a value is over [`VALUE_BYTES_MAX`].
    pub(crate) fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), Error> {
        let mut batch = ::sled::Batch::default();
        let (mut keys, mut batch_bytes) = (Vec::new(), 0);
        for (key, value) in changes {
            keys.push(key);
            let bytes = value.map_or(0, <[u8]>::len);
            assert!(bytes <= VALUE_BYTES_MAX, "a value of {bytes} bytes would make a blob file");
            batch_bytes += key.len() + bytes;
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        under_watchdog(&self.path, || {
            self.with(|db| {
                db.apply_batch(batch)?;
                keys.iter().step_by(KEYS_PER_LOOK).try_for_each(|key| db.get(key).map(drop))
            })
        })?;
        let unwritten = self.unwritten_bytes.fetch_add(batch_bytes, Ordering::Relaxed);
        if unwritten + batch_bytes >= UNWRITTEN_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Has sled write all it has, which is not durable yet.
    fn flush(&self) -> Result<(), Error> {
        self.unwritten_bytes.store(0, Ordering::Relaxed);
        under_watchdog(&self.path, || self.with(|db| db.flush().map(drop)))
    }

    /// Makes everything applied durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.flush()?;
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let handles = handles.as_ref().ok_or(Error::Closed)?;
        let synced = under_watchdog(&self.path, || handles.data.sync_data());
        synced.map_err(|e| Error::io(SYNCING, &self.path, e))?;
        match has_blobs(&self.path)? {
            true => Err(failed(&self.path, "sled made a blob file, which it does not sync")),
            false => Ok(()),
        }
    }

    /// Gives sled's files back; every later call is refused.
    pub(crate) fn close(&self) {
        let handles = self.handles.write().unwrap_or_else(PoisonError::into_inner).take();
        drop_handles(&self.path, handles);
    }

    /// Closes, does `between`, and opens again, which has sled write a snapshot; everybody
    /// else waits. If it fails the tree stays closed.
    pub(crate) fn reopen(&self, between: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        if handles.is_none() {
            return Err(Error::Closed);
        }
        drop_handles(&self.path, handles.take());
        between()?;
        *handles = Some(Handles::open(&self.path, self.cache_bytes)?);
        Ok(())
    }

    fn with<T>(&self, call: impl FnOnce(&::sled::Tree) -> ::sled::Result<T>) -> Result<T, Error> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        let handles = handles.as_ref().ok_or(Error::Closed)?;
        guarded(&self.path, || call(&handles.db))
    }
}

impl Drop for RawTree {
    fn drop(&mut self) {
        self.close();
    }
}

impl Handles {
    fn open(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let db = guarded(path, || open_db(path, cache_bytes))?;
        let data = path.join("db");
        match OpenOptions::new().write(true).open(&data) {
            Ok(data) => Ok(Self { db, data }),
            Err(error) => {
                drop_handles(path, Some(db));
                Err(Error::io("opening", &data, error))
            }
        }
    }
}

/// Dropping sled flushes, which may panic or hang like any other call.
fn drop_handles<T>(path: &Path, handles: Option<T>) {
    let dropped = || {
        drop(handles);
        Ok(())
    };
    // What matters was synced before.
    drop(under_watchdog(path, || guarded(path, dropped)));
}

/// Goes on finding the values of keys at the first one that is not found yet, until too much
/// lies between one and the next.
fn read_from(
    db: &::sled::Tree,
    keys: &[&[u8]],
    found: &mut Vec<Option<Vec<u8>>>,
) -> ::sled::Result<()> {
    let mut passed = 0;
    for entry in db.range(keys[found.len()]..) {
        let (key, value) = entry?;
        let absent = keys[found.len()..].iter().take_while(|wanted| ***wanted < *key).count();
        found.resize(found.len() + absent, None);
        match keys.get(found.len()) {
            None => return Ok(()),
            Some(wanted) if **wanted == *key => {
                found.push(Some(value.to_vec()));
                passed = 0;
            }
            Some(_) if passed == PASSED_ENTRIES_MAX => return Ok(()),
            Some(_) => passed += 1,
        }
        if found.len() == keys.len() {
            return Ok(());
        }
    }
    found.resize(keys.len(), None);
    Ok(())
}

/// Makes an empty tree, durable but for its directory's own name.
pub(crate) fn make_empty(path: &Path, cache_bytes: u64) -> Result<(), Error> {
    let tree = RawTree::open(path, cache_bytes)?;
    tree.sync()?;
    tree.close();
    sync_files(path)
}

/// Makes durable what sled never syncs of a closed tree.
pub(crate) fn sync_files(path: &Path) -> Result<(), Error> {
    for name in ["db", "conf"] {
        let file = path.join(name);
        File::open(&file)
            .and_then(|opened| opened.sync_all())
            .map_err(|e| Error::io("syncing", &file, e))?;
    }
    files::sync_directory(path)
}

/// Bytes of a tree's data file, as far as that can be told.
pub(crate) fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path.join("db")).map_or(0, |metadata| metadata.len())
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

/// Whether an error says that sled's file is locked.
pub(crate) fn is_locked(error: &Error) -> bool {
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
