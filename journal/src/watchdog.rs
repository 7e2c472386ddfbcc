//! Ending the process when a call into the store never returns.
//!
//! Knows nothing of the call.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// A flush that takes longer will not come back.
const FLUSH_SECONDS_MAX: u64 = 30;

/// Ends the process if a call does not return: after a failed write sled's flush may wait
/// for ever, and with it everything that waits for the store.
pub(crate) fn under_watchdog<T>(path: &Path, call: impl FnOnce() -> T) -> T {
    let (finished, watch) = channel::<()>();
    let path = path.to_owned();
    std::thread::spawn(move || {
        let outcome = watch.recv_timeout(Duration::from_secs(FLUSH_SECONDS_MAX));
        if outcome == Err(RecvTimeoutError::Timeout) {
            eprintln!(
                "backstitch: the store {} did not finish a flush in {FLUSH_SECONDS_MAX} s; the \
                 process ends, the log is whole and the next start heals the store",
                path.display()
            );
            std::process::abort();
        }
    });
    let answer = call();
    drop(finished);
    answer
}
