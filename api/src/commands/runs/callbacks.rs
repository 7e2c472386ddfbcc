//! `backstitch callbacks` and `backstitch redeliver`: who was told of a run, and once more.

use clap::Args;
use serde_json::{Value, json};

use super::table::text;
use super::{At, OneFlags, of_run};
use crate::error::Error;

/// What `redeliver` takes.
#[derive(Debug, Args)]
pub struct RedeliverFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// The callback, as `backstitch callbacks` counts them
    #[arg(value_name = "NUMBER")]
    pub number: u32,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// `callbacks`: where each callback of a run stands.
///
/// # Errors
/// As [`super::get`].
pub async fn callbacks(flags: OneFlags) -> Result<(), Error> {
    let answer = flags.at.client()?.get(&of_run(&flags.id, &[])).await?;
    let callbacks = answer["callbacks"].as_array().cloned().unwrap_or_default();
    let shown = json!({ "callbacks": callbacks });
    flags.at.show(&shown, || match callbacks.is_empty() {
        true => "no callbacks".to_owned(),
        false => callbacks.iter().enumerate().map(line).collect(),
    })
}

/// `redeliver`: the same callback once more.
///
/// # Errors
/// As [`super::get`].
pub async fn redeliver(flags: RedeliverFlags) -> Result<(), Error> {
    let number = flags.number.to_string();
    flags.at.act(&flags.id, &["callbacks", &number, "redeliver"], &json!({})).await
}

fn line((number, own): (usize, &Value)) -> String {
    let step = own["step"].as_str().map(|step| format!(" of {step}")).unwrap_or_default();
    let answered = own["response_status"].as_u64();
    let answered = answered.map(|status| format!(", answered {status}")).unwrap_or_default();
    let due = own["due_at"].as_str().map(|at| format!(", again at {at}")).unwrap_or_default();
    let (status, event, url) = (text(&own["status"]), text(&own["event"]), text(&own["url"]));
    let attempts = &own["attempts"];
    format!("{number}  {status:9}  {event}{step} to {url}: attempts {attempts}{answered}{due}\n")
}
