//! Reading a policy, with every problem and its place, and writing it again.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{KEEP_COUNT_MAX, Policy, RULE_TEXT_BYTES_MAX, RULES_MAX, Rule};
use crate::definition::problem::{Problem, codes};
use crate::partition::POLICY_BYTES_MAX;
use crate::summary::RunStatus;
use crate::time::parse_duration_ms;

const RULE_FIELDS: [&str; 6] = ["name", "status", "workflow", "tag", "keep_for", "keep_count"];

impl Policy {
    /// Reads a policy as a person writes it.
    ///
    /// # Errors
    /// Every problem, with its place.
    pub fn read(value: &Value) -> Result<Self, Vec<Problem>> {
        let mut read = Read::default();
        let policy = read.policy(value);
        if policy.to_text().len() > POLICY_BYTES_MAX {
            let message = format!("a policy has at most {POLICY_BYTES_MAX} bytes");
            read.wrong(String::new(), codes::OUT_OF_RANGE, message);
        }
        if read.problems.is_empty() { Ok(policy) } else { Err(read.problems) }
    }

    /// Reads a policy's text.
    ///
    /// # Errors
    /// Every problem, with its place.
    pub fn read_text(text: &str) -> Result<Self, Vec<Problem>> {
        let value = serde_json::from_str(text).map_err(|error| {
            let message = format!("is not JSON: {error}");
            vec![Problem { path: String::new(), code: codes::BAD_SYNTAX, message }]
        })?;
        Self::read(&value)
    }

    /// The policy as it is read.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "rules": self.rules.iter().map(rule_json).collect::<Vec<_>>() })
    }

    /// The same as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.to_json().to_string()
    }
}

fn rule_json(rule: &Rule) -> Value {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), json!(rule.name));
    if !rule.status.is_empty() {
        let words: Vec<_> = rule.status.iter().map(|status| status.word()).collect();
        fields.insert("status".to_owned(), json!(words));
    }
    if let Some(workflow) = &rule.workflow {
        fields.insert("workflow".to_owned(), json!(workflow));
    }
    if let Some(tag) = &rule.tag {
        fields.insert("tag".to_owned(), json!(tag));
    }
    if let Some(keep_for_ms) = rule.keep_for_ms {
        fields.insert("keep_for".to_owned(), json!(duration_word(keep_for_ms)));
    }
    if let Some(count) = rule.keep_count {
        fields.insert("keep_count".to_owned(), json!(count));
    }
    Value::Object(fields)
}

/// Milliseconds in the largest unit that fits.
fn duration_word(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let fits = units.iter().find(|(_, unit_ms)| ms > 0 && ms.is_multiple_of(*unit_ms));
    fits.map_or_else(|| format!("{ms}ms"), |(word, unit_ms)| format!("{}{word}", ms / unit_ms))
}

#[derive(Default)]
struct Read {
    problems: Vec<Problem>,
}

impl Read {
    fn wrong(&mut self, path: String, code: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { path, code, message: message.into() });
    }

    fn policy(&mut self, value: &Value) -> Policy {
        let Value::Object(fields) = value else {
            self.wrong(String::new(), codes::WRONG_TYPE, "a policy is an object with `rules`");
            return Policy::default();
        };
        for name in fields.keys().filter(|name| *name != "rules") {
            self.wrong(name.clone(), codes::UNKNOWN_FIELD, "a policy has `rules` and nothing else");
        }
        let rules = match fields.get("rules") {
            None | Some(Value::Null) => &Vec::new(),
            Some(Value::Array(rules)) if rules.len() > RULES_MAX => {
                let message = format!("at most {RULES_MAX} rules are taken");
                self.wrong("rules".to_owned(), codes::OUT_OF_RANGE, message);
                return Policy::default();
            }
            Some(Value::Array(rules)) => rules,
            Some(_) => {
                self.wrong("rules".to_owned(), codes::WRONG_TYPE, "must be a list");
                return Policy::default();
            }
        };
        let mut names = BTreeSet::new();
        let mut read = Vec::with_capacity(rules.len());
        for (at, rule) in rules.iter().enumerate() {
            let path = format!("rules[{at}]");
            let rule = self.rule(&path, rule);
            if !rule.name.is_empty() && !names.insert(rule.name.clone()) {
                let message = format!("`{}` is the name of an earlier rule", rule.name);
                self.wrong(format!("{path}.name"), codes::DUPLICATE_ID, message);
            }
            read.push(rule);
        }
        Policy { rules: read }
    }

    fn rule(&mut self, path: &str, value: &Value) -> Rule {
        let empty = Map::new();
        let fields = value.as_object().unwrap_or(&empty);
        if !value.is_object() {
            self.wrong(path.to_owned(), codes::WRONG_TYPE, "a rule is an object");
        }
        for name in fields.keys().filter(|name| !RULE_FIELDS.contains(&name.as_str())) {
            let message = format!("a rule has {}", RULE_FIELDS.join(", "));
            self.wrong(format!("{path}.{name}"), codes::UNKNOWN_FIELD, message);
        }
        let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
        Rule {
            name: self.name(&format!("{path}.name"), field("name")),
            status: self.status(&format!("{path}.status"), field("status")),
            workflow: self.workflow(&format!("{path}.workflow"), field("workflow")),
            tag: field("tag").and_then(|value| self.text(&format!("{path}.tag"), value)),
            keep_for_ms: self.keep_for(&format!("{path}.keep_for"), field("keep_for")),
            keep_count: self.keep_count(&format!("{path}.keep_count"), field("keep_count")),
        }
    }

    fn text(&mut self, path: &str, value: &Value) -> Option<String> {
        let fits = |text: &&str| {
            (1..=RULE_TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        let text = value.as_str().filter(fits).map(str::to_owned);
        if text.is_none() {
            let message = format!("must be text of 1 to {RULE_TEXT_BYTES_MAX} bytes");
            self.wrong(path.to_owned(), codes::BAD_VALUE, message);
        }
        text
    }

    fn name(&mut self, path: &str, value: Option<&Value>) -> String {
        if let Some(value) = value {
            return self.text(path, value).unwrap_or_default();
        }
        let message = "a rule has a name: it is kept with every run that it removes";
        self.wrong(path.to_owned(), codes::MISSING_FIELD, message);
        String::new()
    }

    fn status(&mut self, path: &str, value: Option<&Value>) -> Vec<RunStatus> {
        let words = match value {
            None => return Vec::new(),
            Some(Value::Array(words)) => words.iter().collect(),
            Some(word) => vec![word],
        };
        let mut found = Vec::new();
        for (at, word) in words.into_iter().enumerate() {
            let status = word.as_str().and_then(RunStatus::of_word);
            match status.filter(|status| status.is_ended()) {
                Some(status) => found.push(status),
                None => {
                    let ended = RunStatus::ALL.into_iter().filter(|status| status.is_ended());
                    let words: Vec<_> = ended.map(RunStatus::word).collect();
                    let message = format!("must be a final status: {}", words.join(", "));
                    self.wrong(format!("{path}[{at}]"), codes::BAD_VALUE, message);
                }
            }
        }
        found
    }

    fn workflow(&mut self, path: &str, value: Option<&Value>) -> Option<String> {
        let text = self.text(path, value?)?;
        if text.trim_end_matches('*').contains('*') || text.ends_with("**") {
            let message = "`*` stands for any rest, at the end only";
            self.wrong(path.to_owned(), codes::BAD_VALUE, message);
        }
        Some(text)
    }

    fn keep_for(&mut self, path: &str, value: Option<&Value>) -> Option<u64> {
        let read = value?
            .as_str()
            .map_or_else(|| Err("must be a duration such as `30d`".to_owned()), parse_duration_ms);
        read.map_err(|why| self.wrong(path.to_owned(), codes::BAD_DURATION, why)).ok()
    }

    fn keep_count(&mut self, path: &str, value: Option<&Value>) -> Option<u64> {
        let count = value?.as_u64().filter(|count| *count <= KEEP_COUNT_MAX);
        if count.is_none() {
            let message = format!("must be a whole number from 0 to {KEEP_COUNT_MAX}");
            self.wrong(path.to_owned(), codes::OUT_OF_RANGE, message);
        }
        count
    }
}
