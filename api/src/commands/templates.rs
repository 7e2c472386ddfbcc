//! `backstitch templates|new`: definitions to begin with.

use clap::Args;
use serde_json::{Map, Value, json};

use super::runs::At;
use super::runs::table::{columns, text, words};
use crate::error::Error;
use crate::templates::{ALL, Template};
use crate::terminal::Terminal;

const AFTER_NEW: &str = "\
Without --define it prints the template's definition, to be changed and then given to `backstitch
apply`; no server is asked.

Examples:
  backstitch new order_saga > order.yaml
  backstitch new document_analysis --define --name 'Contracts' --variable threshold=0.8";

/// What `new` takes.
#[derive(Debug, Args)]
#[command(after_help = AFTER_NEW)]
pub struct NewFlags {
    /// The template, as `templates` lists it
    #[arg(value_name = "TEMPLATE")]
    pub template: String,
    /// Define a workflow of it at a server
    #[arg(long)]
    pub define: bool,
    /// Its id [default: made from its name]
    #[arg(long, value_name = "WORKFLOW_ID", requires = "define")]
    pub id: Option<String>,
    /// Its name
    #[arg(long, value_name = "TEXT", requires = "define")]
    pub name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT", requires = "define")]
    pub description: Option<String>,
    /// A variable of it: NAME=VALUE, the value as JSON or else a text
    #[arg(long, value_name = "VARIABLE", requires = "define", value_parser = read_variable)]
    pub variable: Vec<(String, Value)>,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

fn read_variable(given: &str) -> Result<(String, Value), String> {
    let wrong = || "write it as NAME=VALUE, such as threshold=0.8".to_owned();
    let (name, value) = given.split_once('=').ok_or_else(wrong)?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// Lists the templates.
///
/// # Errors
/// If standard output can't be written.
pub fn list() -> Result<(), Error> {
    let mut rows = vec![words(["TEMPLATE", "STEPS", "WHAT IT DOES"])];
    rows.extend(ALL.iter().map(|own| {
        let definition = own.definition();
        let steps = definition["steps"].as_array().map_or(0, Vec::len);
        vec![own.name.to_owned(), steps.to_string(), text(&definition["description"])]
    }));
    Terminal::of_stdout().line(columns(&rows).trim_end())
}

/// Prints a template, or defines a workflow of it.
///
/// # Errors
/// [`Error::Setting`] for a template that there is not, or a server that is no URL;
/// [`Error::Failed`] when the server refuses, [`Error::Unreachable`], [`Error::Foreign`].
pub async fn new(flags: NewFlags) -> Result<(), Error> {
    if !flags.define {
        let template = Template::named(&flags.template).map_err(Error::Setting)?;
        return Terminal::of_stdout().line(template.text.trim_end());
    }
    let mut own = Map::new();
    let texts = [("id", flags.id), ("name", flags.name), ("description", flags.description)];
    for (name, given) in texts {
        own.extend(given.map(|given| (name.to_owned(), given.into())));
    }
    if !flags.variable.is_empty() {
        own.insert(
            "variables".to_owned(),
            flags.variable.into_iter().collect::<Map<_, _>>().into(),
        );
    }
    let body = json!({ "template_name": flags.template, "customizations": own });
    let answer = flags.at.client()?.post("/api/v1/workflows/from-template", &body).await?;
    flags.at.show(&answer, || {
        let (id, revision) = (text(&answer["workflow_id"]), text(&answer["revision"]));
        format!("{id}: revision {revision}")
    })
}
