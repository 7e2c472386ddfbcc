//! `backstitch validate FILE`.

use std::path::PathBuf;

use backstitch_core::definition::problem::Problem;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use clap::Args;
use serde_json::json;

use super::read_definition;
use crate::error::Error;
use crate::terminal::Terminal;

/// What `validate` takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// The definition: YAML, or JSON if the file is called so; - reads standard input
    pub file: PathBuf,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// Checks a definition as the server would, without one.
///
/// # Errors
/// [`Error::Failed`] when it has problems, [`Error::File`].
pub fn run(flags: &Flags) -> Result<(), Error> {
    let registry = Registry::builtin(HttpConfig::default())?;
    let read = read_definition(&flags.file)?.map_err(|problem| vec![problem]);
    let compiled = read.and_then(|definition| compile(&definition, &registry));
    let terminal = Terminal::of_stdout();
    let file = flags.file.display();
    match compiled {
        Ok((plan, _)) if flags.json => terminal.line(
            &json!({
                "valid": true,
                "workflow_id": plan.workflow,
                "steps": plan.steps.len(),
                "digest": plan.digest.to_string(),
                "problems": [],
            })
            .to_string(),
        ),
        Ok((plan, _)) => {
            let steps = count(plan.steps.len(), "step");
            terminal.line(&format!("{file}: workflow `{}`, {steps}, valid", plan.workflow))
        }
        Err(problems) => {
            show(&terminal, flags, &problems)?;
            Err(Error::Failed(format!("{file} has {}", count(problems.len(), "problem"))))
        }
    }
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn show(terminal: &Terminal, flags: &Flags, problems: &[Problem]) -> Result<(), Error> {
    if flags.json {
        return terminal.line(&json!({ "valid": false, "problems": problems }).to_string());
    }
    problems.iter().try_for_each(|problem| terminal.line(&problem.to_string()))
}
