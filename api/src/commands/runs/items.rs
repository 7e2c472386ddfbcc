//! `backstitch items`: what became of each item of a loop.

use clap::Args;
use serde_json::{Value, json};

use super::{At, of_run, table};
use crate::error::Error;
use crate::http::LIMIT_MAX;

/// What `items` takes.
#[derive(Debug, Args)]
pub struct ItemsFlags {
    /// The run
    #[arg(value_name = "EXECUTION_ID")]
    pub id: String,
    /// The step, a `foreach`
    #[arg(value_name = "STEP_ID")]
    pub step: String,
    /// Only items with this status
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Begin with the item of this number
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub from: u64,
    /// Look at no more than so many items
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Where and how.
    #[command(flatten)]
    pub at: At,
}

/// `items`: a loop's items, in their order.
///
/// # Errors
/// As [`super::get`].
pub async fn items(flags: ItemsFlags) -> Result<(), Error> {
    let client = flags.at.client()?;
    let path = of_run(&flags.id, &["steps", &flags.step, "items"]);
    let (mut items, mut cursor, mut left) = (Vec::new(), Some(flags.from.to_string()), flags.limit);
    let mut count = Value::Null;
    while let Some(from) = cursor.take().filter(|_| left > 0) {
        let query = [("cursor", from), ("limit", left.min(LIMIT_MAX).to_string())];
        let mut page = client.get_with(&path, &query).await?;
        let Value::Array(rows) = page["items"].take() else { break };
        left = left.saturating_sub(rows.len());
        let wanted = |row: &Value| flags.status.as_ref().is_none_or(|own| row["status"] == **own);
        items.extend(rows.into_iter().filter(wanted));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        count = page["count"].take();
    }
    let answer = json!({ "items": items, "count": count, "next_cursor": cursor });
    flags.at.show(&answer, || table::items(&answer))
}
