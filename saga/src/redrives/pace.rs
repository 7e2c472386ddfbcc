//! When the next retry is due.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What a schedule that fell behind makes up for: more would come as one burst.
const CATCH_UP_MAX: Duration = Duration::from_millis(100);

/// Instants that are as far apart as a rate says. A timer that is late does not shift those
/// behind it, so that the rate holds.
pub(super) struct Pace {
    next: Instant,
    apart: Duration,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { next: Instant::now(), apart: Duration::from_secs(1) / per_second.max(1) }
    }

    /// Waits for the next instant.
    pub(super) async fn next(&mut self) {
        let earliest = Instant::now().checked_sub(CATCH_UP_MAX);
        self.next = earliest.map_or(self.next, |earliest| self.next.max(earliest));
        sleep_until(self.next).await;
        self.next += self.apart;
    }
}
