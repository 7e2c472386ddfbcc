//! Writing the canonical form: what the author gave and nothing else.

use serde_json::{Map, Value, json};

use super::read::RECOURSES;
use super::read_each::ON_ITEM_FAILURE;
use super::read_limits::{ON_LIMIT, PRIORITIES, PriorityText};
use super::read_undo::{NO_UNDO, UNDO_NONE};
use super::{
    Breaker, Cache, Check, Concurrency, Defaults, Definition, DurationText, Each, Retry, Route,
    Step, Undo,
};
use crate::egress::Egress;
use crate::event::{BodyForm, Target};
use crate::plan::ReplaySafety;

/// Fields with a value, the others left out.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect::<Map<_, _>>())
}

fn text(text: Option<&String>) -> Option<Value> {
    text.map(|text| text.as_str().into())
}

fn duration(duration: Option<&DurationText>) -> Option<Value> {
    duration.map(|duration| duration.text.as_str().into())
}

fn list<T>(items: &[T], write: impl Fn(&T) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| items.iter().map(write).collect())
}

/// Writes a whole definition.
pub(super) fn definition(definition: &Definition) -> Value {
    let variables = &definition.variables;
    let on_failure = definition.on_failure.and_then(|recourse| word(&RECOURSES, recourse));
    object([
        ("id", Some(definition.id.as_str().into())),
        ("name", text(definition.name.as_ref())),
        ("description", text(definition.description.as_ref())),
        ("version", text(definition.version.as_ref())),
        ("tags", list(&definition.tags, |tag| tag.as_str().into())),
        ("enabled", definition.disabled.then_some(Value::Bool(false))),
        ("input_schema", definition.input_schema.clone()),
        ("variables", (!variables.is_empty()).then(|| variables.clone().into())),
        ("retry_policies", retry_policies(definition)),
        ("defaults", defaults(&definition.defaults)),
        ("on_failure", on_failure),
        ("on_no_undo", definition.on_no_undo.and_then(|own| word(&NO_UNDO, own))),
        ("timeout", duration(definition.timeout.as_ref())),
        ("compensation_timeout", duration(definition.compensation_timeout.as_ref())),
        ("sla", duration(definition.sla.as_ref())),
        ("rollback_window", duration(definition.rollback_window.as_ref())),
        ("erasable", definition.erasable.then_some(Value::Bool(true))),
        ("priority", definition.priority.as_ref().and_then(priority)),
        ("concurrency", run_limits(&definition.concurrency)),
        ("steps", Some(definition.steps.iter().map(step).collect())),
        ("outputs", definition.outputs.clone().map(Value::Object)),
        ("callbacks", list(&definition.callbacks, callback)),
        ("egress", egress(&definition.egress)),
    ])
}

fn retry_policies(definition: &Definition) -> Option<Value> {
    let own = &definition.retry_policies;
    let written = own.iter().map(|(name, own)| (name.clone(), own.to_value()));
    (!own.is_empty()).then(|| Value::Object(written.collect()))
}

fn priority(own: &PriorityText) -> Option<Value> {
    match own {
        PriorityText::Word(own) => word(&PRIORITIES, *own),
        PriorityText::Template(source) => Some(source.as_str().into()),
    }
}

/// A single limit is no list: so it was always written.
fn run_limits(limits: &[Concurrency]) -> Option<Value> {
    match limits {
        [] => None,
        [one] => Some(concurrency(one)),
        several => list(several, concurrency),
    }
}

/// A single one is no list, as with limits.
fn egress(own: &[Egress]) -> Option<Value> {
    match own {
        [] => None,
        [one] => Some(one.to_value()),
        several => list(several, Egress::to_value),
    }
}

fn concurrency(own: &Concurrency) -> Value {
    object([
        ("key", text(own.key.as_ref())),
        ("max_runs", Some(own.max_runs.into())),
        ("on_limit", own.on_limit.and_then(|on_limit| word(&ON_LIMIT, on_limit))),
    ])
}

fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: T) -> Option<Value> {
    words.iter().find(|(_, known)| *known == meaning).map(|(word, _)| (*word).into())
}

fn defaults(defaults: &Defaults) -> Option<Value> {
    if *defaults == Defaults::default() {
        return None;
    }
    let timeout = duration(defaults.timeout.as_ref());
    Some(object([
        ("retry", defaults.retry.as_ref().map(Retry::to_value)),
        ("timeout", timeout),
        ("breaker", defaults.breaker.as_ref().map(Breaker::to_value)),
    ]))
}

fn step(step: &Step) -> Value {
    object([
        ("id", Some(step.id.as_str().into())),
        ("name", text(step.name.as_ref())),
        ("description", text(step.description.as_ref())),
        ("needs", list(&step.needs, |id| id.as_str().into())),
        ("when", text(step.when.as_ref())),
        ("type", Some(step.task_type.as_str().into())),
        ("with", step.with.clone()),
        ("retry", step.retry.as_ref().map(Retry::to_value)),
        ("timeout", duration(step.timeout.as_ref())),
        ("allow_failure", step.allow_failure.then_some(Value::Bool(true))),
        ("undo", undo(step.undo.as_ref(), step.no_undo)),
        ("check", step.check.as_ref().map(check)),
        ("on_no_undo", step.on_no_undo.and_then(|own| word(&NO_UNDO, own))),
        ("replay", step.replay.and_then(|own| word(&ReplaySafety::WORDS, own))),
        ("total_timeout", duration(step.total_timeout.as_ref())),
        ("sla", duration(step.sla.as_ref())),
        ("limits", list(&step.limits, |own| json!({ "key": own.key, "max": own.max }))),
        ("routes", list(&step.routes, route)),
        ("default", list(&step.default, |id| id.as_str().into())),
        ("on_success", list(&step.on_success, |id| id.as_str().into())),
        ("on_failure", list(&step.on_failure, |id| id.as_str().into())),
        ("cache", step.cache.as_ref().map(cache)),
        ("exclusive", step.exclusive.then_some(Value::Bool(true))),
        ("breaker", step.breaker.as_ref().map(Breaker::to_value)),
        ("each", step.each.as_deref().map(each)),
        ("max_parallel", step.max_parallel.map(Value::from)),
        ("on_item_failure", step.on_item_failure.and_then(|own| word(&ON_ITEM_FAILURE, own))),
    ])
}

fn each(each: &Each) -> Value {
    object([
        ("when", text(each.when.as_ref())),
        ("type", Some(each.task_type.as_str().into())),
        ("with", each.with.clone()),
        ("retry", each.retry.as_ref().map(Retry::to_value)),
        ("timeout", duration(each.timeout.as_ref())),
        ("total_timeout", duration(each.total_timeout.as_ref())),
        ("undo", undo(each.undo.as_ref(), each.no_undo)),
        ("check", each.check.as_ref().map(check)),
        ("breaker", each.breaker.as_ref().map(Breaker::to_value)),
    ])
}

fn cache(own: &Cache) -> Value {
    if *own == Cache::default() {
        return Value::Bool(true);
    }
    object([("ttl", duration(own.ttl.as_ref())), ("key", text(own.key.as_ref()))])
}

fn route(route: &Route) -> Value {
    let to = list(&route.to, |id| id.as_str().into());
    object([("when", Some(route.when.as_str().into())), ("to", to)])
}

fn undo(undo: Option<&Undo>, none: bool) -> Option<Value> {
    let Some(undo) = undo else { return none.then(|| UNDO_NONE.into()) };
    Some(object([
        ("type", Some(undo.task_type.as_str().into())),
        ("with", undo.with.clone()),
        ("retry", undo.retry.as_ref().map(Retry::to_value)),
        ("timeout", duration(undo.timeout.as_ref())),
        ("breaker", undo.breaker.as_ref().map(Breaker::to_value)),
    ]))
}

fn check(own: &Check) -> Value {
    object([
        ("type", Some(own.task_type.as_str().into())),
        ("with", own.with.clone()),
        ("took_effect", text(own.took_effect.as_ref())),
        ("output", own.output.clone()),
        ("retry", own.retry.as_ref().map(Retry::to_value)),
        ("timeout", duration(own.timeout.as_ref())),
        ("breaker", own.breaker.as_ref().map(Breaker::to_value)),
    ])
}

fn callback(target: &Target) -> Value {
    let body = target.form.body();
    let form = (body != BodyForm::Backstitch).then(|| target.form.word().into());
    let key = body.key();
    let key_called = |name| key.filter(|(own, _)| *own == name).map(|(_, key)| key.into());
    let headers = target.form.headers().iter();
    let headers: Map<_, _> =
        headers.map(|(name, text)| (name.clone(), text.as_str().into())).collect();
    object([
        ("event", Some(target.event.word().into())),
        ("url", Some(target.url.as_str().into())),
        ("format", form),
        ("routing_key", key_called("routing_key")),
        ("api_key", key_called("api_key")),
        ("headers", (!headers.is_empty()).then(|| headers.into())),
    ])
}
