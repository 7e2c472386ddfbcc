//! Opening a tree, proving it, or making it anew.
//!
//! See the head of [`super`] for what is proven how.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use crate::error::Error;
use crate::fence::pass::totals_of;
use crate::fence::proof::{Found, fit_together, place};
use crate::fence::recent::Recent;
use crate::fence::renew::snapshot_fits;
use crate::fence::scrub::Scrub;
use crate::fence::{FencedTree, Figures, TreeFiles, TreeOptions, TreeState, Untrusted, rewrite};
use crate::files;
use crate::marks::{Marks, MarksFile, Totals};
use crate::repair::{has_blobs, repair_before_open};
use crate::sled::{RawTree, file_bytes, is_locked, make_empty};

/// A tree that is open, in a state its marks know.
struct Proven {
    raw: RawTree,
    totals: Totals,
    /// The last tick is wholly applied.
    finished: bool,
    quickly: bool,
}

impl FencedTree {
    /// Opens a tree and proves it by its marks: reads all of it, or, if it is large, looks
    /// up what changed since sled's last snapshot; then the rest should be read with
    /// [`FencedTree::scrub_step`]. Answers what it has applied, or why it cannot be trusted.
    ///
    /// # Errors
    /// If the file system refuses; a tree that is merely wrong is [`Untrusted`].
    pub(crate) fn open(
        path: &Path,
        marks_path: &Path,
        options: TreeOptions,
    ) -> Result<Result<(Self, Vec<u8>), Untrusted>, Error> {
        let files = TreeFiles::of(path, marks_path);
        let untrusted = |detail: &str| Ok(Err(Untrusted(detail.to_owned())));
        rewrite::clear_leftovers(&files)?;
        if let Some(reason) = noted_distrust(&files)? {
            return untrusted(&reason);
        }
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
        let proven = match prove(&files, &newest, options) {
            Ok(Some(proven)) => proven,
            Ok(None) => return untrusted("its content does not match its marks"),
            Err(error @ (Error::Full { .. } | Error::Denied { .. })) => {
                files.note_failure(&error);
                return Err(error);
            }
            Err(error) if is_locked(&error) => return Err(error),
            Err(error) => return untrusted(&error.to_string()),
        };
        if has_blobs(path)? {
            return untrusted("it has blob files");
        }
        let Marks { applied_after, applied_before, .. } = &mut newest;
        let applied = if proven.finished { applied_after } else { applied_before };
        let applied = std::mem::take(applied);
        let state = TreeState {
            tick: newest.tick,
            totals: proven.totals,
            applied: applied.clone(),
            conf: newest.conf,
            rewritten_bytes: newest.rewritten_bytes,
            unsettled: false,
            recent: None,
            scrub: proven.quickly.then(Scrub::default),
            rewrite: None,
        };
        let tree = Self::of(proven.raw, files, marks, options, state, proven.quickly)?;
        Ok(Ok((tree, applied)))
    }

    /// Throws a tree away with everything beside it. Without marks the rest counts for
    /// nothing, so a crash in between is no harm.
    pub(crate) fn discard(path: &Path, marks_path: &Path) -> Result<(), Error> {
        let files = TreeFiles::of(path, marks_path);
        let beside = path.with_extension("new");
        for part in [marks_path, path, &files.recent, &files.fresh, &files.replaced, &beside] {
            files::remove(part)?;
        }
        files::remove(&files.untrusted)
    }

    /// Makes an empty tree in place of whatever is there.
    pub(crate) fn create(
        path: &Path,
        marks_path: &Path,
        options: TreeOptions,
        applied: &[u8],
    ) -> Result<Self, Error> {
        let files = TreeFiles::of(path, marks_path);
        // Without marks the rest counts for nothing, so a crash from here on starts over.
        for leftover in [marks_path, &files.recent, &files.fresh, &files.replaced, path] {
            files::remove(leftover)?;
        }
        let beside = path.with_extension("new");
        files::remove(&beside)?;
        make_empty(&beside, options.cache_bytes)?;
        let conf = beside.join("conf");
        let conf = fs::read(&conf).map_err(|e| Error::io("reading", &conf, e))?;
        fs::rename(&beside, path).map_err(|e| Error::io("naming", path, e))?;
        files::sync_directory(files::parent(path))?;
        files::remove(&files.untrusted)?;
        let raw = RawTree::open(path, options.cache_bytes)?;
        let totals = totals_of(&raw)?;
        let applied = applied.to_vec();
        let first = Marks {
            tick: 1,
            applied_after: applied.clone(),
            applied_before: applied.clone(),
            states: vec![totals],
            counted: true,
            rewritten_bytes: 0,
            conf: conf.clone(),
        };
        let marks = MarksFile::create(marks_path, &first)?;
        let state = TreeState {
            tick: 1,
            totals,
            applied,
            conf,
            rewritten_bytes: 0,
            unsettled: false,
            recent: None,
            scrub: None,
            rewrite: None,
        };
        Self::of(raw, files, marks, options, state, false)
    }

    fn of(
        raw: RawTree,
        files: TreeFiles,
        marks: MarksFile,
        options: TreeOptions,
        mut state: TreeState,
        opened_quickly: bool,
    ) -> Result<Self, Error> {
        // What was read may be in the system's memory only.
        if let Err(error) = raw.sync() {
            files.note_failure(&error);
            return Err(error);
        }
        let scrub = state.scrub.as_ref().map(Scrub::state).unwrap_or_default();
        let figures = Mutex::new(Figures { opened_quickly, scrub, ..Figures::default() });
        let tree = Self {
            raw,
            files,
            marks,
            options,
            state: Mutex::default(),
            distrusted: OnceLock::new(),
            figures,
        };
        state.recent = tree.begin_recent(&state)?;
        tree.note(&state, |_| {});
        *crate::locks::lock(&tree.state) = state;
        Ok(tree)
    }
}

/// Opens sled and finds the state it is in; `None` if the marks know of no such state.
fn prove(files: &TreeFiles, marks: &Marks, options: TreeOptions) -> Result<Option<Proven>, Error> {
    let recent = usable_recent(files, marks, options)?;
    if recent.is_none() {
        // From here on it would speak of a tree that was opened without it.
        files::remove(&files.recent)?;
    }
    let raw = RawTree::open(&files.tree, options.cache_bytes)?;
    let (place, totals) = match &recent {
        Some(recent) => {
            let place = place(recent, marks, &Found::of(recent, &raw)?);
            (place, place.map(|place| marks.states[place]))
        }
        None => {
            let totals = totals_of(&raw)?;
            let place = marks.states.iter().position(|state| state.digest == totals.digest);
            (place, Some(totals))
        }
    };
    let (Some(place), Some(totals)) = (place, totals) else { return Ok(None) };
    let finished = place + 1 == marks.states.len();
    Ok(Some(Proven { raw, totals, finished, quickly: recent.is_some() }))
}

/// What changed since sled's last snapshot, if that is enough to prove the tree by.
fn usable_recent(
    files: &TreeFiles,
    marks: &Marks,
    options: TreeOptions,
) -> Result<Option<Recent>, Error> {
    if file_bytes(&files.tree) < options.check_whole_below_bytes {
        return Ok(None);
    }
    let Some(recent) = Recent::read(&files.recent)? else { return Ok(None) };
    let usable = fit_together(&recent, marks) && snapshot_fits(&files.tree, &recent.base.snapshot)?;
    Ok(Some(recent).filter(|_| usable))
}

/// Why the tree must not be trusted, if that was found while it was in use.
fn noted_distrust(files: &TreeFiles) -> Result<Option<String>, Error> {
    if !files.untrusted.exists() {
        return Ok(None);
    }
    let reason =
        fs::read(&files.untrusted).map_err(|e| Error::io("reading", &files.untrusted, e))?;
    Ok(Some(String::from_utf8_lossy(&reason).into_owned()))
}
