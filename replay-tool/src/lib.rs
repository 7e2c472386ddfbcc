//! The command line over a journal: what ran, step by step, and whether it is whole.
//!
//! Works on a data directory without a server and never changes it: it reads the log, which
//! is the truth, and folds it with production code. Knows nothing of the store, the views or
//! the network.

mod answers;
mod archive;
mod arguments;
mod chart;
mod definitions;
mod error;
mod fold;
mod listing;
mod spans;
mod text;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

pub use answers::Answer;
pub use archive::CANDIDATES_MAX;
pub use arguments::{Arguments, Command, LIST_LIMIT};
pub use error::{Error, exit};
pub use fold::panic_message;
pub use listing::Standing;
pub use text::{Screen, WIDTH_DEFAULT};

use answers::{events, list, show, timeline, verify};
use archive::{Archive, OnDamage};

/// The program's name, in front of what it complains about.
pub const NAME: &str = "replay-tool";

/// Reads the command line, answers it on `out`, complains on `complaints` in one line.
/// Answers the exit code. A reader that goes away early is no mistake.
pub fn run<I>(arguments: I, screen: Screen, out: &mut dyn Write, complaints: &mut dyn Write) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let answered = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => answer(&arguments, &screen).map_err(|e| (e.line(), e.exit_code())),
        Err(asked) if asked.exit_code() == 0 => Ok(Answer::text(asked.to_string())),
        Err(wrong) => Err((usage_line(&wrong), exit::USAGE)),
    };
    let (complaint, code) = match answered {
        Ok(answer) => match write_whole(out, &answer.text) {
            Ok(()) => (answer.warning, answer.code),
            Err(error) => (Some(format!("the output cannot be written: {error}")), exit::NO),
        },
        Err((complaint, code)) => (Some(complaint), code),
    };
    if let Some(complaint) = complaint {
        let line = format!("{NAME}: {}\n", text::printable(&complaint));
        // Where complaints cannot be written there is nobody left to tell.
        drop(write_whole(complaints, &line));
    }
    code
}

/// Answers a question.
///
/// # Errors
/// Why there is no answer.
pub fn answer(arguments: &Arguments, screen: &Screen) -> Result<Answer, Error> {
    let damage = match arguments.before_damage {
        true => OnDamage::ReadUpToIt,
        false => OnDamage::Refuse,
    };
    let form = Form { json: arguments.json, screen: *screen };
    let open = || Archive::open(&arguments.data_dir, damage);
    match &arguments.command {
        Command::List { limit, status, workflow } => {
            list::answer(&open()?, &form, *limit, *status, workflow.as_deref())
        }
        Command::Show { id } => show::answer(open()?.find(id)?, &form),
        Command::State { id, at_version } => show::answer_at(open()?.find(id)?, *at_version, &form),
        Command::Timeline { id } => timeline::answer(open()?.find(id)?, &form),
        Command::Events { id } => events::answer(open()?.find(id)?, &form),
        Command::Verify => verify::answer(&arguments.data_dir, &form),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), NAME, &mut script);
            Ok(Answer::text(String::from_utf8_lossy(&script).into_owned()))
        }
    }
}

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy)]
struct Form {
    json: bool,
    screen: Screen,
}

fn write_whole(out: &mut dyn Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// What is wrong with a command line, with the hint for it, in one line.
fn usage_line(error: &clap::Error) -> String {
    let bare = [ErrorKind::MissingSubcommand, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
    if bare.contains(&error.kind()) {
        return format!("no command was given; `{NAME} --help` shows what there is");
    }
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<_> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = words.join(" ").replace(" tip: ", "; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let line = line.strip_suffix(" For more information, try '--help'.").unwrap_or(line);
    format!("{line}; `{NAME} --help` shows what there is")
}
