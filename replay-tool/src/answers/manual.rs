//! The program about itself: completions and manual pages.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use super::Answer;
use crate::arguments::Arguments;
use crate::error::Error;
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
    let man = Man::new(command.clone()).manual("Backstitch");
    let mut text = Vec::new();
    let path = man.get_filename();
    let file = |source| Error::File { action: "making", path: path.clone().into(), source };
    man.render(&mut text).map_err(file)?;
    Ok((path, String::from_utf8_lossy(&text).into_owned()))
}
