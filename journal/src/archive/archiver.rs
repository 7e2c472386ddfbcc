//! The thread that packs sealed segments and takes from the log what is archived.
//!
//! A segment leaves the log only when its archive file is whole and the store and the views have
//! applied and synced all of it, and then only if enough newer ones stay. A failure leaves the
//! log as it is and is tried again: it never stops an append.

mod contents;
mod info;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use backstitch_core::ids::Digest;

use crate::archive::cut::{self, CutPlan, CutPoint, History};
use crate::archive::owner::{self, Owned};
use crate::archive::pack::{SealedAt, pack};
use crate::archive::scrub;
use crate::blobs::Files;
use crate::error::Error;
use crate::files;
use crate::locks::lock;
use crate::log::wal::{End, segments};
use crate::open;
use crate::sources::{Place, Sources};

pub use contents::LAST_CONTENTS_MS;
pub use info::ArchiveInfo;
pub(crate) use signals::Signals;
use signals::Told;

/// How long to wait before what failed is tried again.
pub const ARCHIVE_RETRY_MS: u64 = 5_000;

/// The archiver of an open journal.
pub(crate) struct Archiver {
    signals: Arc<Signals>,
    work: Arc<Work>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Who keeps others from the archive.
#[derive(Debug)]
pub(crate) enum ArchiveHome {
    /// The data directory's lock.
    Inside,
    /// The archive's own, once it is taken.
    Elsewhere(Option<Owned>),
}

/// What the thread works on.
struct Work {
    sources: Sources,
    contents: Arc<Files>,
    archive: PathBuf,
    home: Mutex<ArchiveHome>,
    segments_kept: u64,
    info: Mutex<ArchiveInfo>,
    /// Held while files of the chain are removed, by this thread or by a cut.
    removing: Mutex<()>,
}

/// How far the thread has come, so that it looks into directories only when there is cause.
#[derive(Debug, Default)]
struct Progress {
    /// Everything up to this sealed segment is archived.
    archived: Option<u64>,
    /// Everything up to this archived segment has its contents in the archive, too.
    contents: u64,
    /// And everything up to this place of the log.
    contents_in_log: Place,
    /// Up to here the log was there when this began.
    found: Option<End>,
    scrubbed: bool,
    /// The oldest segment in the log.
    oldest: u64,
}

impl Archiver {
    /// Starts the thread.
    pub(crate) fn start(
        (sources, contents): (Sources, Arc<Files>),
        (archive, home): (&Path, ArchiveHome),
        segments_kept: u64,
        signals: Arc<Signals>,
    ) -> Result<Self, Error> {
        let info = ArchiveInfo {
            on: true,
            directory: archive.display().to_string(),
            last_segment: sources.last_archived()?,
            ..ArchiveInfo::default()
        };
        let (archive, info) = (archive.to_owned(), Mutex::new(info));
        let (home, removing) = (Mutex::new(home), Mutex::default());
        let work =
            Arc::new(Work { sources, contents, archive, home, segments_kept, info, removing });
        let (shared, told) = (Arc::clone(&work), Arc::clone(&signals));
        let thread = std::thread::Builder::new()
            .name("journal-archiver".to_owned())
            .spawn(move || shared.run(&told))
            .map_err(|e| Error::io("starting a thread for", &work.archive, e))?;
        Ok(Self { signals, work, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// How archiving stands; the bytes of its files are left to the caller.
    pub(crate) fn info(&self) -> ArchiveInfo {
        lock(&self.work.info).clone()
    }

    /// Where the archive is.
    pub(crate) fn directory(&self) -> &Path {
        &self.work.archive
    }

    /// Plans a cut, changing nothing.
    pub(crate) fn plan_cut(&self, point: &CutPoint) -> Result<CutPlan, Error> {
        let _removing = lock(&self.work.removing);
        let applied = self.applied()?;
        cut::plan(&self.work.sources, &self.work.archive, point, &applied)
    }

    /// Carries a plan out.
    pub(crate) fn cut(&self, plan: &CutPlan, history: History<'_>) -> Result<CutPlan, Error> {
        let _removing = lock(&self.work.removing);
        let applied = self.applied()?;
        self.work.own()?;
        cut::cut(&self.work.sources, &self.work.archive, plan, &applied, history)
    }

    /// How far store and views have come.
    fn applied(&self) -> Result<Vec<u64>, Error> {
        self.signals.told().map(|told| told.applied).ok_or(Error::Closed)
    }

    /// Ends the thread behind the segment it is at and the last contents, and waits for a cut
    /// under way.
    pub(crate) fn close(&self) {
        self.signals.close();
        if let Some(thread) = lock(&self.thread).take() {
            // What it has not done the next start does.
            drop(thread.join());
        }
        drop(lock(&self.work.removing));
        if let ArchiveHome::Elsewhere(owned) = &mut *lock(&self.work.home) {
            *owned = None;
        }
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Work {
    fn run(&self, signals: &Signals) {
        let mut progress = Progress::default();
        while let Some(told) = signals.next(self.has_failed()) {
            let done = self.work(signals, &mut progress, &told);
            self.note(done);
        }
        if let Some(rests) = signals.rests_at() {
            self.note(self.archive_last_contents(&mut progress, rests));
        }
    }

    /// Takes the archive, if it is to be and is not.
    fn own(&self) -> Result<(), Error> {
        let mut home = lock(&self.home);
        if let ArchiveHome::Elsewhere(owned @ None) = &mut *home {
            *owned = Some(owner::take(&self.archive, self.sources.shape())?);
        }
        Ok(())
    }

    fn work(&self, signals: &Signals, progress: &mut Progress, told: &Told) -> Result<(), Error> {
        let sealed = told.sealed;
        if progress.archived != Some(sealed) {
            self.archive_up_to(sealed, signals)?;
            progress.archived = Some(sealed);
        }
        // What store and views have applied may be told before what is sealed.
        if !progress.scrubbed && sealed > 0 {
            self.sources.check_links()?;
            self.scrub(sealed, signals)?;
            self.compare_contents(signals)?;
            progress.scrubbed = true;
        }
        self.contents.remove_left_over()?;
        self.archive_contents(progress, &|| !signals.is_closing())?;
        self.remove_applied(progress, sealed, &told.applied)?;
        match told.rests_at {
            Some(rests) => self.archive_contents_at_rest(progress, rests, signals),
            None => Ok(()),
        }
    }

    /// Archives every sealed segment of the log that is not archived yet, in order.
    fn archive_up_to(&self, sealed: u64, signals: &Signals) -> Result<(), Error> {
        let archived = crate::archive::numbers(&self.archive)?;
        for number in segments::numbers(self.sources.log())? {
            if number > sealed || signals.is_closing() {
                return Ok(());
            }
            if archived.binary_search(&number).is_err() {
                self.archive_one(number)?;
            }
        }
        Ok(())
    }

    fn archive_one(&self, number: u64) -> Result<(), Error> {
        files::make_directories(&self.archive)?;
        self.own()?;
        let begun = Instant::now();
        let sealed_at = self.sealed_at(number)?;
        let previous = {
            // A cut that came between its looks at the base and at the file before would leave
            // this file without its link.
            let _removing = lock(&self.removing);
            self.previous(number)?
        };
        let header = pack(
            self.sources.log(),
            &self.archive,
            number,
            self.sources.shape(),
            &sealed_at,
            previous,
        )?;
        let mut info = lock(&self.info);
        info.failure = None;
        info.last_segment = info.last_segment.max(Some(number));
        info.segments_archived += 1;
        info.raw_bytes += header.raw_bytes;
        info.archived_bytes += header.packed_bytes;
        info.busy_us += u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Where the next segment begins.
    fn sealed_at(&self, number: u64) -> Result<SealedAt, Error> {
        let next = self.sources.begun_header(number + 1)?;
        let next = next.ok_or_else(|| crate::sources::missing(number + 1))?;
        Ok(SealedAt { next_group: next.first_group, heads: next.heads })
    }

    /// The link of the archive file before. One that is missing is no reason to begin a chain of
    /// files anew: the archive may be on a disk that is not there just now.
    fn previous(&self, number: u64) -> Result<Digest, Error> {
        if let Some(base) = self.sources.base()?.filter(|base| base.header().next_segment == number)
        {
            return Ok(base.header().last_archived);
        }
        let before = number.saturating_sub(1);
        match self.sources.archived(before)? {
            Some(archived) => Ok(archived.header().link()),
            None if before == 0 => Ok(Digest::default()),
            None => Err(crate::sources::missing(before)),
        }
    }

    /// Compares what is both in the log and in the archive, and heals one from the other.
    fn scrub(&self, sealed: u64, signals: &Signals) -> Result<(), Error> {
        for number in segments::numbers(self.sources.log())? {
            let _removing = lock(&self.removing);
            if number > sealed || signals.is_closing() {
                return Ok(());
            }
            if !segments::path_of(self.sources.log(), number).exists() {
                continue;
            }
            let sealed_at = self.sealed_at(number)?;
            let previous = self.previous(number)?;
            if scrub::scrub(&self.sources, &self.archive, number, &sealed_at, previous)? {
                lock(&self.info).segments_healed += 1;
            }
        }
        Ok(())
    }

    /// Takes out of the log what is archived and applied, oldest first.
    fn remove_applied(
        &self,
        progress: &mut Progress,
        sealed: u64,
        applied: &[u64],
    ) -> Result<(), Error> {
        let last = sealed.saturating_sub(self.segments_kept);
        if last == 0 || last < progress.oldest {
            return Ok(());
        }
        let _removing = lock(&self.removing);
        for number in segments::numbers(self.sources.log())? {
            progress.oldest = number;
            let Some(archived) = self.sources.archived(number)?.filter(|_| number <= last) else {
                return Ok(());
            };
            let after = &archived.header().heads_after;
            let at = applied.iter().copied().chain(std::iter::repeat(0));
            if !after.iter().zip(at).all(|(head, at)| head.sequence <= at) {
                return Ok(());
            }
            files::remove(&segments::path_of(self.sources.log(), number))?;
            lock(&self.info).segments_removed += 1;
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        lock(&self.info).failure.is_some()
    }

    /// Shows a failure, until it is over.
    fn note(&self, done: Result<(), Error>) {
        let mut info = lock(&self.info);
        info.failure = done.err().map(|error| open::with_source(&error));
        info.failures += u64::from(info.failure.is_some());
    }
}
