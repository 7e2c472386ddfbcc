//! The command line over a journal: what ran, step by step, whether it is whole, and what a
//! person decides about it.
//!
//! Asks a data directory without its server, or a running server; what is printed is the same.
//! Knows nothing of the store and the views.

mod answers;
mod arguments;
mod chart;
mod clock;
mod error;
mod facts;
mod help;
mod place;
mod progress;
mod rows;
mod source;
mod spans;
mod text;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Parser;
use clap::error::ErrorKind;

pub use answers::Answer;
pub use arguments::{Arguments, Command, LIST_LIMIT};
pub use error::{Error, exit};
pub use place::{DATA_DIR_VARIABLE, Place, SERVER_VARIABLES, TOKEN_VARIABLE};
pub use rows::{LANES_UNFOLDED_MAX, NEIGHBOURS_MIN};
pub use source::{CANDIDATES_MAX, Standing, panic_message};
pub use text::{Screen, WIDTH_DEFAULT};

use backstitch_journal::{SalvageRequest, VerifyOptions};

use answers::{
    archive, backup, cut, events, export, fork, import, key, letter_groups, letters, list, manual,
    payload, rebuild, replays, restore, retention, salvage, show, stats, timeline, travel, verify,
    why,
};
use arguments::{Dlq, LettersWanted, When};
use place::variable;
use rows::Drawn;
use source::{Directory, Holder, Need, OnDamage, Server, Settling, Source};

/// The program's name, in front of what it complains about.
pub const NAME: &str = "replay-tool";

/// Reads the command line, answers it on `out`, complains on `complaints` in one line.
/// Answers the exit code. A reader that goes away early is no mistake.
pub fn run<I>(arguments: I, screen: Screen, out: &mut dyn Write, complaints: &mut dyn Write) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let mut ascii = screen.ascii;
    let answered = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => {
            ascii |= arguments.look.ascii;
            answer(&arguments, &screen).map_err(|e| (e.line(), e.exit_code()))
        }
        Err(asked) if asked.exit_code() == 0 => Ok(Answer::text(asked.to_string())),
        Err(wrong) => Err((usage_line(&wrong), exit::USAGE)),
    };
    let (complaint, code) = match answered {
        Ok(answer) => match write_whole(out, &shown(&answer, ascii)) {
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

/// Only text for people is drawn in ASCII; escape sequences for colours are ASCII themselves.
fn shown(answer: &Answer, ascii: bool) -> std::borrow::Cow<'_, str> {
    match ascii && answer.drawn {
        true => text::in_ascii(&answer.text).into(),
        false => answer.text.as_str().into(),
    }
}

/// Answers a question.
///
/// # Errors
/// Why there is no answer.
pub fn answer(arguments: &Arguments, screen: &Screen) -> Result<Answer, Error> {
    let form = Form::of(arguments, screen);
    let (source, holder) = (|| source(arguments, &form), || holder(arguments, &form));
    let server = |command| server(arguments, &form, command);
    match &arguments.command {
        Command::List(wanted) => Ok(list::answer(&source()?.runs(wanted)?, wanted.order, &form)),
        Command::Show { id } => Ok(show::answer(&source()?.run(id, Need::Standing)?, &form)),
        Command::Why { id } => Ok(why::answer(&source()?.why(id)?, &form)),
        Command::State { id, point } => {
            Ok(show::answer_at(&source()?.run_at(id, point.point())?, &form))
        }
        Command::Timeline { id, all } => {
            let drawn = if *all { Drawn::Every } else { Drawn::Readable };
            Ok(timeline::answer(&source()?.run(id, Need::Both)?, drawn, &form))
        }
        Command::Events { id } => Ok(events::answer(&source()?.run(id, Need::Events)?, &form)),
        Command::Diff { id, from, to } => Ok(travel::diff(&source()?.diff(id, *from, *to)?, &form)),
        Command::Compare { left, right } => {
            Ok(travel::compare(&source()?.compare(left, right)?, &form))
        }
        Command::Verify { no_store, scratch } => {
            let options = VerifyOptions { store: !no_store, scratch: scratch.clone() };
            verify::answer(&files(arguments, "verify")?, &options, &form)
        }
        Command::Restore(wanted) => restore::answer(&files(arguments, "restore")?, wanted, &form),
        Command::Salvage { to, dry_run, scratch, actor } => {
            let request = SalvageRequest {
                from: files(arguments, "salvage")?,
                to: to.clone(),
                dry_run: *dry_run,
                scratch: scratch.clone(),
                at: clock::now(),
                actor: actor.clone(),
            };
            salvage::answer(&request, &form)
        }
        Command::Archive => archive::answer(&files(arguments, "archive")?, &form),
        Command::Dlq(command) => {
            let source = source()?;
            Place::actor_allowed(&arguments.place, &variable, command.actor())?;
            dlq(command, &*source, &form)
        }
        Command::Stats { database } => Ok(stats::answer(&source()?.stats(*database)?, &form)),
        Command::Retention(command) => {
            Place::actor_allowed(&arguments.place, &variable, command.actor())?;
            retention::answer(command, &holder()?, &form)
        }
        Command::Cut(command) => {
            Place::actor_allowed(&arguments.place, &variable, command.actor())?;
            cut::answer(&holder()?, command, &form)
        }
        Command::Fork(wanted) => fork::answer(wanted, &server("fork")?, &form),
        Command::Replays(command) => replays::answer(command, &server("replays")?, &form),
        Command::Payload(command) => payload::answer(command, &server("payload")?, &form),
        Command::Backup { to } => backup::answer(&holder()?, to, &form),
        Command::Rebuild { view } => rebuild::answer(&holder()?, view.as_deref(), &form),
        Command::Export(wanted) => export::answer(&holder()?, wanted, &form),
        Command::Import(wanted) => import::answer(&holder()?, wanted, &form),
        Command::Key(wanted) => key::answer(&files(arguments, "key")?, wanted, &form),
        Command::Completions { shell } => Ok(manual::completions(*shell)),
        Command::Man { directory } => manual::man(directory.as_deref(), &form),
    }
}

/// Who carries out what a server does in one way and is done to files in another.
fn holder(arguments: &Arguments, form: &Form) -> Result<Holder, Error> {
    Ok(match Place::of(&arguments.place, &variable) {
        Place::Server(peer) => Holder::Server(Box::new(Server::at(peer, form.watched())?)),
        Place::Directory(path) => Holder::Files(path),
    })
}

fn dlq(command: &Dlq, source: &dyn Source, form: &Form) -> Result<Answer, Error> {
    let settle = |ids: &[_], how: Settling| {
        let settled = source.settle(ids, &how)?;
        Ok(letters::outcome(&settled, ids.len(), form))
    };
    match command {
        Dlq::List(wanted) => Ok(letters::list(&source.letters(wanted)?, form)),
        Dlq::Groups(wanted) => Ok(letter_groups::list(&source.letter_groups(wanted)?, form)),
        Dlq::Show { id } => Ok(letters::show(&source.letter(*id)?, form)),
        Dlq::Stats { workflow } => {
            let wanted = LettersWanted::all_of(workflow.clone());
            Ok(letters::stats(&source.letters(&wanted)?, form))
        }
        Dlq::Retry { ids, input, reason, actor } => {
            let input = input.as_deref().map(answers::read_document).transpose()?;
            let reason = reason.clone().unwrap_or_default();
            settle(ids, Settling::Retry { input, reason, actor: actor.clone() })
        }
        Dlq::Assign { ids, to, nobody: _, reason, actor } => {
            let (reason, actor) = (reason.clone().unwrap_or_default(), actor.clone());
            settle(ids, Settling::Assign { assignee: to.clone(), reason, actor })
        }
        Dlq::Note { ids, text, actor } => {
            settle(ids, Settling::Note { text: text.clone(), actor: actor.clone() })
        }
        Dlq::Discard { ids, reason, actor } => {
            let (reason, actor) = (reason.clone(), actor.clone());
            settle(ids, Settling::Discard { reason, actor })
        }
    }
}

/// What the question goes to.
fn source(arguments: &Arguments, form: &Form) -> Result<Box<dyn Source>, Error> {
    match Place::of(&arguments.place, &variable) {
        Place::Server(peer) if !arguments.before_damage => {
            Ok(Box::new(Server::at(peer, form.watched())?))
        }
        Place::Server(_) => {
            Ok(Box::new(directory(files(arguments, "--before-damage")?, arguments, form)))
        }
        Place::Directory(path) => Ok(Box::new(directory(path, arguments, form))),
    }
}

fn directory(path: std::path::PathBuf, arguments: &Arguments, form: &Form) -> Directory {
    let damage = match arguments.before_damage {
        true => OnDamage::ReadUpToIt,
        false => OnDamage::Refuse,
    };
    Directory::at(path, damage, form.watched())
}

/// The server of a command that only a server can carry out.
fn server(arguments: &Arguments, form: &Form, command: &str) -> Result<Server, Error> {
    Server::at(Place::server_only(&arguments.place, &variable, command)?, form.watched())
}

/// The directory of a command that works on files alone.
fn files(arguments: &Arguments, command: &str) -> Result<std::path::PathBuf, Error> {
    Place::files_only(&arguments.place, &variable, command)
}

/// In which form an answer is wanted.
#[derive(Debug, Clone, Copy)]
struct Form {
    json: bool,
    screen: Screen,
}

impl Form {
    fn of(arguments: &Arguments, screen: &Screen) -> Self {
        let look = &arguments.look;
        let colour = match look.color {
            When::Auto => screen.colour,
            When::Always => true,
            When::Never => false,
        };
        let width = look.width.map_or(screen.width, usize::from);
        Self { json: look.json, screen: Screen { colour, width, ..*screen } }
    }

    /// Whether long work shows how far it is.
    fn watched(&self) -> bool {
        self.screen.watched && !self.json
    }
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
