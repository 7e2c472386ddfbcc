//! The program `replay-tool`: a terminal, or a pipe, for the library of the same name.

use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use replay_tool::{NAME, Screen, WIDTH_DEFAULT, exit, panic_message, run};

fn main() -> ExitCode {
    // A panic is told in one line below, or is the reason why a run does not fold.
    panic::set_hook(Box::new(|_| {}));
    let (mut out, mut complaints) = (io::stdout(), io::stderr());
    let work = || run(std::env::args_os(), screen(), &mut out, &mut complaints);
    let code = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        let line = format!("{NAME}: this is a mistake in {NAME}, please report it: {message}\n");
        drop(io::Write::write_all(&mut io::stderr(), line.as_bytes()));
        exit::MISTAKE
    });
    ExitCode::from(code)
}

fn screen() -> Screen {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let terminal = io::stdout().is_terminal();
    let width = match terminal_size::terminal_size_of(io::stdout()) {
        Some((terminal_size::Width(columns), _)) if columns > 0 => columns.into(),
        _ => WIDTH_DEFAULT,
    };
    Screen {
        colour: terminal && !is_set("NO_COLOR") && !dumb,
        width,
        ascii: terminal && !shows_unicode(),
        watched: io::stderr().is_terminal() && !dumb,
    }
}

/// What the locale says of the terminal; where it says nothing, all can.
fn shows_unicode() -> bool {
    let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
