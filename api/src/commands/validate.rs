//! `backstitch validate FILE`.

use std::path::PathBuf;

use backstitch_core::definition::problem::Problem;
use backstitch_core::forms::Compiled;
use backstitch_core::plan::Unknown;
use backstitch_executors::{HttpConfig, Registry};
use backstitch_saga::handle::compile;
use clap::Args;
use serde_json::{Value, json};

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
    /// Print the definition translated into the canonical form, as JSON
    #[arg(long, conflicts_with = "json")]
    pub canonical: bool,
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
        Ok(Compiled { form, plan, warnings, .. }) if flags.json => terminal.line(
            &json!({
                "valid": true,
                "form": form.word(),
                "warnings": warnings,
                "workflow_id": plan.workflow,
                "steps": plan.steps.len(),
                "digest": plan.digest.to_string(),
                "unknown_outcomes": plan.unknown_outcomes_json(),
                "problems": [],
            })
            .to_string(),
        ),
        Ok(compiled) if flags.canonical => terminal.line(&pretty(&compiled.text)),
        Ok(Compiled { form, plan, warnings, .. }) => {
            let steps = count(plan.steps.len(), "step");
            let warned = match warnings.len() {
                0 => String::new(),
                number => format!(", with {}", count(number, "warning")),
            };
            let (workflow, form) = (&plan.workflow, form.word());
            terminal.line(&format!(
                "{file}: workflow `{workflow}`, form {form}, {steps}, valid{warned}"
            ))?;
            warnings.iter().try_for_each(|one| terminal.line(&format!("warning: {one}")))?;
            let all = plan.unknown_outcomes();
            let mut waiting = all.filter(|(_, then)| *then == Unknown::Suspends);
            waiting.try_for_each(|(step, _)| {
                terminal.line(&format!(
                    "note: if nobody knows whether `{}` took effect, its undo waits for a person: it \
                     reads the step's output; a `check` can ask the service",
                    step.id
                ))
            })
        }
        Err(problems) => {
            show(&terminal, flags, &problems)?;
            Err(Error::Failed(format!("{file} has {}", count(problems.len(), "problem"))))
        }
    }
}

/// Canonical JSON for people.
fn pretty(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| text.to_owned())
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
