//! Retry policies as written: reading and writing them, and what they mean.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::problem::{Problems, codes};
use super::read_fields::{Fields, type_of};
use super::read_policies::limit;
use super::{Count, Definition, DurationText, Step};
use crate::retry_policy::{
    ATTEMPTS_MAX, Backoff, MULTIPLIER_MAX, RETRY_INITIAL_MS_MAX, RETRY_WAIT_MS_MAX, Retries,
    RetryCondition, RetryConditions, RetryPolicy,
};
use crate::template::{TEMPLATE_BYTES_MAX, has_template};

/// The most policies that one workflow names.
pub const RETRY_POLICIES_MAX: usize = 32;
/// The longest name of a policy.
const NAME_CHARS_MAX: usize = 64;
/// The most conditions in one list.
const CONDITIONS_MAX: usize = 32;
const RETRY_FIELDS: [&str; 8] =
    ["max_attempts", "backoff", "initial", "max", "multiplier", "jitter", "on", "never"];
const BACKOFFS: [(&str, Backoff); 3] =
    [("exponential", Backoff::Exponential), ("linear", Backoff::Linear), ("fixed", Backoff::Fixed)];

/// A retry policy as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Retry {
    /// One of the named policies, or of the workflow's own.
    Named(String),
    /// One of the author's own; what is absent is as in `standard`.
    Own(OwnRetry),
}

/// A retry policy of the author's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnRetry {
    /// All attempts, the first included.
    pub max_attempts: Option<Count>,
    /// How the wait grows.
    pub backoff: Option<Backoff>,
    /// The first wait.
    pub initial: Option<DurationText>,
    /// The longest wait.
    pub max: Option<DurationText>,
    /// Growth of an exponential wait.
    pub multiplier: Option<f64>,
    /// Whether waits are drawn.
    pub jitter: Option<bool>,
    /// After which failures; after all that may pass if empty.
    pub on: Vec<RetryCondition>,
    /// After which not.
    pub never: Vec<RetryCondition>,
}

impl OwnRetry {
    /// The effective policy, but for what templates come to.
    #[must_use]
    pub fn retries(&self) -> Retries {
        let standard = RetryPolicy::STANDARD;
        let initial_ms = self.initial.as_ref().and_then(|text| text.ms);
        let initial_ms = initial_ms.unwrap_or(standard.initial_ms);
        let max_ms = self.max.as_ref().and_then(|text| text.ms);
        let max_attempts = match self.max_attempts {
            Some(Count::Number(number)) => number,
            Some(Count::Template(_)) | None => standard.max_attempts,
        };
        let policy = RetryPolicy {
            max_attempts,
            backoff: self.backoff.unwrap_or(standard.backoff),
            initial_ms,
            max_ms: max_ms.unwrap_or(standard.max_ms.max(initial_ms)),
            multiplier: self.multiplier.unwrap_or(standard.multiplier),
            jitter: self.jitter.unwrap_or(standard.jitter),
        };
        let (on, never) = (self.on.clone(), self.never.clone());
        let said = !on.is_empty() || !never.is_empty();
        Retries { policy, conditions: said.then(|| Arc::new(RetryConditions { on, never })) }
    }

    pub(super) fn to_value(&self) -> Value {
        let list = |own: &[RetryCondition]| -> Option<Value> {
            (!own.is_empty()).then(|| own.iter().map(ToString::to_string).collect())
        };
        let text = |own: &Option<DurationText>| own.as_ref().map(|own| json!(own.text));
        let fields = [
            ("max_attempts", self.max_attempts.as_ref().map(Count::to_value)),
            ("backoff", self.backoff.map(|backoff| json!(backoff))),
            ("initial", text(&self.initial)),
            ("max", text(&self.max)),
            ("multiplier", self.multiplier.map(Value::from)),
            ("jitter", self.jitter.map(Value::from)),
            ("on", list(&self.on)),
            ("never", list(&self.never)),
        ];
        let given = fields.into_iter().filter_map(|(name, own)| Some((name.to_owned(), own?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

impl Count {
    fn to_value(&self) -> Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Template(text) => text.as_str().into(),
        }
    }
}

impl Retry {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Named(name) => name.as_str().into(),
            Self::Own(own) => own.to_value(),
        }
    }
}

impl Definition {
    /// What a policy means here; `unsaid` is the name of the one that holds where none is said.
    #[must_use]
    pub fn retries(&self, retry: Option<&Retry>, unsaid: &str) -> Retries {
        let name = match self.own_policy(retry, unsaid) {
            Ok(own) => return own.retries(),
            Err(name) => name,
        };
        let named = RetryPolicy::NAMED.iter().find(|(known, _)| *known == name);
        named.map_or(RetryPolicy::STANDARD, |(_, policy)| *policy).into()
    }

    /// The policy of the author's own that is meant; else the name of one that everybody has.
    pub(crate) fn own_policy<'a>(
        &'a self,
        retry: Option<&'a Retry>,
        unsaid: &'a str,
    ) -> Result<&'a OwnRetry, &'a str> {
        let name = match retry {
            Some(Retry::Own(own)) => return Ok(own),
            Some(Retry::Named(name)) => name.as_str(),
            None => unsaid,
        };
        self.retry_policies.get(name).ok_or(name)
    }

    /// Notes every name of a policy that there is none of, here or `elsewhere`. What is stored
    /// is not asked: a policy of the node's may be gone since, and then it means `standard`.
    pub(crate) fn check_retries(&self, elsewhere: &dyn Fn(&str) -> bool, problems: &mut Problems) {
        let mut check = |retry: Option<&Retry>, path: &str| {
            let Some(Retry::Named(name)) = retry else { return };
            if !elsewhere(name) {
                self.check_name(name, path, problems);
            }
        };
        check(self.defaults.retry.as_ref(), "defaults.retry");
        for (at, step) in self.steps.iter().enumerate() {
            for (retry, below) in policies_of(step) {
                check(retry, &format!("steps[{at}].{below}"));
            }
        }
    }

    /// The names of policies that it uses, in any of its steps.
    pub(crate) fn retries_named(&self) -> BTreeSet<&str> {
        let of_steps = self.steps.iter().flat_map(policies_of).filter_map(|(retry, _)| retry);
        let all = self.defaults.retry.iter().chain(of_steps);
        all.filter_map(|retry| match retry {
            Retry::Named(name) => Some(name.as_str()),
            Retry::Own(_) => None,
        })
        .collect()
    }

    fn check_name(&self, name: &str, path: &str, problems: &mut Problems) {
        let own = || self.retry_policies.keys().map(String::as_str);
        let known = || RetryPolicy::NAMED.iter().map(|(name, _)| *name).chain(own());
        if known().any(|known| known == name) {
            return;
        }
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        let known: Vec<_> = known().collect();
        let message = format!("`retry` is one of {}, not `{shown}`", known.join(", "));
        problems.add(path, codes::BAD_VALUE, message);
    }
}

/// Every place of a step where a policy may stand.
fn policies_of(step: &Step) -> impl Iterator<Item = (Option<&Retry>, &'static str)> {
    let undo = step.undo.as_ref().and_then(|undo| undo.retry.as_ref());
    let check = step.check.as_ref().and_then(|check| check.retry.as_ref());
    let each = step.each.as_deref();
    let of_each = each.and_then(|each| each.retry.as_ref());
    let undo_of_each = each.and_then(|each| each.undo.as_ref()?.retry.as_ref());
    let check_of_each = each.and_then(|each| each.check.as_ref()?.retry.as_ref());
    [
        (step.retry.as_ref(), "retry"),
        (undo, "undo.retry"),
        (check, "check.retry"),
        (of_each, "each.retry"),
        (undo_of_each, "each.undo.retry"),
        (check_of_each, "each.check.retry"),
    ]
    .into_iter()
}

/// A retry policy: a name or an object. Whether the name is known is checked once all are read.
pub(crate) fn retry(fields: &Fields<'_>, problems: &mut Problems) -> Option<Retry> {
    match fields.get("retry")? {
        Value::String(name) => Some(Retry::Named(name.clone())),
        value @ Value::Object(_) => {
            let path = fields.at("retry");
            Fields::of(value, &path, &RETRY_FIELDS, problems)
                .map(|own| Retry::Own(own_retry(&own, problems)))
        }
        other => {
            fields.wrong_type("retry", "a policy's name or an object", other, problems);
            None
        }
    }
}

/// The workflow's own policies, by name.
pub(crate) fn retry_policies(
    fields: &Fields<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, OwnRetry> {
    const NAME: &str = "retry_policies";
    let none = Map::new();
    let given = fields.object(NAME, problems).unwrap_or(&none);
    if given.len() > RETRY_POLICIES_MAX {
        let message = format!("`{NAME}` has at most {RETRY_POLICIES_MAX}, not {}", given.len());
        problems.add(NAME, codes::OUT_OF_RANGE, message);
    }
    let mut policies = BTreeMap::new();
    for (name, value) in given.iter().take(RETRY_POLICIES_MAX) {
        let shown: String = name.chars().take(NAME_CHARS_MAX).collect();
        let path = format!("{NAME}.{shown}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.bytes().all(plain) {
            let message =
                format!("a policy's name has 1 to {NAME_CHARS_MAX} letters, digits, `_`, `-`");
            problems.add(path, codes::BAD_ID, message);
        } else if let Some(own) = Fields::of(value, &path, &RETRY_FIELDS, problems) {
            policies.insert(name.clone(), own_retry(&own, problems));
        }
    }
    policies
}

fn own_retry(fields: &Fields<'_>, problems: &mut Problems) -> OwnRetry {
    let read = OwnRetry {
        max_attempts: attempts(fields, problems),
        backoff: fields.word("backoff", &BACKOFFS, problems),
        initial: limit(fields, "initial", (0, RETRY_INITIAL_MS_MAX), problems),
        max: limit(fields, "max", (0, RETRY_WAIT_MS_MAX), problems),
        multiplier: multiplier(fields, problems),
        jitter: fields.boolean("jitter", problems),
        on: conditions(fields, "on", problems),
        never: conditions(fields, "never", problems),
    };
    if let (Some(initial), Some(max)) = (&read.initial, &read.max)
        && let (Some(initial_ms), Some(max_ms)) = (initial.ms, max.ms)
        && initial_ms > max_ms
    {
        let message = format!("`max` ({}) is shorter than `initial` ({})", max.text, initial.text);
        problems.add(fields.at("max"), codes::BAD_VALUE, message);
    }
    read
}

fn conditions(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Vec<RetryCondition> {
    let given = fields.list(name, CONDITIONS_MAX, problems);
    if given.is_empty() && fields.get(name).is_some_and(|own| own == &json!([])) {
        let message = format!("`{name}` is empty; leave it out");
        problems.add(fields.at(name), codes::BAD_VALUE, message);
    }
    let mut read = Vec::with_capacity(given.len());
    for (at, own) in given.iter().enumerate() {
        let path = fields.at(&format!("{name}[{at}]"));
        let text = match own {
            Value::String(text) => text.clone(),
            Value::Number(status) => status.to_string(),
            other => {
                let message = format!("a text or a status is expected, not {}", type_of(other));
                problems.add(path, codes::WRONG_TYPE, message);
                continue;
            }
        };
        match RetryCondition::parse(&text) {
            Ok(condition) => read.push(condition),
            Err(why) => problems.add(path, codes::BAD_VALUE, why),
        }
    }
    read
}

fn attempts(fields: &Fields<'_>, problems: &mut Problems) -> Option<Count> {
    let value = fields.get("max_attempts")?;
    if value.as_str().is_some_and(has_template) {
        let text = fields.text("max_attempts", TEMPLATE_BYTES_MAX, problems);
        return text.map(Count::Template);
    }
    if !value.is_number() {
        fields.wrong_type("max_attempts", "a whole number", value, problems);
        return None;
    }
    let attempts = value.as_u64().and_then(|attempts| u16::try_from(attempts).ok());
    let attempts = attempts.filter(|attempts| (1..=ATTEMPTS_MAX).contains(attempts));
    if attempts.is_none() {
        let message =
            format!("`max_attempts` is a whole number from 1 to {ATTEMPTS_MAX}, not {value}");
        problems.add(fields.at("max_attempts"), codes::OUT_OF_RANGE, message);
    }
    attempts.map(Count::Number)
}

fn multiplier(fields: &Fields<'_>, problems: &mut Problems) -> Option<f64> {
    let value = fields.get("multiplier")?;
    let Some(multiplier) = value.as_f64() else {
        fields.wrong_type("multiplier", "a number", value, problems);
        return None;
    };
    if !(1.0..=MULTIPLIER_MAX).contains(&multiplier) {
        let message = format!("`multiplier` is between 1 and {MULTIPLIER_MAX}, not {value}");
        problems.add(fields.at("multiplier"), codes::OUT_OF_RANGE, message);
        return None;
    }
    Some(multiplier)
}
