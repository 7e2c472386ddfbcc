//! Reading what a `foreach` does for each item of its list, and how many at a time.

use serde_json::Value;

use super::breakers::breaker;
use super::problem::{Problems, codes};
use super::read::task_type;
use super::read_check::check;
use super::read_fields::Fields;
use super::read_graph::total_timeout;
use super::read_policies::attempt_timeout;
use super::read_undo::undo;
use super::retries::retry;
use super::{Breaker, Check, DurationText, Retry, Undo};
use crate::template::TEMPLATE_BYTES_MAX;

/// The most items of a `foreach` that may be under way at a time.
pub const MAX_PARALLEL_MAX: u32 = 1_000;
/// How many items of a `foreach` are under way at a time if it does not say.
pub const MAX_PARALLEL_DEFAULT: u32 = 10;

/// The words of `on_item_failure`.
pub(super) const ON_ITEM_FAILURE: [(&str, OnItemFailure); 2] =
    [("fail_fast", OnItemFailure::FailFast), ("collect", OnItemFailure::Collect)];

/// What is done for each item: a step without a place in the graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Each {
    /// An expression; the item is skipped when it is false.
    pub when: Option<String>,
    /// What an executor takes, or one of the engine's own types.
    pub task_type: String,
    /// Its input: a tree with templates.
    pub with: Option<Value>,
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// How long all attempts may take, with the waits between them.
    pub total_timeout: Option<DurationText>,
    /// How it is undone.
    pub undo: Option<Undo>,
    /// How its service is asked whether it took effect.
    pub check: Option<Check>,
    /// The breaker before its service.
    pub breaker: Option<Breaker>,
    /// Whether its author says that it needs no undo: `undo: none`.
    pub no_undo: bool,
}

/// What the failure of an item means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnItemFailure {
    /// No more items begin, and the step fails.
    #[default]
    FailFast,
    /// All items run, and the step succeeds with the failures in its output.
    Collect,
}

/// The body of a `foreach`.
pub(super) fn each(fields: &Fields<'_>, problems: &mut Problems) -> Option<Box<Each>> {
    const KNOWN: [&str; 9] =
        ["when", "type", "with", "retry", "timeout", "total_timeout", "undo", "check", "breaker"];
    let own = Fields::of(fields.get("each")?, &fields.at("each"), &KNOWN, problems)?;
    let (undo, no_undo) = undo(&own, problems);
    Some(Box::new(Each {
        when: own.text("when", TEMPLATE_BYTES_MAX, problems),
        task_type: task_type(&own, problems),
        with: own.get("with").cloned(),
        retry: retry(&own, problems),
        timeout: attempt_timeout(&own, problems),
        total_timeout: total_timeout(&own, problems),
        undo,
        check: check(&own, problems),
        no_undo,
        breaker: breaker(&own, problems),
    }))
}

/// How many items are under way at a time.
pub(super) fn max_parallel(fields: &Fields<'_>, problems: &mut Problems) -> Option<u32> {
    let value = fields.get("max_parallel")?;
    let Some(given) = value.as_u64() else {
        fields.wrong_type("max_parallel", "a whole number", value, problems);
        return None;
    };
    let fits = u32::try_from(given).ok().filter(|own| (1..=MAX_PARALLEL_MAX).contains(own));
    if fits.is_none() {
        let message = format!("`max_parallel` is between 1 and {MAX_PARALLEL_MAX}");
        problems.add(fields.at("max_parallel"), codes::OUT_OF_RANGE, message);
    }
    fits
}

/// What an item's failure means.
pub(super) fn on_item_failure(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> Option<OnItemFailure> {
    fields.word("on_item_failure", &ON_ITEM_FAILURE, problems)
}
