//! Segment files: their names, and making them ready ahead of need.
//!
//! A segment is written full of zeros and synced together with its directory before it is
//! used, so that a group never changes a file's size and one fdatasync makes it durable.
//! Knows nothing of what is written into them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Damage, Error};
use crate::files;

const ZEROS_BYTES: usize = 1024 * 1024;
const SUFFIX: &str = ".seg";
const UNFINISHED_SUFFIX: &str = ".seg.new";

pub(crate) fn path_of(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:010}{SUFFIX}"))
}

/// The numbers of the segments there are, ascending.
pub(crate) fn numbers(directory: &Path) -> Result<Vec<u64>, Error> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for name in files::names(directory)? {
        if let Some(number) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Refuses a log whose directory is gone: what has an identity had one, and it is not begun anew.
pub(crate) fn refuse_gone(directory: &Path) -> Result<(), Error> {
    if directory.is_dir() {
        return Ok(());
    }
    let detail = format!("there is no {}", directory.display());
    Err(Damage { segment: 0, offset: 0, partition: None, sequence: None, detail }.into())
}

/// Removes what an interrupted [`create`] left.
pub(crate) fn remove_unfinished(directory: &Path) -> Result<(), Error> {
    for name in files::names(directory)?.iter().filter(|name| name.ends_with(UNFINISHED_SUFFIX)) {
        let path = directory.join(name);
        fs::remove_file(&path).map_err(|e| Error::io("removing", &path, e))?;
    }
    Ok(())
}

/// Makes a segment of zeros, durable together with its name.
pub(crate) fn create(directory: &Path, number: u64, segment_bytes: u64) -> Result<File, Error> {
    let path = path_of(directory, number);
    let unfinished = directory.join(format!("{number:010}{UNFINISHED_SUFFIX}"));
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&unfinished)
        .map_err(|e| Error::io("creating", &unfinished, e))?;
    let failed = |e| Error::io("zero-filling", &unfinished, e);
    let zeros = vec![0; ZEROS_BYTES];
    let mut left = segment_bytes;
    while left > 0 {
        let piece = usize::try_from(left).map_or(ZEROS_BYTES, |left| left.min(ZEROS_BYTES));
        file.write_all(&zeros[..piece]).map_err(failed)?;
        left -= piece as u64;
    }
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, &path).map_err(|e| Error::io("naming", &path, e))?;
    files::sync_directory(directory)?;
    Ok(file)
}

/// Puts a whole segment in its place, durably.
pub(crate) fn put(directory: &Path, number: u64, bytes: &[u8]) -> Result<(), Error> {
    let unfinished = directory.join(format!("{number:010}{UNFINISHED_SUFFIX}"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io("writing", &unfinished, e))?;
    let path = path_of(directory, number);
    fs::rename(&unfinished, &path).map_err(|e| Error::io("naming", &path, e))?;
    files::sync_directory(directory)
}

pub(crate) fn open(directory: &Path, number: u64) -> Result<File, Error> {
    let path = path_of(directory, number);
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|e| Error::io("opening", &path, e))
}

/// A thread that keeps one segment ready ahead of the writer.
#[derive(Debug)]
pub(crate) struct Preparer {
    ready: Option<Receiver<Result<File, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts with segment `first`; one that is already there is taken as it is.
    pub(crate) fn start(directory: &Path, first: u64, segment_bytes: u64) -> Result<Self, Error> {
        // Nothing is buffered: the thread holds one finished segment until it is taken.
        let (sender, ready) = sync_channel(0);
        let owned = directory.to_owned();
        let thread = std::thread::Builder::new()
            .name("log-segments".to_owned())
            .spawn(move || {
                for number in first.. {
                    let file = if path_of(&owned, number).exists() {
                        open(&owned, number)
                    } else {
                        create(&owned, number, segment_bytes)
                    };
                    // None is made behind one that is missing: the log would not be whole.
                    let failed = file.is_err();
                    if sender.send(file).is_err() || failed {
                        return;
                    }
                }
            })
            .map_err(|e| Error::io("starting a thread for", directory, e))?;
        Ok(Self { ready: Some(ready), thread: Some(thread) })
    }

    /// Waits for the next segment.
    pub(crate) fn take(&self, directory: &Path) -> Result<File, Error> {
        let gone = || std::io::Error::other("the thread that prepares segments is gone");
        let ready = self.ready.as_ref().ok_or_else(gone);
        ready
            .and_then(|ready| ready.recv().map_err(|_| gone()))
            .map_err(|e| Error::io("preparing a segment in", directory, e))?
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was already seen as a missing segment.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_segment_is_made_behind_one_that_could_not_be() {
        let home = tempfile::tempdir().unwrap();
        let in_the_way = home.path().join(format!("{:010}{UNFINISHED_SUFFIX}", 2));
        fs::create_dir(&in_the_way).unwrap();
        let preparer = Preparer::start(home.path(), 1, 4096).unwrap();
        preparer.take(home.path()).unwrap();
        preparer.take(home.path()).unwrap_err();
        preparer.take(home.path()).unwrap_err();
        drop(preparer);
        assert_eq!(numbers(home.path()).unwrap(), [1]);
    }
}
