//! What the server says on stderr: as text, or as lines of JSON with nothing else between them.
//!
//! Panics and the reason why the program ends are lines of the log as well, whatever its level.
//! Every line is JSON for whoever reads the log over HTTP:
//!
//! - `components`: the parts of the program that may have levels of their own;
//! - `levels`: how much is logged now;
//! - `lines`: the newest lines, in memory;
//! - `pick`: which of them somebody wants;
//! - `tail`: somebody who follows them;
//! - `collector`: where all of them are sent.

mod collector;
mod components;
mod levels;
mod lines;
mod pick;
mod tail;

use std::any::Any;
use std::io::{self, IsTerminal as _, Write, stderr};
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, OnceLock};

use backstitch_saga::clock;
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt};

use crate::error::Error;
use crate::settings::{LogFormat, Settings};
use collector::Collector;
use levels::Levels;
use lines::Lines;

pub(crate) use collector::describe;
pub(crate) use components::{COMPONENTS, Component, LEVELS, Wanted};
pub(crate) use lines::LinePlace;
pub(crate) use pick::Pick;
pub(crate) use tail::Tail;

/// The longest line that is kept; the texts of a longer one are clipped.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// What is left of a clipped text, in characters.
const CLIPPED_CHARS_MAX: usize = 1_024;

/// The program's own, once it has begun.
static OWN: OnceLock<Logs> = OnceLock::new();

/// The log of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Logs(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    levels: Levels,
    lines: Lines,
    format: LogFormat,
    collector: OnceLock<Collector>,
}

impl Logs {
    /// A log that nobody writes to yet.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self(Arc::new(Parts {
            levels: Levels::of(&settings.log_level),
            lines: Lines::new(settings.log_buffer_bytes),
            format: settings.log_format,
            collector: OnceLock::new(),
        }))
    }

    /// Whoever logs in this program writes to it from now on.
    fn take_over(&self) {
        let is_json = self.0.format == LogFormat::Json;
        let wanted = is_json || self.0.lines.keep_any() || self.0.collector.get().is_some();
        let own = self.clone();
        let json = wanted.then(|| fmt::layer().json().with_writer(move || Said(own.clone())));
        let text =
            (!is_json).then(|| fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr));
        Registry::default().with(self.0.levels.layer()).with(json).with(text).init();
    }

    /// How much is logged.
    pub(crate) fn levels(&self) -> &Levels {
        &self.0.levels
    }

    /// The newest lines.
    pub(crate) fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// Keeps a line of JSON for who reads the log elsewhere than on stderr.
    fn keep(&self, line: &str) {
        let line: Arc<str> = clipped(line.trim_end()).into();
        if let Some(collector) = self.0.collector.get() {
            collector.take(line.clone());
        }
        self.0.lines.keep(line);
    }
}

/// Where lines of JSON go: each one is written at once.
struct Said(Logs);

impl Write for Said {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.0.format == LogFormat::Json {
            // Whoever read it has gone: there is nobody to tell.
            drop(stderr().write_all(line));
        }
        self.0.keep(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sets up logs for the rest of the program's life.
///
/// # Errors
/// As [`Collector::begin`].
pub(crate) fn begin(settings: &Settings) -> Result<Logs, Error> {
    let logs = OWN.get_or_init(|| Logs::of(settings));
    if let Some(collector) = &settings.log_collector {
        let begun = Collector::begin(collector, unsent)?;
        // There is one for the program.
        drop(logs.0.collector.set(begun));
    }
    logs.take_over();
    let before = panic::take_hook();
    match settings.log_format {
        LogFormat::Text => panic::set_hook(Box::new(move |panic| {
            before(panic);
            panicked(panic);
        })),
        LogFormat::Json => {
            panic::set_hook(Box::new(panicked));
            backstitch_journal::last_words_by(|words| say(&json!({ "message": words })));
        }
    }
    Ok(logs.clone())
}

/// Sends what is left to the collector, if there is one and it takes it at once: the program ends.
pub fn finish() {
    if let Some(collector) = OWN.get().and_then(|own| own.0.collector.get()) {
        collector.finish();
    }
}

/// The collector does not get lines: told on stderr and to who reads the log here.
fn unsent(collector: &str, why: &str) {
    let Some(own) = OWN.get() else { return };
    let message = "lines of the log are not sent to its collector";
    let fields = json!({ "message": message, "collector": collector, "error": why });
    let line = line("WARN", &fields).to_string();
    match own.0.format {
        LogFormat::Json => eprintln!("{line}"),
        LogFormat::Text => eprintln!("{}  WARN {message}: {collector}: {why}", clock::now()),
    }
    own.0.lines.keep(line.into());
}

/// Says why the program ends without having done its work.
pub fn end(error: &Error) {
    if OWN.get().is_none_or(|own| own.0.format == LogFormat::Text) {
        eprintln!("backstitch: {}", error.sentence());
    }
    say(&json!({ "message": error.sentence(), "exit_code": error.exit_code() }));
}

fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    say(&json!({ "message": "a panic", "panic": words(panic.payload()), "place": place }));
}

/// What a panic says.
pub(crate) fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// A line beside those that are logged; on stderr it is told otherwise where that is text.
fn say(fields: &Value) {
    let Some(own) = OWN.get() else { return };
    let line = line("ERROR", fields).to_string();
    if own.0.format == LogFormat::Json {
        eprintln!("{line}");
    }
    own.keep(&line);
}

/// A line as the log has them, with its own fields.
fn line(level: &str, fields: &Value) -> Value {
    let (timestamp, target) = (clock::now().to_string(), env!("CARGO_PKG_NAME"));
    json!({ "timestamp": timestamp, "level": level, "fields": fields, "target": target })
}

/// A line that is not too long: of one that is, texts are clipped, and all but its message left out
/// if that is not enough.
fn clipped(line: &str) -> String {
    if line.len() <= LINE_BYTES_MAX {
        return line.to_owned();
    }
    let mut read: Value = serde_json::from_str(line).unwrap_or_default();
    clip(&mut read);
    let shorter = read.to_string();
    if shorter.len() <= LINE_BYTES_MAX {
        return shorter;
    }
    let fields = json!({ "message": read["fields"]["message"] });
    let [timestamp, level, target] = ["timestamp", "level", "target"].map(|name| &read[name]);
    json!({ "timestamp": timestamp, "level": level, "fields": fields, "target": target })
        .to_string()
}

fn clip(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(CLIPPED_CHARS_MAX) {
                text.truncate(end);
                text.push_str("...");
            }
        }
        Value::Array(list) => list.iter_mut().for_each(clip),
        Value::Object(fields) => fields.values_mut().for_each(clip),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_say_what_they_say_on_one_line() {
        for panic in [|| panic!("a {}", "b\n\"c\""), || panic!("a b\n\"c\"")] {
            let payload = panic::catch_unwind(panic).expect_err("it panics");
            assert_eq!(words(&*payload), "a b\n\"c\"");
            let line = line("ERROR", &json!({ "panic": words(&*payload) })).to_string();
            assert!(!line.contains('\n'), "{line}");
        }
        let payload = panic::catch_unwind(|| panic::panic_any(7)).expect_err("it panics");
        assert_eq!(words(&*payload), "no message");
    }

    #[test]
    fn a_line_that_is_too_long_stays_a_line() {
        let kept = |fields: Value| {
            let given = line("ERROR", &fields);
            let kept: Value = serde_json::from_str(&clipped(&given.to_string())).expect("JSON");
            assert_eq!(kept["timestamp"], given["timestamp"]);
            (kept["fields"].clone(), given["fields"].clone())
        };
        let (short, given) = kept(json!({ "message": "a", "data": "b".repeat(2_000) }));
        assert_eq!(short, given);
        let (long, _) = kept(json!({ "message": "ü".repeat(100_000), "step": "a" }));
        assert_eq!(long, json!({ "message": "ü".repeat(1_024) + "...", "step": "a" }));
        let many: Vec<_> = (0..100).map(|_| "c".repeat(1_000)).collect();
        let (many, _) = kept(json!({ "message": "a", "data": many }));
        assert_eq!(many, json!({ "message": "a" }));
    }
}
