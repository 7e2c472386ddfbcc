//! Drawing lanes to scale: bars of characters under an axis of round durations.
//!
//! Told apart without colour: a forward attempt is `━`, an undo's `═`, waiting `┄`; a failed
//! attempt ends in `✗`, one whose outcome nobody knows in `?`, one that goes on in `▸`.

use backstitch_core::time::Timestamp;

use crate::spans::{Doing, Ended, Lane, Span, Timeline, Way};
use crate::text::{Screen, Style, duration, us_between};

/// The narrowest bar that is drawn, however narrow the screen.
pub const BAR_WIDTH_MIN: usize = 20;
/// Characters from one label of the axis to the next, at least.
const LABEL_SPACING: usize = 10;
/// Distances between labels, in microseconds, below ten seconds and above.
const DECADES: [u64; 7] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const LONG_STEPS_S: [u64; 18] = [
    10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 432_000, 864_000,
];

/// Where instants fall on a bar of so many characters.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    start: Timestamp,
    end: Timestamp,
    width: usize,
}

impl Scale {
    /// The scale of a run.
    #[must_use]
    pub fn of(timeline: &Timeline, width: usize) -> Self {
        Self { start: timeline.start, end: timeline.end, width: width.max(BAR_WIDTH_MIN) }
    }

    /// The labels and the ruler below them.
    #[must_use]
    pub fn axis(&self) -> [String; 2] {
        let total_us = us_between(self.start, self.end);
        let mut labels = vec![' '; self.width];
        let mut ruler = vec!['─'; self.width];
        let last = label(total_us);
        let mut free_until = self.width.saturating_sub(last.chars().count() + 1);
        write_at(&mut labels, self.width.saturating_sub(last.chars().count()), &last);
        ruler[self.width - 1] = '┤';
        if total_us == 0 {
            ruler[0] = '├';
            return [labels, ruler].map(|line| line.into_iter().collect());
        }
        free_until = free_until.min(self.width - 1);
        let step_us = round_step(total_us, (self.width / LABEL_SPACING).max(1) as u64);
        for at_us in (0..total_us).step_by(usize::try_from(step_us).unwrap_or(usize::MAX)) {
            let (at, text) = (self.cell_of(at_us), label(at_us));
            if at + text.chars().count() <= free_until {
                write_at(&mut labels, at, &text);
                ruler[at] = if at_us == 0 { '├' } else { '┬' };
            }
        }
        [labels, ruler].map(|line| line.into_iter().collect())
    }

    /// The bar of a lane.
    #[must_use]
    pub fn bar(&self, lane: &Lane, screen: &Screen) -> String {
        let mut cells = vec![(' ', Style::Plain); self.width];
        let attempts = |span: &&Span| matches!(span.doing, Doing::Attempt { .. });
        for span in lane.spans.iter().filter(|span| !attempts(span)) {
            let (from, to) = self.cells(span);
            cells[from..to].fill(('┄', Style::Waiting));
        }
        let attempts: Vec<_> = lane.spans.iter().filter(attempts).collect();
        for span in &attempts {
            let (from, to) = self.cells(span);
            cells[from..to].fill((body_glyph(lane), style(lane, span)));
        }
        // How an attempt ended is worth more than how the next began, unless that is all of it.
        for span in &attempts {
            let (from, to) = self.cells(span);
            match end_glyph(span) {
                Some(glyph) => cells[to - 1] = (glyph, style(lane, span)),
                None if to - from == 1 => {
                    cells[from] = (body_glyph(lane), style(lane, span));
                }
                None => {}
            }
        }
        let chunks = cells.chunk_by(|(_, one), (_, other)| one == other);
        chunks
            .map(|chunk| {
                let text: String = chunk.iter().map(|(glyph, _)| glyph).collect();
                screen.paint(chunk[0].1, &text)
            })
            .collect()
    }

    /// The characters of a span: at least one.
    fn cells(&self, span: &Span) -> (usize, usize) {
        let from_us = us_between(self.start, span.from);
        let to_us = us_between(self.start, span.to.unwrap_or(self.end));
        let from = self.cell_of(from_us).min(self.width - 1);
        let to = match us_between(self.start, self.end) {
            0 => 1,
            total_us => {
                let cells = (u128::from(to_us) * self.width as u128).div_ceil(total_us.into());
                usize::try_from(cells).unwrap_or(self.width)
            }
        };
        (from, to.clamp(from + 1, self.width))
    }

    fn cell_of(&self, at_us: u64) -> usize {
        let total_us = us_between(self.start, self.end).max(1);
        let cell = u128::from(at_us) * self.width as u128 / u128::from(total_us);
        usize::try_from(cell).unwrap_or(self.width)
    }
}

/// What the glyphs of these lanes mean.
#[must_use]
pub fn legend(lanes: &[Lane]) -> String {
    let spans = || lanes.iter().flat_map(|lane| lane.spans.iter().map(move |s| (lane.way, s)));
    let ended = |wanted: fn(&Ended) -> bool| {
        spans()
            .any(|(_, span)| matches!(&span.doing, Doing::Attempt { ended, .. } if wanted(ended)))
    };
    let attempt =
        |way| spans().any(|(own, span)| own == way && matches!(span.doing, Doing::Attempt { .. }));
    let words = [
        (attempt(Way::Forward), "━ attempt"),
        (attempt(Way::Back), "═ undo"),
        (ended(|how| matches!(how, Ended::Failed(_) | Ended::TimedOut)), "✗ failed"),
        (ended(|how| *how == Ended::Lost), "? outcome unknown"),
        (ended(|how| *how == Ended::Running), "▸ goes on"),
        (spans().any(|(_, span)| !matches!(span.doing, Doing::Attempt { .. })), "┄ waiting"),
    ];
    let used: Vec<_> = words.iter().filter(|(used, _)| *used).map(|(_, word)| *word).collect();
    used.join("   ")
}

fn style(lane: &Lane, span: &Span) -> Style {
    match (&span.doing, lane.way) {
        (Doing::RetryWait | Doing::Sleep | Doing::SignalWait(_) | Doing::Held(_), _) => {
            Style::Waiting
        }
        (Doing::Attempt { ended: Ended::Running, .. }, _) => Style::Running,
        (Doing::Attempt { ended: Ended::Succeeded, .. }, Way::Forward) => Style::Good,
        (Doing::Attempt { ended: Ended::Succeeded, .. }, Way::Back) => Style::Undo,
        (Doing::Attempt { .. }, _) => Style::Bad,
    }
}

fn body_glyph(lane: &Lane) -> char {
    match lane.way {
        Way::Forward => '━',
        Way::Back => '═',
    }
}

fn end_glyph(span: &Span) -> Option<char> {
    match &span.doing {
        Doing::Attempt { ended: Ended::Failed(_) | Ended::TimedOut, .. } => Some('✗'),
        Doing::Attempt { ended: Ended::Lost, .. } => Some('?'),
        Doing::Attempt { ended: Ended::Running, .. } => Some('▸'),
        Doing::Attempt { ended: Ended::Succeeded, .. }
        | Doing::RetryWait
        | Doing::Sleep
        | Doing::SignalWait(_)
        | Doing::Held(_) => None,
    }
}

fn write_at(line: &mut [char], at: usize, text: &str) {
    for (cell, glyph) in line.iter_mut().skip(at).zip(text.chars()) {
        *cell = glyph;
    }
}

/// The smallest round distance that needs at most so many labels.
fn round_step(total_us: u64, labels_max: u64) -> u64 {
    let short = DECADES.iter().flat_map(|decade| [1, 2, 5].map(|times| decade * times));
    let long = LONG_STEPS_S.iter().map(|seconds| seconds * 1_000_000);
    let fits = |step_us: &u64| total_us.div_ceil(*step_us) <= labels_max;
    short.chain(long).find(fits).unwrap_or_else(|| total_us.div_ceil(labels_max))
}

/// A duration without the digits that are nought.
fn label(us: u64) -> String {
    if us == 0 {
        return "0".to_owned();
    }
    let text = duration(us);
    for (tail, whole) in [("m00s", "m"), ("h00m", "h"), ("d00h", "d")] {
        if let Some(head) = text.strip_suffix(tail) {
            return format!("{head}{whole}");
        }
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    match number.contains('.') {
        true => format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.')),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_round_and_short() {
        assert_eq!([label(0), label(1_000_000), label(1_500_000)], ["0", "1s", "1.5s"]);
        assert_eq!([label(120_000_000), label(100_000), label(20_000)], ["2m", "100ms", "20ms"]);
        assert_eq!([round_step(1_850_000, 4), round_step(95_000_000, 4)], [500_000, 30_000_000]);
        assert_eq!(round_step(u64::MAX, 4), u64::MAX.div_ceil(4));
    }

    #[test]
    fn an_axis_fits_its_width_whatever_the_time() {
        for total_us in [0, 1, 2, 7, 999, 1_000_000, 61_000_000, i64::MAX as u64] {
            let end = Timestamp(total_us as i64);
            let scale = Scale { start: Timestamp(0), end, width: 40 };
            for line in scale.axis() {
                assert_eq!(line.chars().count(), 40, "{total_us}: {line}");
            }
        }
    }
}
