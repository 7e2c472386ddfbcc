//! The canonical form as a table, for its schema. Reading and checking it is `definition`'s.

use crate::definition::{KEYED_MAX, MAX_PARALLEL_MAX, RUNS_AT_A_TIME_MAX, UNDO_NONE};

use crate::event::{CallbackEvent, CallbackForm};

use super::table::{Shape, Table, To, rule};

pub(super) static DOCUMENT: Table = Table {
    about: "A workflow",
    open: false,
    required: &["id", "steps"],
    fields: &[
        rule("id", Shape::Text, To::Own),
        rule("name", Shape::Text, To::Own),
        rule("description", Shape::Text, To::Own),
        rule("version", Shape::Text, To::Own),
        rule("tags", Shape::Texts, To::Own),
        rule("enabled", Shape::Boolean, To::Own),
        rule("input_schema", Shape::Any, To::Own),
        rule("variables", Shape::Object, To::Own),
        rule("retry_policies", Shape::Object, To::Own),
        rule("defaults", Shape::One(&DEFAULTS), To::Own),
        rule("on_failure", Shape::Words(&["compensate", "halt", "suspend"]), To::Own),
        rule("on_no_undo", Shape::Words(&NO_UNDO), To::Own),
        rule("timeout", Shape::Limit, To::Own),
        rule("compensation_timeout", Shape::Duration, To::Own),
        rule("sla", Shape::Any, To::Own),
        rule("rollback_window", Shape::Duration, To::Own),
        rule("erasable", Shape::Boolean, To::Own),
        rule("priority", Shape::WordsOrTemplate(&PRIORITIES), To::Own),
        rule("concurrency", Shape::OneOrList(&CONCURRENCY), To::Own),
        rule("steps", Shape::List(&STEP), To::Own),
        rule("outputs", Shape::Object, To::Own),
        rule("callbacks", Shape::List(&CALLBACK), To::Own),
        rule("egress", Shape::OneOrList(&EGRESS), To::Own),
    ],
};

static EGRESS: Table = Table {
    about: "Which hosts its runs may call",
    open: false,
    required: &[],
    fields: &[rule("allow", Shape::Texts, To::Own), rule("deny", Shape::Texts, To::Own)],
};

pub(super) static STEP: Table = Table {
    about: "A step",
    open: false,
    required: &["id", "type"],
    fields: &[
        rule("id", Shape::Text, To::Own),
        rule("name", Shape::Text, To::Own),
        rule("description", Shape::Text, To::Own),
        rule("needs", Shape::TextOrTexts, To::Own),
        rule("when", Shape::Text, To::Own),
        rule("type", Shape::Text, To::Own),
        rule("with", Shape::Any, To::Own),
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Limit, To::Own),
        rule("allow_failure", Shape::Boolean, To::Own),
        rule("undo", Shape::WordOr(UNDO_NONE, &UNDO), To::Own),
        rule("check", Shape::One(&CHECK), To::Own),
        rule("on_no_undo", Shape::Words(&NO_UNDO), To::Own),
        rule("replay", Shape::Words(&["safe", "idempotent", "unsafe"]), To::Own),
        rule("total_timeout", Shape::Limit, To::Own),
        rule("sla", Shape::Any, To::Own),
        rule("limits", Shape::List(&LIMIT), To::Own),
        rule("routes", Shape::List(&ROUTE), To::Own),
        rule("default", Shape::TextOrTexts, To::Own),
        rule("on_success", Shape::TextOrTexts, To::Own),
        rule("on_failure", Shape::TextOrTexts, To::Own),
        rule("cache", Shape::TruthOr(&CACHE), To::Own),
        rule("exclusive", Shape::Boolean, To::Own),
        rule("breaker", Shape::Breaker, To::Own),
        rule("each", Shape::One(&EACH), To::Own),
        rule("max_parallel", Shape::Whole(1, MAX_PARALLEL_MAX as u64), To::Own),
        rule("on_item_failure", Shape::Words(&["fail_fast", "collect"]), To::Own),
    ],
};

static EACH: Table = Table {
    about: "What a `foreach` does for each item",
    open: false,
    required: &["type"],
    fields: &[
        rule("when", Shape::Text, To::Own),
        rule("type", Shape::Text, To::Own),
        rule("with", Shape::Any, To::Own),
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Duration, To::Own),
        rule("total_timeout", Shape::Duration, To::Own),
        rule("undo", Shape::WordOr(UNDO_NONE, &UNDO), To::Own),
        rule("check", Shape::One(&CHECK), To::Own),
        rule("breaker", Shape::Breaker, To::Own),
    ],
};

static CONCURRENCY: Table = Table {
    about: "How many runs there may be at a time",
    open: false,
    required: &["max_runs"],
    fields: &[
        rule("key", Shape::Text, To::Own),
        rule("max_runs", Shape::Whole(1, RUNS_AT_A_TIME_MAX as u64), To::Own),
        rule("on_limit", Shape::Words(&["queue", "reject", "cancel_running"]), To::Own),
    ],
};

static LIMIT: Table = Table {
    about: "How many attempts with the same key may be under way at a time",
    open: false,
    required: &["key", "max"],
    fields: &[
        rule("key", Shape::Text, To::Own),
        rule("max", Shape::Whole(1, KEYED_MAX as u64), To::Own),
    ],
};

static CACHE: Table = Table {
    about: "Which answers may stand for the step's own",
    open: false,
    required: &[],
    fields: &[rule("ttl", Shape::Duration, To::Own), rule("key", Shape::Text, To::Own)],
};

static UNDO: Table = Table {
    about: "How a step is undone",
    open: false,
    required: &["type"],
    fields: &[
        rule("type", Shape::Text, To::Own),
        rule("with", Shape::Any, To::Own),
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Limit, To::Own),
        rule("breaker", Shape::Breaker, To::Own),
    ],
};

static CHECK: Table = Table {
    about: "How a service is asked whether the step took effect, where nobody knows",
    open: false,
    required: &["type"],
    fields: &[
        rule("type", Shape::Text, To::Own),
        rule("with", Shape::Any, To::Own),
        rule("took_effect", Shape::Text, To::Own),
        rule("output", Shape::Any, To::Own),
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Duration, To::Own),
        rule("breaker", Shape::Breaker, To::Own),
    ],
};

static DEFAULTS: Table = Table {
    about: "Policies for steps that do not say",
    open: false,
    required: &[],
    fields: &[
        rule("retry", Shape::Retry, To::Own),
        rule("timeout", Shape::Limit, To::Own),
        rule("breaker", Shape::Breaker, To::Own),
    ],
};

static CALLBACK: Table = Table {
    about: "Who is told",
    open: false,
    required: &["url"],
    fields: &[
        rule("event", Shape::Words(&EVENTS), To::Own),
        rule("events", Shape::Texts, To::Own),
        rule("url", Shape::Text, To::Own),
        rule("format", Shape::Words(&CallbackForm::WORDS), To::Own),
        rule("routing_key", Shape::Text, To::Own),
        rule("api_key", Shape::Text, To::Own),
        rule("headers", Shape::Object, To::Own),
    ],
};

static ROUTE: Table = Table {
    about: "One way out of a router",
    open: false,
    required: &["when", "to"],
    fields: &[rule("when", Shape::Text, To::Own), rule("to", Shape::TextOrTexts, To::Own)],
};

/// The words of `priority`.
pub(super) const PRIORITIES: [&str; 3] = ["high", "medium", "low"];
const NO_UNDO: [&str; 3] = ["skip", "suspend", "forbid"];

const EVENTS: [&str; CallbackEvent::WORDS.len()] = {
    let mut words = [""; CallbackEvent::WORDS.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = CallbackEvent::WORDS[at].0;
        at += 1;
    }
    words
};
