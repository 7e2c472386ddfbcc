//! Reading who goes first, and how many may go at a time.

use super::problem::{Problems, codes};
use super::read_fields::Fields;
use crate::event::Priority;

/// The words of `priority`.
pub(super) const PRIORITIES: [(&str, Priority); 3] =
    [("high", Priority::High), ("medium", Priority::Medium), ("low", Priority::Low)];
/// The words of `on_limit`.
pub(super) const ON_LIMIT: [(&str, OnLimit); 2] =
    [("queue", OnLimit::Queue), ("reject", OnLimit::Reject)];
/// The highest number of runs at a time that a workflow may ask for.
pub const RUNS_AT_A_TIME_MAX: u32 = 1_000_000;

/// How many runs of a workflow there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// How many.
    pub max_runs: u32,
    /// What becomes of one more; it queues if absent.
    pub on_limit: Option<OnLimit>,
}

/// What becomes of a run that there is no slot for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnLimit {
    /// It is accepted and begins once there is.
    #[default]
    Queue,
    /// It is refused.
    Reject,
}

/// `{max_runs, on_limit?}`.
pub(super) fn concurrency(fields: &Fields<'_>, problems: &mut Problems) -> Option<Concurrency> {
    let value = fields.get("concurrency")?;
    let own = Fields::of(value, "concurrency", &["max_runs", "on_limit"], problems)?;
    let on_limit = own.word("on_limit", &ON_LIMIT, problems);
    let given = own.required("max_runs", problems)?;
    let Some(max_runs) = given.as_u64().and_then(|own| u32::try_from(own).ok()) else {
        own.wrong_type("max_runs", "a whole number", given, problems);
        return None;
    };
    if !(1..=RUNS_AT_A_TIME_MAX).contains(&max_runs) {
        let message = format!("`max_runs` is between 1 and {RUNS_AT_A_TIME_MAX}");
        problems.add(own.at("max_runs"), codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(Concurrency { max_runs, on_limit })
}

impl Priority {
    /// The word that is written and shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        PRIORITIES.iter().find(|(_, own)| *own == self).map_or("medium", |(word, _)| word)
    }

    /// The priority of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        PRIORITIES.iter().find(|(own, _)| *own == word).map(|(_, own)| *own)
    }
}
