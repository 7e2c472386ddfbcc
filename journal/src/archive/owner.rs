//! Whose an archive is that is not in a data directory: two stores must not write into one.
//!
//! ```text
//! OWNER   the store's id and generation in words; locked while a process may write here
//! ```
//! An archive inside its data directory is kept by that directory's lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::archive::unpack::Archived;
use crate::archive::{numbers, path_of};
use crate::commit::Origin;
use crate::error::Error;
use crate::files;
use crate::log::wal::scan::Shape;

const OWNER_FILE: &str = "OWNER";
const LOCK: &str = "OWNER.lock";

/// An archive kept from others until this is dropped.
#[derive(Debug)]
pub(crate) struct Owned(File);

impl Drop for Owned {
    fn drop(&mut self) {
        // If this fails, closing the file unlocks it a moment later.
        drop(self.0.unlock());
    }
}

/// Whether an archive may be this store's; one that is not there may.
///
/// # Errors
/// [`Error::ArchiveTaken`] if it is another's.
pub(crate) fn check(archive: &Path, shape: &Shape) -> Result<(), Error> {
    let path = archive.join(OWNER_FILE);
    match fs::read_to_string(&path) {
        Ok(words) if words == words_of(&shape.origin) => return Ok(()),
        Ok(words) => return Err(taken(archive, format!("it is of {}", words.trim_end()))),
        Err(error) if is_missing(&error) => {}
        Err(error) => return Err(Error::io("reading", &path, error)),
    }
    match of_files(archive) {
        Some(origin) if origin.store != shape.origin.store => {
            Err(taken(archive, format!("its files are of {}", words_of(&origin).trim_end())))
        }
        _ => Ok(()),
    }
}

/// Makes an archive this store's, for as long as what is answered lasts.
///
/// # Errors
/// [`Error::ArchiveTaken`] if it is another's, or another process writes to it.
pub(crate) fn take(archive: &Path, shape: &Shape) -> Result<Owned, Error> {
    files::make_directories(archive)?;
    let path = archive.join(LOCK);
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| Error::io("opening", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(taken(archive, "another process writes to it".to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("locking", &path, error)),
    }
    let owned = Owned(file);
    check(archive, shape)?;
    if !archive.join(OWNER_FILE).exists() {
        files::replace(&archive.join(OWNER_FILE), words_of(&shape.origin).as_bytes())?;
    }
    Ok(owned)
}

/// Of which store the files are, as far as one can be read; what is damaged says nothing here.
fn of_files(archive: &Path) -> Option<Origin> {
    let newest_first = numbers(archive).ok()?.into_iter().rev();
    let mut readable =
        newest_first.filter_map(|number| Archived::open_at(&path_of(archive, number)).ok());
    readable.next().map(|archived| archived.header().segment.origin)
}

fn words_of(origin: &Origin) -> String {
    let store: String = origin.store.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("store {store}, generation {}\n", origin.generation)
}

fn taken(archive: &Path, detail: String) -> Error {
    Error::ArchiveTaken { directory: archive.to_owned(), detail }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
