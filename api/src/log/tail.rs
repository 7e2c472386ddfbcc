//! Somebody who follows the log: from a line on, and then as lines come.

use std::time::Duration;

use backstitch_saga::live::Heard;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Logs, Pick};

/// Lines read at a time.
const LINES_AT_ONCE_MAX: usize = 512;
/// The shortest time between two reads. What is read may be logged of itself, and goes no faster.
const PAUSE: Duration = Duration::from_millis(100);

/// Follows the log.
pub(crate) struct Tail {
    logs: Logs,
    pick: Pick,
    news: watch::Receiver<Option<u64>>,
    seen: u64,
    told: u64,
    read_at: Option<Instant>,
}

impl Tail {
    /// From behind a line on, given by its number.
    pub(crate) fn new(logs: &Logs, pick: Pick, behind: u64) -> Self {
        let news = logs.lines().watch();
        Self { logs: logs.clone(), pick, news, seen: behind, told: behind, read_at: None }
    }

    /// The next lines that are wanted; none once the log is closed. Dropped at any time, it
    /// loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Vec<Heard>> {
        loop {
            let seen = self.seen;
            let there = self.news.wait_for(|newest| newest.is_none_or(|own| own > seen)).await;
            there.ok().and_then(|newest| *newest)?;
            if let Some(at) = self.read_at {
                sleep_until(at + PAUSE).await;
            }
            self.read_at = Some(Instant::now());
            let heard = self.read();
            if !heard.is_empty() {
                self.told = self.seen;
                return Some(heard);
            }
        }
    }

    fn read(&mut self) -> Vec<Heard> {
        let lines = self.logs.lines();
        let (missed, read) = lines.behind(self.seen, LINES_AT_ONCE_MAX);
        let heard =
            |number, kind, json| Heard { place: lines.place(number).to_string(), kind, json };
        let mut all = Vec::new();
        if missed > 0 {
            let told = json!({ "missed": missed }).to_string();
            self.seen += missed;
            all.push(heard(self.seen, "missed", told.into()));
        }
        for (number, line) in read {
            self.seen = number;
            if self.pick.takes(&line) {
                all.push(heard(number, "line", line));
            }
        }
        all
    }

    /// The place behind what was given out.
    pub(crate) fn place(&self) -> String {
        self.logs.lines().place(self.told).to_string()
    }

    /// What was seen and not wanted is passed over; whether there was any.
    pub(crate) fn pass_over(&mut self) -> bool {
        std::mem::replace(&mut self.told, self.seen) < self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn kinds(heard: &[Heard]) -> Vec<&str> {
        heard.iter().map(|own| own.kind).collect()
    }

    #[tokio::test]
    async fn lines_come_once_and_what_was_missed_is_said() {
        let logs = Logs::of(&Settings { log_buffer_bytes: 1_000, ..Settings::default() });
        let line = |level: &str| json!({ "level": level, "fields": {} }).to_string();
        logs.keep(&line("INFO"));
        let pick = Pick { level: Some("info"), ..Pick::default() };
        let mut tail = Tail::new(&logs, pick, 0);
        let first = tail.next().await.expect("lines");
        assert_eq!((kinds(&first), &*first[0].json), (vec!["line"], line("INFO").as_str()));
        assert_eq!(tail.place(), first[0].place);
        logs.keep(&line("DEBUG"));
        assert!(tail.read().is_empty(), "nobody wants it");
        assert!(tail.pass_over() && !tail.pass_over());
        (0..100).for_each(|_| logs.keep(&line("WARN")));
        let more = tail.next().await.expect("lines");
        let kept = more.len() as u64 - 1;
        assert_eq!(more[0].kind, "missed");
        assert_eq!(*more[0].json, *json!({ "missed": 100 - kept }).to_string());
        logs.lines().end();
        assert!(tail.next().await.is_none());
    }
}
