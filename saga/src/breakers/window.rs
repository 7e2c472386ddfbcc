//! Calls and failures within the last so many milliseconds, counted in slices.

use backstitch_core::time::Timestamp;

/// Slices of a window: what is counted reaches back between nine tenths of it and all.
const SLICES: usize = 10;

/// Calls and failures of late.
#[derive(Debug, Default)]
pub(super) struct Window {
    slices: [Slice; SLICES],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    /// Which slice of time it counts.
    number: i64,
    calls: u32,
    failures: u32,
}

impl Window {
    /// Counts a call; answers how many there were, and how many of them failed.
    pub fn count(&mut self, failed: bool, window_ms: u64, now: Timestamp) -> (u32, u32) {
        let slice_us = i64::try_from(window_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let slice_us = (slice_us / 10).max(1);
        let number = now.0.div_euclid(slice_us);
        let at = usize::try_from(number.rem_euclid(10)).expect("it is below 10");
        let own = &mut self.slices[at];
        if own.number != number {
            *own = Slice { number, ..Slice::default() };
        }
        own.calls = own.calls.saturating_add(1);
        own.failures = own.failures.saturating_add(u32::from(failed));
        self.sum(number)
    }

    fn sum(&self, last: i64) -> (u32, u32) {
        let of_late = |own: &&Slice| own.number <= last && own.number > last - 10;
        self.slices.iter().filter(of_late).fold((0, 0), |(calls, failures), own| {
            (calls.saturating_add(own.calls), failures.saturating_add(own.failures))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::default();
        let at = |ms: i64| Timestamp(1_800_000_000_000_000 + ms * 1_000);
        assert_eq!(window.count(true, 1_000, at(0)), (1, 1));
        assert_eq!(window.count(false, 1_000, at(500)), (2, 1));
        assert_eq!(window.count(true, 1_000, at(999)), (3, 2));
        assert_eq!(window.count(true, 1_000, at(1_000)), (3, 2), "the first has gone");
        assert_eq!(window.count(false, 1_000, at(60_000)), (1, 0));
        assert_eq!(window.count(false, 1_000, at(10_000)), (1, 0), "a clock set back begins anew");
    }
}
