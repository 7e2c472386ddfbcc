//! Requests of the last minute: how many, how long they took, how many the server failed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds that are counted.
const SECONDS: usize = 60;

/// What was answered in one second.
#[derive(Debug, Clone, Copy, Default)]
struct Second {
    /// Which one since the start.
    number: u64,
    answers: u32,
    failures: u32,
    took: Duration,
}

/// The last minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Minute {
    /// Answers.
    pub answers: u32,
    /// Those with 5xx.
    pub failures: u32,
    /// What all of them took.
    pub took: Duration,
}

/// Counts answers.
#[derive(Debug)]
pub struct Traffic {
    began: Instant,
    seconds: Mutex<[Second; SECONDS]>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { began: Instant::now(), seconds: Mutex::new([Second::default(); SECONDS]) }
    }
}

impl Traffic {
    /// How long the server lives.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// A request was answered.
    pub fn answered(&self, failed: bool, took: Duration) {
        self.count(self.uptime().as_secs(), failed, took);
    }

    /// What was answered in the last minute.
    #[must_use]
    pub fn minute(&self) -> Minute {
        self.until(self.uptime().as_secs())
    }

    fn count(&self, number: u64, failed: bool, took: Duration) {
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let own = &mut seconds[place(number)];
        if own.number != number {
            *own = Second { number, ..Second::default() };
        }
        own.answers += 1;
        own.failures += u32::from(failed);
        own.took += took;
    }

    fn until(&self, number: u64) -> Minute {
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = seconds.iter().filter(|own| own.number + SECONDS as u64 > number);
        recent.fold(Minute::default(), |sum, own| Minute {
            answers: sum.answers + own.answers,
            failures: sum.failures + own.failures,
            took: sum.took + own.took,
        })
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_counted_and_what_is_older_is_forgotten() {
        let traffic = Traffic::default();
        let ms = Duration::from_millis;
        traffic.count(0, false, ms(10));
        traffic.count(59, true, ms(20));
        assert_eq!(traffic.until(59), Minute { answers: 2, failures: 1, took: ms(30) });
        assert_eq!(traffic.until(60), Minute { answers: 1, failures: 1, took: ms(20) });
        traffic.count(119, false, ms(5));
        assert_eq!(traffic.until(119), Minute { answers: 1, failures: 0, took: ms(5) });
    }
}
