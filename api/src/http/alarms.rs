//! What an operator should look at although the server is well: dead letters that are too many,
//! or too old.
//!
//! Told where people and their tools look: `/health`, `/info`, and the gauges of `/metrics`. The
//! views keep the numbers, so asking costs two look-ups.

use backstitch_core::summary::LetterStatus;
use backstitch_saga::{Handle, clock};

use super::App;
use crate::settings::LetterAlarm;

/// Open dead letters, of all namespaces.
pub const LETTERS_OPEN: &str = "backstitch_dead_letters_open";
/// Seconds that the oldest of them has been open; 0 without one.
pub const LETTERS_OLDEST_SECONDS: &str = "backstitch_dead_letters_oldest_seconds";
/// Whether there are too many (1) or not (0), by `alarm` (`letters`, `age`).
pub const LETTERS_ALARM: &str = "backstitch_dead_letters_alarm";

/// How open dead letters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Standing {
    open: u64,
    oldest_ms: u64,
}

impl Standing {
    /// Nothing while the views can't be read: that has its own alarm.
    fn of(engine: &Handle) -> Option<Self> {
        let (journal, now) = (engine.journal(), clock::now());
        let mut standing = Self::default();
        for namespace in journal.namespaces() {
            let causes = journal.letter_counts(&namespace);
            let open = causes.iter().map(|(_, own)| own.of_status(LetterStatus::Open));
            standing.open += open.sum::<u64>();
            let (since, _) = journal.open_letters_since(&namespace, 1).ok()?;
            let oldest_ms = since.first().map_or(0, |at| now.ms_since(*at));
            standing.oldest_ms = standing.oldest_ms.max(oldest_ms);
        }
        Some(standing)
    }

    fn is_too_many(self, alarm: LetterAlarm) -> bool {
        alarm.letters.is_some_and(|most| self.open >= most)
    }

    fn is_too_old(self, alarm: LetterAlarm) -> bool {
        alarm.age_ms.is_some_and(|most| self.oldest_ms >= most)
    }

    fn sentences(self, alarm: LetterAlarm) -> Vec<String> {
        let Self { open, oldest_ms } = self;
        let many = self.is_too_many(alarm).then(|| format!("{open} dead letters are open"));
        let seconds = oldest_ms / 1_000;
        let old = self.is_too_old(alarm);
        let old = old.then(|| format!("the oldest dead letter has been open for {seconds} s"));
        many.into_iter().chain(old).collect()
    }
}

/// One sentence for each thing to look at; none while the server starts.
pub(super) fn warnings(app: &App) -> Vec<String> {
    let standing = app.engine().ok().and_then(Standing::of);
    standing.map(|own| own.sentences(app.in_force().settings.letter_alarm)).unwrap_or_default()
}

/// Describes the gauges.
pub(super) fn describe() {
    metrics::describe_gauge!(LETTERS_OPEN, "open dead letters");
    metrics::describe_gauge!(LETTERS_OLDEST_SECONDS, "seconds the oldest of them has been open");
    metrics::describe_gauge!(LETTERS_ALARM, "whether there are too many, or too old ones");
}

/// Tells the recorder.
pub(super) fn record(app: &App) {
    let Some(standing) = app.engine().ok().and_then(Standing::of) else { return };
    let number = |own: u64| u32::try_from(own).map_or(f64::from(u32::MAX), f64::from);
    let alarm = app.in_force().settings.letter_alarm;
    let word = |rings: bool| if rings { 1.0 } else { 0.0 };
    metrics::gauge!(LETTERS_OPEN).set(number(standing.open));
    metrics::gauge!(LETTERS_OLDEST_SECONDS).set(number(standing.oldest_ms / 1_000));
    metrics::gauge!(LETTERS_ALARM, "alarm" => "letters").set(word(standing.is_too_many(alarm)));
    metrics::gauge!(LETTERS_ALARM, "alarm" => "age").set(word(standing.is_too_old(alarm)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_rings_from_its_number_on_and_can_be_off() {
        let standing = Standing { open: 10, oldest_ms: 61_000 };
        let alarm = |letters, age_ms| standing.sentences(LetterAlarm { letters, age_ms });
        assert_eq!(alarm(Some(11), Some(61_001)), Vec::<String>::new());
        assert_eq!(alarm(Some(10), None), ["10 dead letters are open"]);
        assert_eq!(alarm(None, Some(61_000)), ["the oldest dead letter has been open for 61 s"]);
        assert_eq!(Standing::default().sentences(LetterAlarm::default()), Vec::<String>::new());
    }
}
