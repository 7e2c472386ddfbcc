//! A bar on stderr for work that takes a while, where a person watches.
//!
//! Knows amounts only. Nothing is drawn in a pipe, with `--json`, or for work that is over
//! soon.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is over by then shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often a bar is drawn anew.
const DRAWS_PER_SECOND: u8 = 8;

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
        let bar = watched.then(|| {
            let target = ProgressDrawTarget::hidden();
            let length = Some(total_bytes).filter(|&bytes| bytes > 0);
            let bar = ProgressBar::with_draw_target(length, target);
            bar.with_style(style(length.is_some())).with_message(doing)
        });
        Self { bar, begun: Instant::now(), shown: false }
    }

    /// So far it got.
    pub fn reach(&mut self, bytes: u64) {
        let Some(bar) = &self.bar else { return };
        bar.set_position(bytes);
        if !self.shown && self.begun.elapsed() >= PATIENCE {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
            self.shown = true;
        }
    }

    /// The same where the whole is only known now.
    pub fn reach_of(&mut self, bytes: u64, total_bytes: u64) {
        if let Some(bar) = &self.bar {
            if bar.length().is_none() {
                bar.set_style(style(true));
            }
            bar.set_length(total_bytes);
        }
        self.reach(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(known: bool) -> ProgressStyle {
    let template = match known {
        true => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
        false => "{msg} {spinner} {bytes} {elapsed}",
    };
    ProgressStyle::with_template(template).expect("the template is a constant")
}
