//! Text for people: durations, instants, tables, colours, and nothing that a terminal obeys.
//!
//! Knows nothing of runs.

use backstitch_core::time::Timestamp;

/// Where text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// Whether escape sequences for colours may be used.
    pub colour: bool,
    /// How many characters fit in a line.
    pub width: usize,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
    /// Whether a person watches, so that long work shows how far it is.
    pub watched: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self { colour: false, width: WIDTH_DEFAULT, ascii: false, watched: false }
    }
}

/// The width where there is no terminal to ask.
pub const WIDTH_DEFAULT: usize = 100;

/// How a piece of text stands out, where colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// A heading.
    Bold,
    /// Of less interest.
    Dim,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// It waits.
    Waiting,
    /// It runs.
    Running,
    /// It is undone.
    Undo,
}

impl Screen {
    /// The text in its style.
    #[must_use]
    pub fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Waiting => "33",
            Style::Running => "36",
            Style::Undo => "35",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// A heading line.
    #[must_use]
    pub fn heading(&self, text: &str) -> String {
        format!("\n{}\n", self.paint(Style::Bold, text))
    }
}

/// The style of a run's, step's or letter's status word.
#[must_use]
pub fn style_of(word: &str) -> Style {
    match word {
        "completed" | "succeeded" | "delivered" => Style::Good,
        "failed" | "undo_failed" | "compensation_failed" | "quarantined" | "open" => Style::Bad,
        "compensated" | "compensating" | "undone" | "undoing" => Style::Undo,
        "running" | "ready" => Style::Running,
        "waiting" | "retrying" | "suspended" => Style::Waiting,
        "pending" | "skipped" | "pruned" | "cancelled" | "discarded" | "retried" => Style::Dim,
        _ => Style::Plain,
    }
}

/// A duration with three digits or so: `870us`, `12.3ms`, `1.23s`, `2m05s`, `3h04m`, `2d03h`.
#[must_use]
pub fn duration(us: u64) -> String {
    let seconds = us / 1_000_000;
    match us {
        0 => "0".to_owned(),
        1..1_000 => format!("{us}us"),
        1_000..10_000 => format!("{}.{:02}ms", us / 1_000, us % 1_000 / 10),
        10_000..100_000 => format!("{}.{}ms", us / 1_000, us % 1_000 / 100),
        100_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..10_000_000 => format!("{seconds}.{:02}s", us % 1_000_000 / 10_000),
        10_000_000..60_000_000 => format!("{seconds}.{}s", us % 1_000_000 / 100_000),
        _ if seconds < 3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Microseconds from one instant to a later one; 0 if it is earlier.
#[must_use]
pub fn us_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0)
}

/// A place in time relative to the run's submission: `+1.23s`.
#[must_use]
pub fn offset(start: Timestamp, at: Timestamp) -> String {
    format!("+{}", duration(us_between(start, at)))
}

/// `1 attempt`, `3 attempts`.
#[must_use]
pub fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Text that came from outside, made harmless: a terminal obeys control characters, and marks
/// of writing direction reorder what a person reads.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\t' => safe.push_str("\\t"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                safe.extend(c.escape_unicode());
            }
            c if c.is_control() => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// The same with ASCII in place of what bars and axes are drawn with.
#[must_use]
pub fn in_ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '━' => plain.push('='),
            '═' => plain.push('#'),
            '┄' => plain.push('.'),
            '─' => plain.push('-'),
            '├' | '┤' | '┬' => plain.push('+'),
            '✗' => plain.push('x'),
            '▸' => plain.push('>'),
            '…' => plain.push('~'),
            '≠' => plain.push('!'),
            c if c.is_ascii() => plain.push(c),
            c => plain.extend(c.escape_unicode()),
        }
    }
    plain
}

/// Bytes with three digits or so: `512 B`, `1.50 KiB`, `12.3 GiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut unit_bytes: u64 = 1;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if bytes / unit_bytes < 1_024 {
            break;
        }
        (unit_bytes, unit) = (unit_bytes * 1_024, larger);
    }
    let (whole, rest) = (bytes / unit_bytes, bytes % unit_bytes);
    match whole {
        _ if unit_bytes == 1 => format!("{bytes} B"),
        0..10 => format!("{whole}.{:02} {unit}", rest * 100 / unit_bytes),
        10..100 => format!("{whole}.{} {unit}", rest * 10 / unit_bytes),
        _ => format!("{whole} {unit}"),
    }
}

/// At most so many characters, the last one `…` if some are left out.
#[must_use]
pub fn clip(text: &str, characters_max: usize) -> String {
    if text.chars().count() <= characters_max {
        return text.to_owned();
    }
    let kept = text.chars().take(characters_max.saturating_sub(1));
    kept.chain((characters_max > 0).then_some('…')).collect()
}

/// Columns that line up. The last one is as long as it likes.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table with its headings.
    #[must_use]
    pub fn with_headings(headings: &[&str]) -> Self {
        let row = headings.iter().map(|text| ((*text).to_owned(), Style::Dim)).collect();
        Self { rows: vec![row] }
    }

    /// A table without headings.
    #[must_use]
    pub fn bare() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row. The text is made harmless here.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        let cells = cells.into_iter().map(|(text, style)| (printable(&text), style));
        self.rows.push(cells.collect());
    }

    /// The lines, each indented by so many characters.
    #[must_use]
    pub fn print(&self, screen: &Screen, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, (text, _)) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        let mut lines = String::new();
        for row in &self.rows {
            let used = row.iter().rposition(|(text, _)| !text.is_empty()).map_or(0, |at| at + 1);
            let mut line = " ".repeat(indent);
            for (at, ((text, style), width)) in row[..used].iter().zip(&widths).enumerate() {
                line.push_str(&screen.paint(*style, text));
                if at + 1 < used {
                    line.push_str(&" ".repeat(width - text.chars().count() + 2));
                }
            }
            lines.push_str(&line);
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_about_three_digits() {
        let of = |us| duration(us);
        assert_eq!([of(0), of(999), of(1_234), of(12_345)], ["0", "999us", "1.23ms", "12.3ms"]);
        assert_eq!([of(123_456), of(1_234_567), of(12_345_678)], ["123ms", "1.23s", "12.3s"]);
        assert_eq!([of(125_000_000), of(11_045_000_000)], ["2m05s", "3h04m"]);
        assert_eq!([of(183_600_000_000), of(u64::MAX)], ["2d03h", "213503982d08h"]);
    }

    #[test]
    fn a_terminal_has_nothing_to_obey() {
        assert_eq!(printable("a\u{1b}[31m\nb\u{9b}\u{202e}c"), "a\\u{1b}[31m\\nb\\u{9b}\\u{202e}c");
        assert_eq!(printable("Grüße 🧵"), "Grüße 🧵");
    }

    #[test]
    fn sizes_keep_about_three_digits() {
        let of = |bytes| size(bytes);
        assert_eq!([of(0), of(1_023), of(1_536)], ["0 B", "1023 B", "1.50 KiB"]);
        assert_eq!([of(67_108_864), of(1 << 33)], ["64.0 MiB", "8.00 GiB"]);
    }

    #[test]
    fn clipped_text_says_so() {
        assert_eq!([clip("stitch", 6), clip("stitch", 5), clip("st", 0)], ["stitch", "stit…", ""]);
    }
}
