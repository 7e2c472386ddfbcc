//! Files that count while the server runs: they are read again every minute and at SIGHUP, so that
//! what is in them is renewed without a restart. Files that can't be used change nothing.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::Error;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What files hold, byte by byte, and what is made of it.
type Read<T> = (Vec<Vec<u8>>, T);
/// Reads them.
type Reader<T> = dyn Fn() -> Result<Read<T>, Error> + Send + Sync;

/// How the log tells of files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    /// They are others now.
    pub(crate) renewed: &'static str,
    /// They can't be used.
    pub(crate) as_before: &'static str,
}

/// Keeps what was made of files the newest.
pub(crate) struct Keeper<T> {
    words: Words,
    reader: Arc<Reader<T>>,
    bytes: Vec<Vec<u8>>,
    newest: watch::Sender<T>,
}

/// Reads files for the first time.
///
/// # Errors
/// As the reader.
pub(crate) fn open<T: Send + Sync + 'static>(
    words: Words,
    reader: impl Fn() -> Result<Read<T>, Error> + Send + Sync + 'static,
) -> Result<(watch::Receiver<T>, Keeper<T>), Error> {
    let (bytes, made) = reader()?;
    let (newest, own) = watch::channel(made);
    Ok((own, Keeper { words, reader: Arc::new(reader), bytes, newest }))
}

impl<T: Send + Sync + 'static> Keeper<T> {
    /// Reads the files again and again.
    pub(crate) async fn keep(mut self) {
        let Words { renewed, as_before } = self.words;
        let mut hangups = match signal(SignalKind::hangup()) {
            Ok(hangups) => hangups,
            Err(error) => {
                tracing::error!(%error, "{as_before} until a restart: SIGHUP can't be caught");
                return;
            }
        };
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hangups.recv() => {}
                _ = looks.tick() => {}
            }
            let reader = self.reader.clone();
            match tokio::task::spawn_blocking(move || reader()).await {
                Ok(Ok((bytes, made))) if bytes != self.bytes => {
                    self.bytes = bytes;
                    self.newest.send_replace(made);
                    tracing::info!("{renewed}");
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(error = error.sentence(), "{as_before}"),
                Err(error) => tracing::error!(%error, "{as_before}: reading met a bug"),
            }
        }
    }
}

impl<T> fmt::Debug for Keeper<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("words", &self.words).finish_non_exhaustive()
    }
}

/// The bytes of a file.
///
/// # Errors
/// [`Error::File`].
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { file: path.display().to_string(), source })
}

/// The error of a file that can't be used.
pub(crate) fn unfit(key: &str, path: &Path, why: &str) -> Error {
    Error::Setting(format!("{key}: {} can't be used: {why}", path.display()))
}
