//! Mocks of a test: what each step and undo comes to, and whether its service can be trusted.
//!
//! The form is that of a dry run, with four words more: `idempotent`, whether a repeated call under
//! the same key changes nothing, `acts`, whether there is anything to undo behind it, and of a check
//! `took_effect` and `no_effect`, what it answers by what the books say. Steps of
//! other definitions are named `workflow:step`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::failure::{Failure, codes as failures};
use backstitch_core::payload::Payload;
use backstitch_core::rehearsal::{Answer, Reply, Script};
use backstitch_saga::rehearsals::Shell;
use serde_json::{Map, Value, json};

use super::subject::Subject;

/// What becomes of a call that nothing mocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmocked {
    /// It is answered with an empty object.
    Empty,
    /// It fails.
    Fail,
}

/// What the services under a test come to.
#[derive(Debug)]
pub(crate) struct Mocks {
    parts: Vec<Part>,
    /// Steps and undos whose service does again what it is asked for again.
    forgetful: BTreeSet<String>,
    /// What is said of whether steps act.
    acting: BTreeMap<String, bool>,
    unmocked: Unmocked,
}

/// The mocks of one definition.
#[derive(Debug)]
struct Part {
    steps: BTreeSet<String>,
    /// Types of checks, by step.
    checks: BTreeMap<String, Arc<str>>,
    script: Script,
    /// What checks answer of steps that took effect, and of those that did not.
    found: Script,
    missing: Script,
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// The step itself.
    Step,
    /// Its undo.
    Undo,
    /// Its check, and what the books say.
    Check { took_effect: bool },
}

impl Operation {
    /// Its name in a file of mocks.
    pub(super) fn name(self, step: &str) -> String {
        match self {
            Self::Step => step.to_owned(),
            Self::Undo => Script::undo_of(step),
            Self::Check { .. } => Script::check_of(step),
        }
    }
}

impl Mocks {
    /// Reads the mocks of a test.
    ///
    /// # Errors
    /// Every problem, with paths below `mocks`.
    pub(crate) fn read(
        value: &Value,
        subject: &Subject,
        unmocked: Unmocked,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut mocks = Self {
            parts: Vec::new(),
            forgetful: BTreeSet::new(),
            acting: BTreeMap::new(),
            unmocked,
        };
        let mut rest = match value {
            Value::Object(all) => all.clone(),
            Value::Null => Map::new(),
            _ => {
                let message = "must be an object of step ids".to_owned();
                return Err(vec![Problem {
                    path: "mocks".into(),
                    code: codes::WRONG_TYPE,
                    message,
                }]);
            }
        };
        for (name, own) in &mut rest {
            mocks.manners(name, own, &mut problems);
        }
        for (at, plan) in subject.plans().enumerate() {
            let prefix = if at == 0 { String::new() } else { format!("{}:", plan.workflow) };
            let mut own = taken(&mut rest, &prefix, at == 0);
            let found = answers(&mut own, "took_effect");
            let missing = answers(&mut own, "no_effect");
            let mut read = |own| {
                let script = Script::read(&Value::Object(own), plan, &Shell);
                script.unwrap_or_else(|wrong| {
                    problems.extend(wrong.into_iter().map(|own| below(own, &prefix)));
                    Script::default()
                })
            };
            let (script, found, missing) = (read(own), read(found), read(missing));
            let steps = plan.steps.iter().map(|own| own.id.to_string()).collect();
            let checks = plan
                .steps
                .iter()
                .filter_map(|own| Some((own.id.to_string(), own.check()?.task_type.clone())));
            let checks = checks.collect();
            mocks.parts.push(Part { steps, checks, script, found, missing });
        }
        problems.extend(rest.keys().map(|name| {
            let message =
                "names a step of a workflow that is not tested; name its file by `--also`";
            let path = format!("mocks.{}", name.chars().take(64).collect::<String>());
            Problem { path, code: codes::UNKNOWN_STEP, message: message.to_owned() }
        }));
        if problems.is_empty() { Ok(mocks) } else { Err(problems) }
    }

    /// Takes the words that a dry run does not know.
    fn manners(&mut self, name: &str, own: &mut Value, problems: &mut Vec<Problem>) {
        let Value::Object(fields) = own else { return };
        for word in ["idempotent", "acts"] {
            let path = format!("mocks.{name}.{word}");
            match fields.remove(word) {
                None => {}
                Some(Value::Bool(_)) if word == "acts" && name.contains('/') => {
                    let message = "belongs to the step, not to its undo or its check".to_owned();
                    problems.push(Problem { path, code: codes::BAD_VALUE, message });
                }
                Some(Value::Bool(acts)) if word == "acts" => {
                    self.acting.insert(name.to_owned(), acts);
                }
                Some(Value::Bool(true)) => {}
                Some(Value::Bool(false)) => {
                    self.forgetful.insert(bare(name).to_owned());
                }
                Some(_) => {
                    let message = "must be true or false".to_owned();
                    problems.push(Problem { path, code: codes::WRONG_TYPE, message });
                }
            }
        }
    }

    /// Whether a repeated call under the same key changes nothing.
    pub(super) fn is_idempotent(&self, name: &str) -> bool {
        !self.forgetful.contains(name)
    }

    /// What is said of whether a step acts; `at` is its workflow, if it is not the one that is
    /// run.
    pub(super) fn acts(&self, at: Option<&str>, step: &str) -> Option<bool> {
        let name = at.map_or_else(|| step.to_owned(), |at| format!("{at}:{step}"));
        self.acting.get(&name).copied()
    }

    /// What the signal carries that a step waits for; nothing if none comes.
    pub(super) fn signal(&self, step: &str) -> Option<Value> {
        match self.answer(step, Operation::Step, 1, &Payload::null()).reply {
            Reply::Output(output) => Some(output.value()),
            Reply::Failure(_) | Reply::TimedOut | Reply::Lost => None,
        }
    }

    /// What an attempt comes to.
    pub(super) fn answer(
        &self,
        step: &str,
        operation: Operation,
        attempt: u16,
        input: &Payload,
    ) -> Answer {
        let name = operation.name(step);
        let part = self.parts.iter().find(|part| part.steps.contains(step));
        let said = part.and_then(|part| part.answer(operation, step, attempt, input));
        said.unwrap_or_else(|| {
            Answer::at_once(match self.unmocked {
                Unmocked::Empty => Reply::Output(Payload::of(&json!({}))),
                Unmocked::Fail => {
                    let message = format!("no mock says what `{name}` comes to");
                    Reply::Failure(Failure::permanent(failures::NOT_MOCKED, message))
                }
            })
        })
    }
}

impl Part {
    /// What an attempt comes to, as far as anything is said of it. A check by HTTP of which
    /// nothing is said tells by its status what the books say.
    fn answer(
        &self,
        operation: Operation,
        step: &str,
        attempt: u16,
        input: &Payload,
    ) -> Option<Answer> {
        let name = operation.name(step);
        let Operation::Check { took_effect } = operation else {
            return self.script.answer(&name, attempt, input).cloned();
        };
        let (own, status) = if took_effect { (&self.found, 200) } else { (&self.missing, 404) };
        let said = own.answer(&name, attempt, input);
        let said = said.or_else(|| self.script.answer(&name, attempt, input));
        said.cloned().or_else(|| {
            self.checks.get(step).filter(|own| &***own == "http")?;
            let answer = json!({ "status": status, "headers": {}, "body": null });
            Some(Answer::at_once(Reply::Output(Payload::of(&answer))))
        })
    }
}

/// What mocks of checks have under one of the words that only they have; a mock of which nothing
/// else is left says no more.
fn answers(own: &mut Map<String, Value>, word: &str) -> Map<String, Value> {
    let mut found = Map::new();
    for (name, mock) in own.iter_mut().filter(|(name, _)| name.ends_with("/check")) {
        let Some(fields) = mock.as_object_mut() else { continue };
        found.extend(fields.remove(word).map(|answer| (name.clone(), answer)));
    }
    let empty = |mock: &Value| mock.as_object().is_some_and(Map::is_empty);
    own.retain(|name, mock| !(found.contains_key(name) && empty(mock)));
    found
}

/// A name without its workflow.
fn bare(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, bare)| bare)
}

/// The mocks whose names begin so, without that beginning.
fn taken(rest: &mut Map<String, Value>, prefix: &str, is_own: bool) -> Map<String, Value> {
    let named = |name: &String| match is_own {
        true => !name.contains(':'),
        false => name.starts_with(prefix),
    };
    let names: Vec<_> = rest.keys().filter(|name| named(name)).cloned().collect();
    let mut own = Map::new();
    for name in names {
        let value = rest.remove(&name).unwrap_or_default();
        own.insert(name[prefix.len()..].to_owned(), value);
    }
    own
}

/// A problem of one definition's mocks, at its place in the file.
fn below(problem: Problem, prefix: &str) -> Problem {
    let path = problem.path.replacen("mocks.", &format!("mocks.{prefix}"), 1);
    Problem { path, ..problem }
}
