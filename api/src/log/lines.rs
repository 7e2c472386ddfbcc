//! The newest lines of the log, in memory: at most so many bytes, and the oldest make room.
//!
//! Whoever logs puts a line in and goes on; whoever reads comes for some lines at a time.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstitch_saga::clock;
use tokio::sync::watch;

/// What a line takes beside its text, about.
const LINE_OVERHEAD_BYTES: usize = 48;

/// Lines by their number, which count from 1 in each life of the server.
#[derive(Debug)]
pub(crate) struct Lines {
    kept: Mutex<Kept>,
    /// The newest number; none once no other line is given out.
    newest: watch::Sender<Option<u64>>,
    life: u64,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    texts: VecDeque<Arc<str>>,
    /// How many made room.
    gone: u64,
    bytes: usize,
}

/// The place behind a line: its number, in one life of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinePlace {
    life: u64,
    pub(crate) number: u64,
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{}", self.life, self.number)
    }
}

impl FromStr for LinePlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (life, number) = text.split_once(':').ok_or(())?;
        let life = u64::from_str_radix(life, 16).map_err(drop)?;
        Ok(Self { life, number: number.parse().map_err(drop)? })
    }
}

impl Lines {
    pub(super) fn new(bytes_max: usize) -> Self {
        let life = clock::now().0.unsigned_abs();
        Self { kept: Mutex::default(), newest: watch::Sender::new(Some(0)), life, bytes_max }
    }

    /// Whether any line is kept.
    pub(super) fn keep_any(&self) -> bool {
        self.bytes_max > 0
    }

    /// Keeps a line, if lines are kept.
    pub(super) fn keep(&self, text: Arc<str>) {
        if !self.keep_any() {
            return;
        }
        let mut kept = self.kept();
        kept.bytes += size(&text);
        kept.texts.push_back(text);
        while kept.bytes > self.bytes_max
            && let Some(oldest) = kept.texts.pop_front()
        {
            kept.bytes -= size(&oldest);
            kept.gone += 1;
        }
        let newest = kept.gone + kept.texts.len() as u64;
        drop(kept);
        self.newest.send_if_modified(|own| {
            own.as_mut().is_some_and(|own| std::mem::replace(own, newest) < newest)
        });
    }

    /// Up to so many lines behind a number, and how many of those behind it have made room.
    pub(crate) fn behind(&self, number: u64, max: usize) -> (u64, Vec<(u64, Arc<str>)>) {
        let kept = self.kept();
        let missed = kept.gone.saturating_sub(number);
        let skipped = usize::try_from(number.saturating_sub(kept.gone)).unwrap_or(usize::MAX);
        let first = kept.gone + skipped as u64 + 1;
        let texts = kept.texts.iter().skip(skipped).take(max).cloned();
        (missed, (first..).zip(texts).collect())
    }

    /// Up to so many lines before a number, the newest first.
    pub(crate) fn before(&self, number: u64, max: usize) -> Vec<(u64, Arc<str>)> {
        let kept = self.kept();
        let end = usize::try_from(number.saturating_sub(kept.gone + 1)).unwrap_or(usize::MAX);
        let end = end.min(kept.texts.len());
        let numbers = (kept.gone + 1..=kept.gone + end as u64).rev();
        numbers.zip(kept.texts.range(..end).rev().take(max).cloned()).collect()
    }

    /// The number of the newest line; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        let kept = self.kept();
        kept.gone + kept.texts.len() as u64
    }

    /// How many are kept, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.texts.len(), kept.bytes)
    }

    /// The place behind a number.
    pub(crate) fn place(&self, number: u64) -> LinePlace {
        LinePlace { life: self.life, number }
    }

    /// The number of a place; 0, before every line, for one of another life.
    pub(crate) fn number(&self, place: LinePlace) -> u64 {
        if place.life == self.life { place.number } else { 0 }
    }

    /// Tells of the newest number, and of the end.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<u64>> {
        self.newest.subscribe()
    }

    /// Whoever follows has come to the end.
    pub(crate) fn end(&self) {
        self.newest.send_replace(None);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(text: &str) -> usize {
    text.len() + LINE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_readers_hear_what_they_missed() {
        let lines = Lines::new(10 * size("line 000"));
        let mut news = lines.watch();
        (1..=25).for_each(|number| lines.keep(format!("line {number:03}").into()));
        assert_eq!(*news.borrow_and_update(), Some(25));
        let (missed, read) = lines.behind(4, 3);
        assert_eq!(missed, 11);
        assert_eq!(read, [16, 17, 18].map(|own: u64| (own, format!("line {own:03}").into())));
        assert_eq!(lines.behind(24, 9), (0, vec![(25, "line 025".into())]));
        assert_eq!(lines.behind(25, 9), (0, vec![]));
        assert_eq!(lines.behind(999, 9), (0, vec![]));
        let numbers =
            |found: Vec<(u64, Arc<str>)>| found.into_iter().map(|own| own.0).collect::<Vec<_>>();
        assert_eq!(numbers(lines.before(u64::MAX, 3)), [25, 24, 23]);
        assert_eq!(numbers(lines.before(18, 9)), [17, 16]);
        assert_eq!(numbers(lines.before(16, 9)), [0; 0]);
        lines.keep("x".repeat(5_000).into());
        assert_eq!(lines.behind(0, 9), (26, vec![]), "one that has no room leaves none");
        lines.end();
        assert_eq!(*news.borrow_and_update(), None);
    }

    #[test]
    fn a_place_counts_in_its_own_life() {
        let lines = Lines::new(1_000);
        let place = lines.place(7);
        assert_eq!(place.to_string().parse(), Ok(place));
        assert_eq!(lines.number(place), 7);
        assert_eq!(lines.number(LinePlace { life: 1, number: 7 }), 0);
        assert!("7".parse::<LinePlace>().is_err() && "x:7".parse::<LinePlace>().is_err());
    }
}
