//! Which runs to list.

use backstitch_core::time::Timestamp;
use backstitch_journal::{Order, Range};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{LIST_LIMIT, instant, standings};
use crate::source::Standing;

/// Which runs to list, and in which order: by submission.
#[derive(Debug, Clone, Args)]
pub struct ListWanted {
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = LIST_LIMIT)]
    pub limit: usize,
    /// Which runs.
    #[command(flatten)]
    pub filter: FilterWanted,
    /// Which come first: `desc`, the newest, or `asc`, the oldest.
    #[arg(long, value_name = "ORDER", value_parser = orders(), default_value = "desc")]
    pub order: Order,
}

/// Which runs, by what they are.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterWanted {
    /// Only runs that stand so.
    #[arg(long, value_name = "STATUS", value_parser = standings())]
    pub status: Option<Standing>,
    /// Only runs of this workflow.
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only runs with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Only runs with this correlation id.
    #[arg(long, value_name = "ID")]
    pub correlation_id: Option<String>,
    /// Only runs submitted at this instant or later, such as 2026-01-31T03:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub submitted_after: Option<Timestamp>,
    /// Only runs submitted before it.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub submitted_before: Option<Timestamp>,
    /// Only runs that ended at this instant or later.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub ended_after: Option<Timestamp>,
    /// Only runs that ended before it.
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    pub ended_before: Option<Timestamp>,
}

impl FilterWanted {
    /// When the runs were submitted.
    #[must_use]
    pub fn submitted(&self) -> Range {
        Range { after: self.submitted_after, before: self.submitted_before }
    }

    /// When they ended; without it also those that have not.
    #[must_use]
    pub fn ended(&self) -> Option<Range> {
        let range = Range { after: self.ended_after, before: self.ended_before };
        Some(range).filter(|range| *range != Range::default())
    }
}

fn orders() -> impl TypedValueParser<Value = Order> {
    PossibleValuesParser::new(["desc", "asc"]).map(|word| match word.as_str() {
        "asc" => Order::OldestFirst,
        _ => Order::NewestFirst,
    })
}
