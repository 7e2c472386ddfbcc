//! A workflow as its author wrote it, in the canonical form.
//!
//! Reading collects every problem; writing gives back what the author gave, normalised.
//! Knows nothing of task types, templates or runs: that is the plan's part.

mod breakers;
mod changes;
pub(crate) mod graph;
pub(crate) mod nearest;
pub mod problem;
pub(crate) mod read;
mod read_callbacks;
mod read_check;
mod read_each;
mod read_egress;
pub(crate) mod read_fields;
mod read_graph;
mod read_limits;
pub(crate) mod read_policies;
mod read_receiver;
mod read_undo;
mod retries;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(crate) use read::defaults as read_defaults;
pub(crate) use read_callbacks::callbacks as read_targets;
pub use read_callbacks::{CALLBACK_FIELDS, read_callbacks};
pub use read_check::Check;
pub use read_each::{Each, MAX_PARALLEL_DEFAULT, MAX_PARALLEL_MAX, OnItemFailure};
pub use read_limits::{
    Concurrency, KEYED_LIMITS_MAX, KEYED_MAX, KeyedLimit, PriorityText, RUN_LIMITS_MAX,
    RUNS_AT_A_TIME_MAX,
};
pub(crate) use read_receiver::check_url;

pub use breakers::{Breaker, OwnBreaker, read_breaker_rules};
pub use changes::changes;
pub(crate) use read_egress::read_egress;
pub(crate) use read_receiver::receiver as read_receiver;
pub use read_receiver::{HEADERS_MAX, RECEIVER_FIELDS, Receiver, Secrets};
pub use read_undo::{NoUndo, UNDO_NONE, Undo};
pub use retries::{OwnRetry, RETRY_POLICIES_MAX, Retry};
pub(crate) use retries::{retry as read_retry, retry_policies as read_retry_policies};

use crate::egress::Egress;
use crate::event::{Recourse, Target};
use crate::ids::Digest;
use crate::plan::ReplaySafety;
use problem::{Problem, Problems};

/// The most steps of a workflow.
pub const STEPS_MAX: usize = 10_000;
/// The most needs of all steps of a workflow together.
pub const NEEDS_MAX: usize = 100_000;
/// The longest definition, as text.
pub const DEFINITION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest workflow id.
pub const WORKFLOW_ID_CHARS_MAX: usize = 128;
/// The longest step id.
pub const STEP_ID_CHARS_MAX: usize = 64;
/// The longest name of a workflow or step.
pub const NAME_CHARS_MAX: usize = 256;
/// The longest description.
pub const DESCRIPTION_CHARS_MAX: usize = 4_096;
/// The longest version label.
pub const LABEL_CHARS_MAX: usize = 64;
/// The longest URL of a callback.
pub const URL_CHARS_MAX: usize = 2_048;
/// The most tags that a stored revision may have; new ones have fewer, see
/// [`crate::command::TAGS_MAX`].
pub const TAGS_READ_MAX: usize = 64;
/// The longest tag that a stored revision may have, in bytes.
pub const TAG_READ_BYTES_MAX: usize = 256;
/// The most callbacks; each event of a list counts.
pub const CALLBACKS_MAX: usize = 16;
/// The most routes of one router.
pub const ROUTES_MAX: usize = 256;
/// The longest timeout of one attempt.
pub const STEP_TIMEOUT_MS_MAX: u64 = 86_400_000;
/// The timeout of an attempt when neither the step nor the defaults name one.
pub const STEP_TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// Words that paths of the API use where workflow ids stand.
pub const RESERVED_WORKFLOW_IDS: [&str; 10] = [
    "executions",
    "search",
    "statistics",
    "health",
    "history",
    "run",
    "from-template",
    "templates",
    "validate",
    "events",
];

/// A workflow as its author wrote it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definition {
    /// Also its name in URLs.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// The author's label; the engine numbers revisions itself.
    pub version: Option<String>,
    /// For lists and search.
    pub tags: Vec<String>,
    /// Whether it is disabled with this: `enabled: false`.
    pub disabled: bool,
    /// A JSON Schema that inputs must match.
    pub input_schema: Option<Value>,
    /// Constants that a run may override.
    pub variables: Map<String, Value>,
    /// Retry policies of the author's own, by name; one of a name that is known already stands in
    /// its place.
    pub retry_policies: BTreeMap<String, OwnRetry>,
    /// For steps that do not say.
    pub defaults: Defaults,
    /// What is done about a failing run; compensate if absent.
    pub on_failure: Option<Recourse>,
    /// What is done about steps that act and have no undo; skipped if absent.
    pub on_no_undo: Option<NoUndo>,
    /// How long a run may take.
    pub timeout: Option<DurationText>,
    /// How long all its undos may take together.
    pub compensation_timeout: Option<DurationText>,
    /// How long it was agreed to take.
    pub sla: Option<DurationText>,
    /// How long after its end a run can be rolled back, and is kept for that.
    pub rollback_window: Option<DurationText>,
    /// Whether every payload of its runs is kept so that it can be erased.
    pub erasable: bool,
    /// Who goes first when not all can; medium if absent.
    pub priority: Option<PriorityText>,
    /// How many runs there may be at a time, at most one limit without a key.
    pub concurrency: Vec<Concurrency>,
    /// The graph.
    pub steps: Vec<Step>,
    /// The run's output; the outputs of the last steps if absent.
    pub outputs: Option<Map<String, Value>>,
    /// Who is told.
    pub callbacks: Vec<Target>,
    /// Which hosts its runs may call: all of these have to admit one.
    pub egress: Vec<Egress>,
}

/// Policies for steps that do not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// The breakers before the services that steps call.
    pub breaker: Option<Breaker>,
}

/// A step of the graph.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Unique in the workflow.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Ids of the steps it waits for.
    pub needs: Vec<String>,
    /// An expression; the step is skipped when it is false.
    pub when: Option<String>,
    /// `transform`, `wait`, or what an executor takes.
    pub task_type: String,
    /// Its input: a tree with templates.
    pub with: Option<Value>,
    /// How attempts are repeated.
    pub retry: Option<Retry>,
    /// How long one attempt may take.
    pub timeout: Option<DurationText>,
    /// Whether the run goes on without it.
    pub allow_failure: bool,
    /// How it is undone.
    pub undo: Option<Undo>,
    /// How its service is asked whether it took effect, where nobody knows.
    pub check: Option<Check>,
    /// Whether its author says that it needs no undo: `undo: none`.
    pub no_undo: bool,
    /// What is done about it if it acts and has none; as the workflow says if absent.
    pub on_no_undo: Option<NoUndo>,
    /// What it means to run it again in a fork; by its type if absent.
    pub replay: Option<ReplaySafety>,
    /// How long all attempts may take, with the waits between them.
    pub total_timeout: Option<DurationText>,
    /// How long it was agreed to take.
    pub sla: Option<DurationText>,
    /// How many attempts with the same key may be under way at a time.
    pub limits: Vec<KeyedLimit>,
    /// Of a router: where it may lead, the first that holds.
    pub routes: Vec<Route>,
    /// Of a router: where it leads if no route holds.
    pub default: Vec<String>,
    /// Ids of the steps that run only when this one succeeded.
    pub on_success: Vec<String>,
    /// Ids of the steps that run only when this one failed, and make the failure good.
    pub on_failure: Vec<String>,
    /// Which answers may stand for its own.
    pub cache: Option<Cache>,
    /// Whether nothing else of the run is under way while it is.
    pub exclusive: bool,
    /// The breaker before its service.
    pub breaker: Option<Breaker>,
    /// Of a `foreach`: what is done for each item.
    pub each: Option<Box<Each>>,
    /// Of a `foreach`: how many items are under way at a time.
    pub max_parallel: Option<u32>,
    /// Of a `foreach`: what an item's failure means; `fail_fast` if absent.
    pub on_item_failure: Option<OnItemFailure>,
}

/// Which answers may stand for a step's own; `true` where nothing more is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cache {
    /// How old they may be; an hour if absent.
    pub ttl: Option<DurationText>,
    /// A template of what they are known by, in place of the input.
    pub key: Option<String>,
}

/// One way out of a router.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// An expression.
    pub when: String,
    /// Ids of the steps it leads to.
    pub to: Vec<String>,
}

/// A duration as written, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationText {
    /// As written: `1h30m`, or a template.
    pub text: String,
    /// In milliseconds; nothing of a template.
    pub ms: Option<u64>,
}

/// A whole number as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// A number.
    Number(u16),
    /// A template of one.
    Template(String),
}

impl Definition {
    /// Reads the canonical form and checks its fields and its graph. Templates and task
    /// types are checked by [`crate::plan::Plan::read`], which does all at once.
    ///
    /// # Errors
    /// Every problem.
    pub fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let definition = Self::read_noting(value, &mut problems);
        graph::Graph::of(&definition, &mut problems);
        if problems.is_empty() { Ok(definition) } else { Err(problems.into_list()) }
    }

    /// Reads what can be read, noting every problem of the fields.
    pub(crate) fn read_noting(value: &Value, problems: &mut Problems) -> Self {
        read::definition(value, problems)
    }

    /// The canonical form: what the author gave, `needs` as lists, keys in order.
    #[must_use]
    pub fn to_value(&self) -> Value {
        write::definition(self)
    }

    /// The canonical form as text: what revisions are stored as.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        self.to_value().to_string()
    }

    /// blake3 of the canonical text: what revisions are known by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical_text().as_bytes())
    }
}
