//! Room for large bodies: how many bytes of them are held, and worked on, at once.
//!
//! A definition of 4 MiB costs many times that while it is parsed and compiled. Small bodies
//! pass freely; large ones share the room that is named here, whoever sends them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// Bodies up to this pass freely, in bytes.
pub(super) const FREE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of large bodies that are parsed and compiled at once; more wait.
const WORK_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of large bodies that have arrived, whole or in part, and are held.
const HELD_BYTES_MAX: usize = 192 * 1024 * 1024;
/// How long a large body waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The room of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room {
    held: Arc<Semaphore>,
    work: Arc<Semaphore>,
    work_bytes_max: usize,
    turn_timeout: Duration,
}

/// A share of the room, given back when dropped; empty for a small body.
#[derive(Debug, Default)]
pub(super) struct Share(Option<OwnedSemaphorePermit>);

impl Room {
    /// The room that a server has.
    pub(super) fn new() -> Self {
        Self::of(HELD_BYTES_MAX, WORK_BYTES_MAX, TURN_TIMEOUT)
    }

    fn of(held_bytes_max: usize, work_bytes_max: usize, turn_timeout: Duration) -> Self {
        Self {
            held: Arc::new(Semaphore::new(held_bytes_max)),
            work: Arc::new(Semaphore::new(work_bytes_max)),
            work_bytes_max,
            turn_timeout,
        }
    }

    /// Makes a share large enough to hold a body that has grown to some bytes.
    ///
    /// # Errors
    /// 503 when other bodies fill the room.
    pub(super) fn hold(&self, share: &mut Share, bytes: usize) -> Result<(), Refusal> {
        let held = share.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if bytes <= FREE_BYTES_MAX || bytes <= held {
            return Ok(());
        }
        let more = permits(bytes - held);
        let more = self.held.clone().try_acquire_many_owned(more).map_err(|_| busy())?;
        match &mut share.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Waits until a body of some bytes may be worked on.
    ///
    /// # Errors
    /// 503 when its turn does not come in time.
    pub(super) async fn work(&self, bytes: usize) -> Result<Share, Refusal> {
        if bytes <= FREE_BYTES_MAX {
            return Ok(Share::default());
        }
        let wanted = permits(bytes.min(self.work_bytes_max));
        let turn = self.work.clone().acquire_many_owned(wanted);
        match tokio::time::timeout(self.turn_timeout, turn).await {
            Ok(Ok(permit)) => Ok(Share(Some(permit))),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn busy() -> Refusal {
    Refusal::unavailable("other large bodies are being worked on; send this one again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = FREE_BYTES_MAX + 1;

    #[tokio::test]
    async fn large_bodies_take_turns_and_small_ones_pass() {
        let room = Room::of(0, LARGE + 1, Duration::ZERO);
        let first = room.work(LARGE).await.expect("there is room");
        let refused = room.work(LARGE).await.expect_err("the room is taken");
        assert_eq!(refused.status(), 503);
        room.work(FREE_BYTES_MAX).await.expect("small bodies pass");
        drop(first);
        let whole = room.work(10 * LARGE).await.expect("one takes no more than there is");
        drop(whole);
    }

    #[test]
    fn what_arrives_is_held_within_bounds() {
        let room = Room::of(2 * LARGE, 0, Duration::ZERO);
        let (mut one, mut other) = (Share::default(), Share::default());
        room.hold(&mut one, FREE_BYTES_MAX).expect("small ones are not counted");
        room.hold(&mut one, LARGE).expect("there is room");
        room.hold(&mut one, LARGE + 1).expect("it grows");
        assert!(room.hold(&mut other, LARGE).is_err());
        drop(one);
        room.hold(&mut other, 2 * LARGE).expect("the room is given back");
    }
}
