//! The data directory: who it belongs to, and that one process has it.
//!
//! ```text
//! identity     what this directory is; two equal copies
//! LOCK         held while a process has the directory
//! ballast      space to give back when a full disk stands in the way of opening
//! log/         segments
//! blobs/       contents that records name by digest
//! archive/     sealed segments, packed; `archive-directory` says where if it is elsewhere,
//!              `archive-off` that it is off
//! store/ checkpoints/ and their .marks .recent .untrusted
//! views/       a directory of each view, see `views/home.rs`
//! ```
//! Knows names and the identity; not what is in the parts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::backup;
use crate::blobs;
use crate::bytes::{Fields, Malformed};
use crate::commit::Origin;
use crate::error::Error;
use crate::files;
use crate::log::wal::Wal;
use crate::log::wal::scan::{self, Shape};
use crate::options::{Options, PARTITIONS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::target;

const MAGIC: [u8; 8] = *b"\xFFbstitch";
/// The format of data directories that this code makes.
const FORMAT: u16 = 1;

const IDENTITY: &str = "identity";
/// Held while a process has the directory.
pub(crate) const LOCK_FILE: &str = "LOCK";
const BALLAST: &str = "ballast";
const LOG: &str = "log";
const ARCHIVE: &str = "archive";
/// Names the archive's directory when it is elsewhere.
const ARCHIVE_PLACE: &str = "archive-directory";
/// There if nothing is archived.
const ARCHIVE_OFF: &str = "archive-off";

/// Whether whoever had the directory open last archived what was sealed.
#[must_use]
pub fn archives(directory: &Path) -> bool {
    !directory.join(ARCHIVE_OFF).exists()
}

/// A data directory and its parts.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub path: PathBuf,
}

/// A directory kept from others until this is dropped.
///
/// It unlocks and does not only close: a process just being started holds a copy of every
/// open file until it runs its program, and would keep the directory locked that long.
#[derive(Debug)]
pub(crate) struct DirectoryLock(File);

/// Which directory was opened, told by its lock file, to notice when it is gone.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// The place of a directory just locked.
    pub(crate) fn of(directory: &Path, lock: &DirectoryLock) -> Option<Self> {
        let held = lock.0.metadata().ok()?;
        let (device, inode) = (held.dev(), held.ino());
        Some(Self { directory: directory.to_owned(), device, inode })
    }

    /// Whether the directory is still there and the same.
    ///
    /// # Errors
    /// [`Error::Gone`]: what is written goes nowhere.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let there = match std::fs::metadata(self.directory.join(LOCK_FILE)) {
            Ok(found) => (found.dev(), found.ino()) == (self.device, self.inode),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        };
        if there { Ok(()) } else { Err(Error::Gone { directory: self.directory.clone() }) }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // If this fails, closing the file unlocks it a moment later.
        drop(self.0.unlock());
    }
}

impl Directory {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.path.join(blobs::check::DIRECTORY)
    }

    /// Where the archive is, as far as the directory knows.
    pub(crate) fn archive(&self) -> Result<PathBuf, Error> {
        let path = self.path.join(ARCHIVE_PLACE);
        match fs::read_to_string(&path) {
            Ok(place) => Ok(PathBuf::from(place.trim_end_matches('\n'))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.path.join(ARCHIVE)),
            Err(error) => Err(Error::io("reading", &path, error)),
        }
    }

    /// Where the archive is wanted; where it was if nothing is said.
    pub(crate) fn archive_at(&self, wanted: Option<&Path>) -> Result<PathBuf, Error> {
        let Some(wanted) = wanted else { return self.archive() };
        let absolute = std::path::absolute(wanted).map_err(|e| Error::io("finding", wanted, e))?;
        let is_text = absolute.to_str().is_some_and(|text| !text.contains('\n'));
        let range = || "a path in UTF-8 without line breaks".to_owned();
        match is_text {
            true => Ok(absolute),
            false => Err(Error::Options { option: "archive_directory", range: range() }),
        }
    }

    /// Whether an archive is inside the directory, and kept by its lock.
    pub(crate) fn has_archive(&self, archive: &Path) -> bool {
        let own = self.path.join(ARCHIVE);
        archive == own || std::path::absolute(&own).is_ok_and(|own| own == archive)
    }

    /// Remembers where the archive is.
    pub(crate) fn keep_archive_place(&self, archive: &Path) -> Result<(), Error> {
        let path = self.path.join(ARCHIVE_PLACE);
        if self.has_archive(archive) {
            return files::remove(&path);
        }
        let content = format!("{}\n", archive.display());
        match fs::read(&path) {
            Ok(known) if known == content.as_bytes() => Ok(()),
            _ => files::replace(&path, content.as_bytes()),
        }
    }

    /// Remembers whether what is sealed is archived.
    pub(crate) fn keep_archiving(&self, archives: bool) -> Result<(), Error> {
        let path = self.path.join(ARCHIVE_OFF);
        match (archives, path.exists()) {
            (true, true) => files::remove(&path),
            (false, false) => files::replace(&path, b"sealed segments stay in the log\n"),
            _ => Ok(()),
        }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    pub(crate) fn store_marks(&self) -> PathBuf {
        self.path.join("store.marks")
    }

    pub(crate) fn views(&self) -> PathBuf {
        self.path.join("views")
    }

    /// The marks of the views where all of them are in one tree.
    pub(crate) fn views_marks(&self) -> PathBuf {
        self.path.join("views.marks")
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub(crate) fn checkpoints_marks(&self) -> PathBuf {
        self.path.join("checkpoints.marks")
    }

    /// Takes the directory for this process, making it if it is missing. The lock lasts as
    /// long as what is answered.
    pub(crate) fn take(&self) -> Result<DirectoryLock, Error> {
        files::make_directories(&self.path)?;
        if backup::is_backup(&self.path) {
            return Err(Error::IsBackup { directory: self.path.clone() });
        }
        if target::is_unfinished(&self.path) {
            let detail = "a restore into it was stopped; begin that again, or remove it";
            return Err(Error::Target { directory: self.path.clone(), detail: detail.to_owned() });
        }
        self.refuse_foreign()?;
        self.take_new()
    }

    /// Takes a directory whatever it holds: one that is being filled.
    pub(crate) fn take_new(&self) -> Result<DirectoryLock, Error> {
        let path = self.path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io("opening", &path, e))?;
        self.locked(file.try_lock()).map(|()| DirectoryLock(file))
    }

    /// Keeps servers, not readers, out of the directory, changing nothing.
    pub(crate) fn lock_for_reading(&self) -> Result<Option<DirectoryLock>, Error> {
        let path = self.path.join(LOCK_FILE);
        match File::open(&path) {
            Ok(file) => self.locked(file.try_lock_shared()).map(|()| Some(DirectoryLock(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("opening", &path, error)),
        }
    }

    fn locked(&self, taken: Result<(), TryLockError>) -> Result<(), Error> {
        match taken {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { directory: self.path.clone() }),
            Err(TryLockError::Error(error)) => Err(Error::io("locking", &self.path, error)),
        }
    }

    /// Without an identity only what an interrupted creation leaves may be there.
    fn refuse_foreign(&self) -> Result<(), Error> {
        if self.path.join(IDENTITY).exists() {
            return Ok(());
        }
        self.refuse_unnamed_log()?;
        let foreign = |detail: String| Error::Foreign { directory: self.path.clone(), detail };
        let ours = [LOCK_FILE, LOG, "identity.new"];
        let names = files::names(&self.path)?;
        if let Some(name) = names.iter().find(|name| !ours.contains(&name.as_str())) {
            return Err(foreign(format!("it has `{name}` but no `{IDENTITY}`")));
        }
        Ok(())
    }

    /// A log with records is a store's, also if the identity was lost.
    pub(crate) fn refuse_unnamed_log(&self) -> Result<(), Error> {
        if self.log().is_dir() && scan::has_groups(&self.log())? {
            let detail = "it is not there, but the log has records".to_owned();
            return Err(Error::Identity { path: self.path.join(IDENTITY), detail });
        }
        Ok(())
    }

    /// Whether the directory says that it is a store, whole or damaged.
    pub(crate) fn is_named(&self) -> bool {
        self.path.join(IDENTITY).is_file() && self.log().is_dir()
    }

    /// Reads what the directory is; `None` if it is still to be made.
    pub(crate) fn shape(&self) -> Result<Option<Shape>, Error> {
        let path = self.path.join(IDENTITY);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading", &path, error)),
        };
        // Written twice, so that one flipped bit does not lock the directory up.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        match decode_identity(first).or_else(|_| decode_identity(second)) {
            Ok(Identity::Known(shape)) => Ok(Some(shape)),
            Ok(Identity::Newer(found)) => {
                Err(Error::Format { directory: self.path.clone(), found, known: FORMAT })
            }
            Err(error) => Err(Error::Identity { path, detail: error.to_string() }),
        }
    }

    /// Makes an empty log, then the identity: with it the directory counts.
    pub(crate) fn create(&self, options: &Options) -> Result<Shape, Error> {
        let mut store = [0; 16];
        getrandom::fill(&mut store).map_err(|e| {
            Error::io("drawing an id for", &self.path, io::Error::other(e.to_string()))
        })?;
        let shape = Shape::of(Origin { store, generation: 1 }, options);
        let log = self.log();
        files::remove(&log)?;
        fs::create_dir(&log).map_err(|e| Error::io("making", &log, e))?;
        Wal::create(&log, &shape)?;
        files::sync_directory(&self.path)?;
        self.write_identity(&shape)?;
        Ok(shape)
    }

    /// Writes the identity where it is missing or one of its copies is damaged.
    pub(crate) fn write_identity(&self, shape: &Shape) -> Result<(), Error> {
        let (path, content) = (self.path.join(IDENTITY), encode_identity(shape).repeat(2));
        match fs::read(&path) {
            Ok(known) if known == content => Ok(()),
            _ => files::replace(&path, &content),
        }
    }

    /// Makes durable which files there are: a killed process may have named some and not come to
    /// that, and what is written next relies on them.
    pub(crate) fn settle_names(&self, archive: &Path) -> Result<(), Error> {
        let parts = [self.log(), archive.to_owned(), self.blobs(), self.path.clone()];
        files::sync_directories(parts.iter().filter(|part| part.is_dir()))
    }

    /// Gives the ballast's space back; answers whether there was any.
    pub(crate) fn drop_ballast(&self) -> Result<bool, Error> {
        let path = self.path.join(BALLAST);
        let had = path.exists();
        files::remove(&path)?;
        Ok(had)
    }

    /// Keeps some space back, if there is space.
    pub(crate) fn keep_ballast(&self, ballast_bytes: u64) -> Result<(), Error> {
        let path = self.path.join(BALLAST);
        if ballast_bytes == 0 || fs::metadata(&path).is_ok_and(|kept| kept.len() == ballast_bytes) {
            return Ok(());
        }
        match write_zeros(&path, ballast_bytes) {
            Ok(()) => Ok(()),
            Err(error) => match Error::io("writing", &path, error) {
                Error::Full { .. } => self.drop_ballast().map(|_| ()),
                error => Err(error),
            },
        }
    }
}

fn write_zeros(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file)?;
    file.flush()?;
    file.sync_all()
}

enum Identity {
    Known(Shape),
    Newer(u16),
}

fn encode_identity(shape: &Shape) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(shape.origin.store);
    bytes.extend(shape.origin.generation.to_le_bytes());
    let partitions = u16::try_from(shape.partitions).expect("partitions are counted in u16");
    bytes.extend(partitions.to_le_bytes());
    bytes.extend(shape.segment_bytes.to_le_bytes());
    bytes.extend(*blake3::hash(&bytes).as_bytes());
    bytes
}

fn decode_identity(bytes: &[u8]) -> Result<Identity, Malformed> {
    let covered = bytes.len().checked_sub(32).map(|length| bytes.split_at(length));
    let Some((covered, hash)) = covered else {
        return Err(Malformed::because("it is too short"));
    };
    let mut fields = Fields::of(covered);
    if fields.array()? != MAGIC {
        return Err(Malformed::because("it does not begin like an identity"));
    }
    let format = fields.u16()?;
    if hash != blake3::hash(covered).as_bytes() {
        return Err(Malformed::because("its hash does not match"));
    }
    if format > FORMAT {
        return Ok(Identity::Newer(format));
    }
    let origin = Origin { store: fields.array()?, generation: fields.u32()? };
    let (partitions, segment_bytes) = (fields.u16()?, fields.u64()?);
    if partitions == 0
        || partitions > PARTITIONS_MAX
        || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes)
        || !fields.rest().is_empty()
    {
        return Err(Malformed::because("its values are out of range"));
    }
    let partitions = usize::from(partitions);
    Ok(Identity::Known(Shape { origin, partitions, segment_bytes }))
}
