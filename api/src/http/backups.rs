//! `/api/v1/admin/backups`: backups of the running server, one at a time.
//!
//! Knows where they may go and how far one has come; what a backup is, the journal knows.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use axum::response::Response;
use backstitch_core::time::Timestamp;
use backstitch_journal::{BackupReport, Error, Progress};
use backstitch_saga::{Handle, clock};
use serde::Serialize;
use serde_json::json;

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::refusal::Refusal;
use super::{answer, codes};

/// Backups that ended and are remembered.
const ENDED_MAX: usize = 20;
/// Backups that ended, by `result` (`whole`, `cancelled`, `failed`).
pub const BACKUPS: &str = "backstitch_backups_total";

/// Where backups go and how they stand.
#[derive(Debug, Default)]
pub(super) struct Backups {
    root: Option<PathBuf>,
    state: Mutex<Standing>,
}

#[derive(Debug, Default, Serialize)]
struct Standing {
    running: Option<Running>,
    ended: VecDeque<Ended>,
    #[serde(skip)]
    cancelled: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Running {
    directory: PathBuf,
    begun_at: String,
    progress: Option<Progress>,
}

#[derive(Debug, Clone, Serialize)]
struct Ended {
    directory: PathBuf,
    begun_at: String,
    ended_at: String,
    result: &'static str,
    report: Option<BackupReport>,
    error: Option<String>,
}

impl Backups {
    /// Backups below a directory; without one there are none.
    pub(super) fn below(root: Option<PathBuf>) -> Self {
        Self { root, state: Mutex::default() }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a backup of this name goes.
    fn place(&self, name: &str) -> Result<PathBuf, Refusal> {
        let Some(root) = &self.root else {
            let message = "backups are off: set `backup_directory` to where they may go";
            return Err(Refusal::new(codes::BACKUPS_OFF, message));
        };
        let path = Path::new(name);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain || name.chars().any(char::is_control) {
            let message = "`directory` must be a name below the configured `backup_directory`, \
                           without `..` and not absolute";
            return Err(Refusal::bad_request(message));
        }
        Ok(root.join(path))
    }

    fn begin(&self, directory: &Path, at: Timestamp) -> Result<(), Refusal> {
        let mut standing = self.standing();
        if let Some(running) = &standing.running {
            let message = format!("a backup to {} is running", running.directory.display());
            return Err(Refusal::new(codes::BACKUP_RUNNING, message));
        }
        standing.cancelled = false;
        let (directory, begun_at) = (directory.to_owned(), at.to_string());
        standing.running = Some(Running { directory, begun_at, progress: None });
        Ok(())
    }

    /// Notes progress; answers whether to go on.
    fn hear(&self, progress: Progress) -> ControlFlow<()> {
        let mut standing = self.standing();
        if let Some(running) = &mut standing.running {
            running.progress = Some(progress);
        }
        if standing.cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(&self, done: Result<BackupReport, Error>) {
        let mut standing = self.standing();
        let Some(Running { directory, begun_at, .. }) = standing.running.take() else { return };
        let result = match &done {
            Ok(_) => "whole",
            Err(Error::Cancelled) => "cancelled",
            Err(_) => "failed",
        };
        metrics::counter!(BACKUPS, "result" => result).increment(1);
        let error = done.as_ref().err().map(with_cause);
        match &error {
            None => tracing::info!(directory = %directory.display(), "the backup is whole"),
            Some(error) => {
                tracing::warn!(directory = %directory.display(), error, "the backup ended");
            }
        }
        let (ended_at, report) = (clock::now().to_string(), done.ok());
        standing.ended.push_front(Ended { directory, begun_at, ended_at, result, report, error });
        standing.ended.truncate(ENDED_MAX);
    }
}

fn with_cause(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// `POST /api/v1/admin/backups`: begins a backup, or goes on with one.
pub(super) async fn begin(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let engine = caller.engine()?.clone();
    let mut fields = Fields::of(document, &["directory"]);
    let name = fields.words("directory");
    fields.finish()?;
    let directory = caller.backups().place(&name)?;
    let at = clock::now();
    caller.backups().begin(&directory, at)?;
    tracing::info!(directory = %directory.display(), actor = &caller.actor(), "a backup begins");
    let (worker, to) = (caller.clone(), directory.clone());
    let begun = std::thread::Builder::new()
        .name("backup".to_owned())
        .spawn(move || run(&worker, &engine, &to, at));
    if let Err(error) = begun {
        caller.backups().end(Err(Error::Io {
            action: "starting a thread for",
            path: directory.clone(),
            source: error,
        }));
    }
    let body = json!({ "directory": directory, "begun_at": at.to_string() });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}

fn run(caller: &Caller, engine: &Handle, to: &Path, at: Timestamp) {
    let backups = caller.backups();
    let done = engine.journal().backup(to, at, &mut |progress| {
        // A server that stops does not wait for a backup: the next one goes on with it.
        if engine.is_ready() { backups.hear(progress) } else { ControlFlow::Break(()) }
    });
    backups.end(done);
}

/// `GET /api/v1/admin/backups`: the one that runs, and the last ones with what came of them.
pub(super) async fn show(caller: Caller) -> Result<Response, Refusal> {
    caller.engine()?;
    Ok(answer::ok(&*caller.backups().standing()))
}

/// `DELETE /api/v1/admin/backups`: stops the one that runs; what it copied stays for the next.
pub(super) async fn cancel(caller: Caller) -> Result<Response, Refusal> {
    caller.engine()?;
    let mut standing = caller.backups().standing();
    standing.cancelled = true;
    let running = standing.running.as_ref().map(|running| running.directory.clone());
    Ok(answer::ok(&json!({ "cancelled": running })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(answered: Result<T, Refusal>) -> Option<&'static str> {
        answered.err().map(|refusal| refusal.code)
    }

    #[test]
    fn without_a_directory_backups_are_off() {
        assert_eq!(code(Backups::below(None).place("nightly")), Some(codes::BACKUPS_OFF));
    }

    #[test]
    fn one_runs_at_a_time_and_a_cancel_is_heard() {
        let backups = Backups::below(Some("root".into()));
        let progress = || Progress { phase: "copying", bytes_done: 1, bytes_total: 2 };
        let place = backups.place("a/b").unwrap();
        backups.begin(&place, Timestamp(1)).unwrap();
        assert_eq!(code(backups.begin(&place, Timestamp(2))), Some(codes::BACKUP_RUNNING));
        assert!(backups.hear(progress()).is_continue());
        backups.standing().cancelled = true;
        assert!(backups.hear(progress()).is_break());
        backups.end(Err(Error::Cancelled));
        assert_eq!(backups.standing().ended[0].result, "cancelled");
        backups.begin(&place, Timestamp(3)).unwrap();
        assert!(backups.hear(progress()).is_continue(), "a cancel is of one backup");
    }
}
