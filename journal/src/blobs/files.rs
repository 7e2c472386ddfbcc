//! Contents as files: `blobs/ab/<64 hex digits>`, exactly the bytes whose blake3 is the name.
//!
//! Written beside as `.new`, synced, renamed, and their directory synced. `.erased` beside a
//! name says that a content was erased, and how many times if more than once; a content of
//! that name is newer than that. What is lost or damaged here is read from its copy in the
//! archive, if there is one; `second.rs` sees to the two of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use backstitch_core::ids::Digest;
use backstitch_core::payload::AbsentWhy;

use super::Text;
use super::archived::Copies;
use crate::error::Error;
use crate::files;
use crate::locks::lock;

/// Files written and synced at the same time.
const WRITERS_MAX: usize = 4;
/// Directories that contents are spread over, by the first byte of their digest.
pub(super) const SPREAD: usize = 256;

/// The directory of contents.
#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    durable: bool,
    /// The copies in the archive, if there is one.
    pub(super) copies: Option<Copies>,
    /// Whether what is lost or damaged is made anew from its copy as it is read.
    pub(super) heals: bool,
    /// Erased or collected while the archive was out of reach, which may have copies still.
    pub(super) left_over: Mutex<BTreeSet<Digest>>,
    /// Held while a file is taken as it is, or removed: never both.
    pub(super) taking: Mutex<()>,
    contents: AtomicU64,
    bytes: AtomicU64,
    /// Directories counted so far, in order.
    counted_to: AtomicU64,
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Content(Digest),
    Erased(Digest),
    Unfinished,
    Foreign,
}

impl Files {
    /// Contents in a directory; `durable` says whether each is synced before it counts.
    pub(crate) fn at(path: PathBuf, durable: bool) -> Self {
        Self {
            path,
            durable,
            copies: None,
            heals: false,
            left_over: Mutex::default(),
            taking: Mutex::default(),
            contents: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            counted_to: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is not there yet; all of it is durable once this returns.
    pub(super) fn write(&self, texts: &[Text]) -> Result<(), Error> {
        let distinct: BTreeMap<Digest, &str> =
            texts.iter().map(|(digest, text)| (*digest, &**text)).collect();
        let distinct: Vec<_> = distinct.into_iter().collect();
        for (digest, _) in &distinct {
            files::make_directories(&directory_of(&self.path, digest))?;
        }
        let share = distinct.len().div_ceil(WRITERS_MAX).max(1);
        std::thread::scope(|scope| {
            let write = |part: &[(Digest, &str)]| {
                part.iter().try_for_each(|(digest, text)| self.write_one(digest, text))
            };
            let (first, rest) = distinct.split_at(share.min(distinct.len()));
            let others: Vec<_> =
                rest.chunks(share).map(|part| scope.spawn(move || write(part))).collect();
            let mut written = write(first);
            for other in others {
                let other = other.join().unwrap_or_else(|_| {
                    let panicked = io::Error::other("the thread that wrote panicked");
                    Err(Error::io("writing to", &self.path, panicked))
                });
                written = written.and(other);
            }
            written
        })?;
        if self.durable {
            let mut directories: Vec<_> =
                distinct.iter().map(|(digest, _)| directory_of(&self.path, digest)).collect();
            directories.dedup();
            directories.iter().try_for_each(|directory| files::sync_directory(directory))?;
        }
        Ok(())
    }

    fn write_one(&self, digest: &Digest, text: &str) -> Result<(), Error> {
        let path = path_of(&self.path, digest);
        if self.take_as_it_is(&path, text) {
            return Ok(());
        }
        self.put(digest, &path, text.as_bytes())
    }

    /// Writes a file in place of one that may be there.
    pub(super) fn put(&self, digest: &Digest, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let replaced = fs::metadata(path).ok().map(|known| known.len());
        let beside = path.with_extension("new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(bytes)?;
            if self.durable { file.sync_all() } else { Ok(()) }
        };
        write().map_err(|e| Error::io("writing", &beside, e))?;
        fs::rename(&beside, path).map_err(|e| Error::io("renaming to", path, e))?;
        self.count(digest, replaced, Some(bytes.len() as u64));
        Ok(())
    }

    /// Whether the content is there already, whole; it is then as young as if written now.
    fn take_as_it_is(&self, path: &Path, text: &str) -> bool {
        let _taking = lock(&self.taking);
        let same = fs::read(path).is_ok_and(|known| known == text.as_bytes());
        same && File::options()
            .append(true)
            .open(path)
            .and_then(|file| {
                file.set_modified(now())?;
                // Whoever wrote it may have been cut off before it was durable.
                if self.durable { file.sync_all() } else { Ok(()) }
            })
            .is_ok()
    }

    /// The content in its file, or why there is none.
    pub(super) fn read_file(
        &self,
        digest: &Digest,
        length_bytes: u64,
    ) -> Result<Result<Arc<str>, AbsentWhy>, Error> {
        let path = path_of(&self.path, digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let erased = tombstone_of(&path).exists();
                return Ok(Err(if erased { AbsentWhy::Erased } else { AbsentWhy::Missing }));
            }
            // What the disk itself cannot read is damaged; anything else may pass.
            Err(error) if error.raw_os_error() == Some(INPUT_OUTPUT_ERROR) => {
                return Ok(Err(AbsentWhy::Damaged));
            }
            Err(error) => return Err(Error::io("reading", &path, error)),
        };
        if bytes.len() as u64 != length_bytes || Digest::of(&bytes) != *digest {
            return Ok(Err(AbsentWhy::Damaged));
        }
        Ok(String::from_utf8(bytes).map(Arc::from).map_err(|_| AbsentWhy::Damaged))
    }

    pub(super) fn kept_bytes(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(path_of(&self.path, digest)).ok().map(|known| known.len())
    }

    /// Removes the content, then says so beside it.
    pub(super) fn erase(&self, digest: &Digest) -> Result<(), Error> {
        let done = self.erasures(digest)?;
        self.erase_as(digest, done.saturating_add(1))
    }

    /// The same, unless it was done so many times already.
    pub(super) fn erase_up_to(&self, digest: &Digest, recorded: u64) -> Result<(), Error> {
        match self.erasures(digest)? < recorded {
            true => self.erase_as(digest, recorded),
            false => {
                // The archive may have been out of reach then.
                if self.kept_bytes(digest).is_none() {
                    lock(&self.left_over).insert(*digest);
                }
                Ok(())
            }
        }
    }

    /// How many erasures of a content took place. A file that says nothing else stands for one.
    fn erasures(&self, digest: &Digest) -> Result<u64, Error> {
        let path = tombstone_of(&path_of(&self.path, digest));
        match fs::read(&path) {
            Ok(text) => {
                let count = str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
                Ok(count.unwrap_or(1))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io("reading", &path, error)),
        }
    }

    fn erase_as(&self, digest: &Digest, count: u64) -> Result<(), Error> {
        let path = path_of(&self.path, digest);
        files::make_directories(files::parent(&path))?;
        let _taking = lock(&self.taking);
        files::remove(&path.with_extension("new"))?;
        self.remove(digest, &path)?;
        let text = if count > 1 { format!("{count}\n") } else { String::new() };
        files::replace(&tombstone_of(&path), text.as_bytes())
    }

    /// Removes a content that is older than `before`; answers its bytes if it did.
    pub(super) fn remove_older(
        &self,
        digest: &Digest,
        before: SystemTime,
    ) -> Result<Option<u64>, Error> {
        let path = path_of(&self.path, digest);
        let _taking = lock(&self.taking);
        let Ok(known) = fs::metadata(&path) else { return Ok(None) };
        if known.modified().is_ok_and(|modified| modified >= before) {
            return Ok(None);
        }
        self.remove(digest, &path)?;
        Ok(Some(known.len()))
    }

    /// Removes a content, first where it could come back from.
    fn remove(&self, digest: &Digest, path: &Path) -> Result<(), Error> {
        self.remove_copy(digest);
        let removed = fs::metadata(path).ok().map(|known| known.len());
        files::remove(path)?;
        self.count(digest, removed, None);
        Ok(())
    }

    fn count(&self, digest: &Digest, gone_bytes: Option<u64>, come_bytes: Option<u64>) {
        if u64::from(digest.0[0]) >= self.counted_to.load(Ordering::Relaxed) {
            return;
        }
        for (bytes, add) in [(come_bytes, true), (gone_bytes, false)] {
            let Some(bytes) = bytes else { continue };
            let change = |counter: &AtomicU64, by: u64| {
                let changed = |known: u64| match add {
                    true => known.saturating_add(by),
                    false => known.saturating_sub(by),
                };
                counter.update(Ordering::Relaxed, Ordering::Relaxed, changed);
            };
            change(&self.contents, 1);
            change(&self.bytes, bytes);
        }
    }

    pub(super) fn counted(&self) -> (u64, u64) {
        (self.contents.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Counts one more directory; answers whether there are more. Nothing may be written
    /// meanwhile.
    pub(super) fn count_more(&self) -> bool {
        let at = self.counted_to.load(Ordering::Relaxed);
        let Ok(first) = u8::try_from(at) else { return false };
        let visit = |kind: Kind, metadata: &fs::Metadata| {
            if let Kind::Content(_) = kind {
                self.contents.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(metadata.len(), Ordering::Relaxed);
            }
        };
        // What cannot be listed is not counted; reading it says why.
        drop(for_each(&self.path, first, &mut |_, kind, metadata| visit(kind, metadata)));
        self.counted_to.store(at + 1, Ordering::Relaxed);
        true
    }
}

/// What Linux calls a disk that could not read.
const INPUT_OUTPUT_ERROR: i32 = 5;

/// Files have their times from the system, and so has this.
#[expect(clippy::disallowed_methods, reason = "compared with times of files, never recorded")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

fn directory_of(blobs: &Path, digest: &Digest) -> PathBuf {
    blobs.join(format!("{:02x}", digest.0[0]))
}

pub(super) fn path_of(blobs: &Path, digest: &Digest) -> PathBuf {
    directory_of(blobs, digest).join(digest.to_string())
}

pub(super) fn tombstone_of(path: &Path) -> PathBuf {
    path.with_extension("erased")
}

/// Visits every file in one of the directories.
pub(super) fn for_each(
    blobs: &Path,
    first: u8,
    visit: &mut dyn FnMut(&Path, Kind, &fs::Metadata),
) -> Result<(), Error> {
    let directory = blobs.join(format!("{first:02x}"));
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("listing", &directory, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("listing", &directory, e))?;
        // A file may have gone meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let name = entry.file_name();
        visit(&entry.path(), kind_of(&name.to_string_lossy(), first), &metadata);
    }
    Ok(())
}

fn kind_of(name: &str, first: u8) -> Kind {
    let digest = |hex: &str| Digest::parse(hex).filter(|digest| digest.0[0] == first);
    match name.split_once('.') {
        None => digest(name).map_or(Kind::Foreign, Kind::Content),
        Some((hex, "erased")) => digest(hex).map_or(Kind::Foreign, Kind::Erased),
        Some((hex, "new")) if digest(hex).is_some() => Kind::Unfinished,
        Some(_) => Kind::Foreign,
    }
}
