//! A bar on stderr for work that takes a while, where a person watches.
//!
//! Knows amounts only. Nothing is drawn in a pipe, with `--json`, or for work that is over
//! soon.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is over by then shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often a bar is drawn anew.
const DRAWS_PER_SECOND: u8 = 8;

/// Bytes of so many.
const KNOWN_BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
/// Bytes of nobody knows how many.
const UNKNOWN_BYTES: &str = "{msg} {spinner} {bytes} {elapsed}";

/// How far something is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    shown: bool,
}

impl Progress {
    /// Work of so many bytes (0 if nobody knows), shown if somebody watches.
    #[must_use]
    pub fn bytes(watched: bool, doing: &'static str, total_bytes: u64) -> Self {
        let template = if total_bytes > 0 { KNOWN_BYTES } else { UNKNOWN_BYTES };
        Self::of(watched, doing, total_bytes, template)
    }

    /// The same of things that are counted.
    #[must_use]
    pub fn count(watched: bool, doing: &'static str, total: u64) -> Self {
        let template = match total {
            0 => "{msg} {spinner} {pos} {elapsed}",
            _ => "{msg} {wide_bar} {pos}/{len} {eta}",
        };
        Self::of(watched, doing, total, template)
    }

    fn of(watched: bool, doing: &'static str, total: u64, template: &str) -> Self {
        let bar = watched.then(|| {
            let length = Some(total).filter(|&total| total > 0);
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
            bar.with_style(style(template)).with_message(doing)
        });
        Self { bar, begun: Instant::now(), shown: false }
    }

    /// Work of several phases, each of so many bytes as it says when it is heard of.
    #[must_use]
    pub fn phases(watched: bool) -> Self {
        Self::of(watched, "", 0, UNKNOWN_BYTES)
    }

    /// Takes what the journal says of its work.
    pub fn hear(&mut self, heard: &backstitch_journal::Progress) -> ControlFlow<()> {
        let Some(bar) = &self.bar else { return ControlFlow::Continue(()) };
        if bar.message() != heard.phase {
            bar.set_style(style(if heard.bytes_total > 0 { KNOWN_BYTES } else { UNKNOWN_BYTES }));
            bar.set_message(heard.phase);
        }
        self.reach_of(heard.bytes_done, heard.bytes_total);
        ControlFlow::Continue(())
    }

    /// So far it got, of so many as far as known now.
    pub fn reach_of(&mut self, done: u64, total: u64) {
        if let Some(bar) = self.bar.as_ref().filter(|_| total > 0) {
            bar.set_length(total);
        }
        self.reach(done);
    }

    /// So far it got.
    pub fn reach(&mut self, done: u64) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(done);
        if !self.shown && self.begun.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("templates are constants, and right")
}
