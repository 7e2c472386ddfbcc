//! What operators want to be told of: alert channels and alert rules, as objects of configuration
//! say them.
//!
//! Knows nothing of where objects are kept, and of how anybody is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::definition::problem::{Problem, Problems, codes};
use crate::definition::read_fields::Fields;
use crate::definition::{DESCRIPTION_CHARS_MAX, RECEIVER_FIELDS, Receiver, Secrets, read_receiver};
use crate::event::{Alert, AlertOf, CallbackEvent, ObjectKind, Severity};
use crate::objects::Objects;
use crate::pattern::is_like;

/// The most alerts that are pinned to one run: rules go by their names.
pub const ALERTS_PER_RUN_MAX: usize = 8;
/// The largest channel, as JSON: what is pinned to a run is bounded.
pub const CHANNEL_BYTES_MAX: usize = 2 * 1024;
/// The most patterns, tags and channels of one rule.
pub const RULE_ITEMS_MAX: usize = 16;
/// The longest of them.
const ITEM_CHARS_MAX: usize = 128;

/// What a run can raise, by the words of rules.
pub const CAUSES: [(&str, CallbackEvent); 5] = [
    ("run_failed", CallbackEvent::Failed),
    ("compensation_failed", CallbackEvent::CompensationFailed),
    ("dead_letter", CallbackEvent::StepDeadLettered),
    ("sla_breached", CallbackEvent::SlaBreached),
    ("step_waiting", CallbackEvent::StepWaiting),
];

/// When there is an alert, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What raises it.
    pub on: Vec<CallbackEvent>,
    /// Patterns of workflows' ids; every workflow if empty.
    pub workflows: Vec<String>,
    /// Runs that have one of these; every run if empty.
    pub tags: Vec<String>,
    /// How much it matters.
    pub severity: Option<Severity>,
    /// Who is told, by name.
    pub channels: Vec<String>,
}

/// Reads an alert channel.
///
/// # Errors
/// Every problem.
pub fn channel(content: &Value) -> Result<Receiver, Vec<Problem>> {
    let mut problems = Problems::default();
    let known: Vec<_> = RECEIVER_FIELDS.into_iter().chain(["description"]).collect();
    let fields = Fields::of(content, "", &known, &mut problems);
    let receiver = fields.and_then(|fields| {
        fields.text("description", DESCRIPTION_CHARS_MAX, &mut problems);
        read_receiver(&fields, Secrets::Taken, &mut problems)
    });
    let bytes = content.to_string().len();
    if bytes > CHANNEL_BYTES_MAX {
        let message = format!("a channel has at most {CHANNEL_BYTES_MAX} bytes, not {bytes}");
        problems.add("", codes::OUT_OF_RANGE, message);
    }
    finished(receiver, problems)
}

/// Reads an alert rule.
///
/// # Errors
/// Every problem.
pub fn rule(content: &Value) -> Result<Rule, Vec<Problem>> {
    let mut problems = Problems::default();
    let known = ["on", "workflows", "tags", "severity", "channels", "description"];
    let fields = Fields::of(content, "", &known, &mut problems);
    let rule = fields.map(|fields| {
        fields.text("description", DESCRIPTION_CHARS_MAX, &mut problems);
        fields.required("on", &mut problems);
        fields.required("channels", &mut problems);
        let channels = texts(&fields, "channels", &mut problems);
        if fields.get("channels").is_some_and(|own| own.as_array().is_some_and(Vec::is_empty)) {
            problems.add("channels", codes::BAD_VALUE, "`channels` names at least one channel");
        }
        Rule {
            on: causes(&fields, &mut problems),
            workflows: texts(&fields, "workflows", &mut problems),
            tags: texts(&fields, "tags", &mut problems),
            severity: fields.word("severity", &Severity::WORDS, &mut problems),
            channels,
        }
    });
    finished(rule, problems)
}

fn finished<T>(read: Option<T>, problems: Problems) -> Result<T, Vec<Problem>> {
    let problems = problems.into_list();
    read.filter(|_| problems.is_empty()).ok_or(problems)
}

/// A word or a list of them.
fn causes(fields: &Fields<'_>, problems: &mut Problems) -> Vec<CallbackEvent> {
    let Some(Value::Array(given)) = fields.get("on") else {
        return fields.word("on", &CAUSES, problems).into_iter().collect();
    };
    if given.is_empty() {
        problems.add(fields.at("on"), codes::BAD_VALUE, "`on` names at least one cause");
    }
    let mut found = Vec::new();
    for (at, value) in given.iter().enumerate() {
        match CAUSES.iter().find(|(word, _)| value == word) {
            Some((_, event)) if !found.contains(event) => found.push(*event),
            known => {
                let words: Vec<_> = CAUSES.iter().map(|(word, _)| *word).collect();
                let message = match known {
                    Some((word, _)) => format!("`{word}` is there twice"),
                    None => format!("a cause is one of {}", words.join(", ")),
                };
                problems.add(fields.at(&format!("on[{at}]")), codes::BAD_VALUE, message);
            }
        }
    }
    found
}

fn texts(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Vec<String> {
    let given = fields.list(name, RULE_ITEMS_MAX, problems);
    let mut found = Vec::new();
    for (at, value) in given.iter().enumerate() {
        let text = value.as_str().filter(|text| (1..=ITEM_CHARS_MAX).contains(&text.len()));
        match text {
            Some(text) => found.push(text.to_owned()),
            None => {
                let message = format!("a text of 1 to {ITEM_CHARS_MAX} bytes is expected");
                problems.add(fields.at(&format!("{name}[{at}]")), codes::BAD_VALUE, message);
            }
        }
    }
    found
}

impl Rule {
    /// Whether runs of a workflow with such tags are meant.
    #[must_use]
    pub fn applies(&self, workflow: &str, tags: &[Arc<str>]) -> bool {
        let of_tags = || self.tags.iter().any(|own| tags.iter().any(|tag| **tag == **own));
        let of_workflows = || self.workflows.iter().any(|own| is_like(own, workflow));
        (self.workflows.is_empty() || of_workflows()) && (self.tags.is_empty() || of_tags())
    }
}

/// The alert rules of all tenants, ready to be asked.
#[derive(Debug, Default)]
pub struct InForce(BTreeMap<Arc<str>, Vec<(Rule, Vec<Alert>)>>);

impl InForce {
    /// What objects of configuration say. Channels that are not there tell nobody.
    #[must_use]
    pub fn of(objects: &Objects) -> Self {
        let mut known = Self::default();
        for ((namespace, kind, name), object) in objects {
            if *kind != ObjectKind::AlertRule {
                continue;
            }
            let Ok(rule) = rule(&object.content) else { continue };
            let channel_called = |name: &String| {
                let id = (namespace.clone(), ObjectKind::AlertChannel, name.as_str().into());
                channel(&objects.get(&id)?.content).ok()
            };
            let alert = |channel: &String| {
                let Receiver { url, form } = channel_called(channel)?;
                let (rule_name, channel) = (name.to_string(), channel.clone());
                let of = AlertOf { rule: rule_name, channel, severity: rule.severity };
                Some(Alert { of, events: rule.on.clone(), url, form })
            };
            let alerts = rule.channels.iter().filter_map(alert).collect();
            known.0.entry(namespace.clone()).or_default().push((rule, alerts));
        }
        known
    }

    /// The alerts of a run that begins: of its tenant's rules, by their names.
    #[must_use]
    pub fn of_run(&self, namespace: &str, workflow: &str, tags: &[Arc<str>]) -> Vec<Alert> {
        let rules = self.0.get(namespace).into_iter().flatten();
        let wanted = rules.filter(|(rule, _)| rule.applies(workflow, tags));
        wanted.flat_map(|(_, alerts)| alerts).take(ALERTS_PER_RUN_MAX).cloned().collect()
    }
}
