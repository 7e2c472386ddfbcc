//! The program about itself: completions and manual pages.

use std::fs;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use super::Answer;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::source::check_parent;
use crate::{Form, NAME};

/// Completions for a shell.
pub(crate) fn completions(shell: Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    Answer::text(String::from_utf8_lossy(&script).into_owned())
}

/// The main page on stdout, or all pages into a directory.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn man(directory: Option<&Path>, form: &Form) -> Result<Answer, Error> {
    let mut command = Arguments::command();
    command.build();
    let Some(directory) = directory else {
        return Ok(Answer::text(page(&command)?.1));
    };
    let file = |source| Error::File { action: "writing to", path: directory.to_owned(), source };
    check_parent(directory)?;
    fs::create_dir_all(directory).map_err(file)?;
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    for (name, text) in &pages {
        let path = directory.join(name);
        let file = |source| Error::File { action: "writing", path: path.clone(), source };
        fs::write(&path, text).map_err(file)?;
    }
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    Ok(match form.json {
        true => Answer::json(&json!({ "pages": names })),
        false => Answer::text(format!("{}\n", names.join("\n"))),
    })
}

fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> Result<(), Error> {
    pages.push(page(command)?);
    let own = command.get_subcommands().filter(|own| !own.is_hide_set());
    own.into_iter().try_for_each(|own| collect(own, pages))
}

/// A command's page: the name of its file, and the text.
fn page(command: &Command) -> Result<(String, String), Error> {
    let shown = command.clone().override_usage(usage(command));
    let man = Man::new(shown).manual("Backstitch");
    let mut text = Vec::new();
    let path = man.get_filename();
    let file = |source| Error::File { action: "making", path: path.clone().into(), source };
    man.render(&mut text).map_err(file)?;
    Ok((path, sections(&String::from_utf8_lossy(&text))))
}

/// How a command is written, each option with its value.
fn usage(command: &Command) -> String {
    let mut words = vec![command.get_bin_name().unwrap_or(command.get_name()).to_owned()];
    // Options of every command, and those that only tell, are listed below.
    let apart =
        |own: &Arg| own.is_global_set() || ["help", "version"].contains(&own.get_id().as_str());
    let shown = |own: &&Arg| !own.is_hide_set() && !apart(own);
    let (places, options): (Vec<_>, Vec<_>) =
        command.get_arguments().filter(shown).partition(|own| own.is_positional());
    let is_grouped = |own: &Arg| {
        let mut groups = command.get_groups().filter(|group| group.is_required_set());
        groups.any(|group| group.get_args().any(|id| id == own.get_id()))
    };
    let (grouped, options): (Vec<_>, Vec<_>) = options.into_iter().partition(|own| is_grouped(own));
    words.push("[OPTIONS]".to_owned());
    for own in options {
        words.push(match own.is_required_set() {
            true => form(own),
            false => format!("[{}]", form(own)),
        });
    }
    if !grouped.is_empty() {
        words.push(grouped.into_iter().map(form).collect::<Vec<_>>().join(" | "));
    }
    words.extend(places.into_iter().map(|own| match own.is_required_set() {
        true => form(own),
        false => format!("[{}]", form(own)),
    }));
    if command.has_subcommands() {
        words.push("COMMAND".to_owned());
    }
    words.join(" ")
}

/// An argument with its value.
fn form(own: &Arg) -> String {
    let values = own.get_value_names().unwrap_or_default();
    let mut values: Vec<_> = values.iter().map(ToString::to_string).collect();
    if !own.get_num_args().is_some_and(|count| count.takes_values()) {
        values.clear();
    }
    let said = values.last().is_some_and(|value| value.ends_with("..."));
    let many = match own.get_action() {
        ArgAction::Append if !said => "...",
        _ => "",
    };
    let named = own.get_long().map(|name| format!("--{name}"));
    named.into_iter().chain(values).collect::<Vec<_>>().join(" ") + many
}

/// The page with what stands below a command's help in sections of its own: the library puts all
/// of it under one heading.
fn sections(page: &str) -> String {
    let Some((before, below)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let (below, behind) = below.find("\n.SH ").map_or((below, ""), |at| below.split_at(at + 1));
    let mut shown = format!("{before}\n");
    // A heading stands until the next empty line; what has none is a note.
    let (mut heading, mut fresh) = ("", true);
    for line in below.lines() {
        let wanted = match line {
            "" => {
                fresh = true;
                continue;
            }
            "Examples:" => "EXAMPLES",
            "Exit codes:" => "EXIT STATUS",
            _ if fresh => "NOTES",
            _ => heading,
        };
        if wanted != heading {
            shown.push_str(&format!(".SH \"{wanted}\"\n"));
        } else if fresh {
            shown.push_str(".PP\n");
        }
        (heading, fresh) = (wanted, false);
        if !["Examples:", "Exit codes:"].contains(&line) {
            shown.push_str(&format!("{line}\n"));
        }
    }
    shown + behind
}
