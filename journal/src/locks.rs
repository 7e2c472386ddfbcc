//! Taking a lock.
//!
//! Knows nothing of what is behind it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Takes a lock. A holder that panicked is no reason to stop: no holder in this crate leaves
/// a change half made, and panics inside sled and callbacks are caught and reported.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a signal.
pub(crate) fn wait<'a, T>(signal: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    signal.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a signal or a timeout; answers whether it was the timeout.
pub(crate) fn wait_ms<'a, T>(
    signal: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout_ms: u64,
) -> (MutexGuard<'a, T>, bool) {
    let timeout = Duration::from_millis(timeout_ms);
    let (guard, result) =
        signal.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
    (guard, result.timed_out())
}
