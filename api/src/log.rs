//! What the server says on stderr: as text, or as lines of JSON with nothing else between them.
//!
//! Panics and the reason why the program ends are lines of the log as well, whatever its level.

use std::any::Any;
use std::io::{IsTerminal as _, stderr};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use backstitch_saga::clock;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::settings::{LogFormat, Settings};

/// Whether all that is said is JSON.
static IN_JSON: AtomicBool = AtomicBool::new(false);

/// Sets up logs for the rest of the program's life.
pub(crate) fn begin(settings: &Settings) {
    let filter = EnvFilter::builder().parse_lossy(&settings.log_level);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match settings.log_format {
        LogFormat::Text => logs.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => {
            logs.json().init();
            IN_JSON.store(true, Ordering::Relaxed);
            panic::set_hook(Box::new(panicked));
            backstitch_journal::last_words_by(|words| say(&json!({ "message": words })));
        }
    }
}

/// Says why the program ends without having done its work.
pub fn end(error: &Error) {
    if !IN_JSON.load(Ordering::Relaxed) {
        eprintln!("backstitch: {}", error.sentence());
        return;
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

fn say(fields: &Value) {
    eprintln!("{}", line(fields));
}

/// A line as the log has them, with its own fields.
fn line(fields: &Value) -> Value {
    let (timestamp, target) = (clock::now().to_string(), env!("CARGO_PKG_NAME"));
    json!({ "timestamp": timestamp, "level": "ERROR", "fields": fields, "target": target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_say_what_they_say_on_one_line() {
        for panic in [|| panic!("a {}", "b\n\"c\""), || panic!("a b\n\"c\"")] {
            let payload = panic::catch_unwind(panic).expect_err("it panics");
            assert_eq!(words(&*payload), "a b\n\"c\"");
            let line = line(&json!({ "panic": words(&*payload) })).to_string();
            assert!(!line.contains('\n'), "{line}");
        }
        let payload = panic::catch_unwind(|| panic::panic_any(7)).expect_err("it panics");
        assert_eq!(words(&*payload), "no message");
    }
}
