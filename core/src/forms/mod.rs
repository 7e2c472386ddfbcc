//! The forms that definitions are written in: the canonical one and those of four documents.
//!
//! A form is told by its keys and translated into the canonical form, with warnings for what is
//! not in force yet; problems name places of the document as it was submitted. Pure: a JSON
//! value in, a compiled definition out. Knows nothing of where texts come from or are kept.

mod canonical;
mod draft;
mod ecosystem;
#[cfg(test)]
mod law_tests;
mod names;
mod omnihub;
mod omnihub_router;
mod omnihub_undo;
mod parts;
mod schema;
mod swarmguard;
mod table;
#[cfg(test)]
mod tests;
mod unified;
mod unified_tasks;

use serde_json::{Map, Value};

use crate::definition::problem::{Problem, Problems, codes};
use crate::definition::{DEFINITION_BYTES_MAX, WORKFLOW_ID_CHARS_MAX};
use crate::plan::{Plan, TaskKind, TaskTypes};
use draft::Draft;
pub use ecosystem::slug;
use table::Table;

/// The form of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Our own: `steps`.
    Canonical,
    /// Document 000: `tasks` with `task_type`.
    Unified,
    /// Document 001: `workflow`, or a bare `router`.
    Omnihub,
    /// Document 002: `actions`.
    Ecosystem,
    /// Document 003: `tasks` with `type`.
    Swarmguard,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] =
        [Self::Canonical, Self::Unified, Self::Omnihub, Self::Ecosystem, Self::Swarmguard];

    /// Its word in answers and paths.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Unified => "unified",
            Self::Omnihub => "omnihub",
            Self::Ecosystem => "ecosystem",
            Self::Swarmguard => "swarmguard",
        }
    }

    /// The form of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.word() == word)
    }

    /// The form's JSON Schema, draft 2020-12.
    #[must_use]
    pub fn schema(self) -> Value {
        schema::of(self)
    }

    fn table(self) -> &'static Table {
        match self {
            Self::Canonical => &canonical::DOCUMENT,
            Self::Unified => &unified::DOCUMENT,
            Self::Omnihub => &omnihub::DOCUMENT,
            Self::Ecosystem => &ecosystem::DOCUMENT,
            Self::Swarmguard => &swarmguard::DOCUMENT,
        }
    }

    fn translate(
        self,
        fields: &Map<String, Value>,
        types: &dyn TaskTypes,
        draft: &mut Draft,
    ) -> Map<String, Value> {
        match self {
            Self::Canonical => fields.clone(),
            Self::Unified => unified::translate(fields, draft),
            Self::Omnihub => omnihub::translate(fields, types, draft),
            Self::Ecosystem => ecosystem::translate(fields, draft),
            Self::Swarmguard => swarmguard::translate(fields, draft),
        }
    }

    /// Tells the form of a definition by its keys. What has the keys of none is canonical.
    ///
    /// # Errors
    /// `AMBIGUOUS_FORM` for the keys of two, and when nothing says which tasks are meant.
    pub fn detect(value: &Value) -> Result<Self, Problem> {
        let Value::Object(fields) = value else { return Ok(Self::Canonical) };
        let marks = [
            ("steps", Self::Canonical),
            ("tasks", Self::Unified),
            ("workflow", Self::Omnihub),
            ("router", Self::Omnihub),
            ("actions", Self::Ecosystem),
        ];
        let given = marks.iter().filter(|(key, _)| fields.contains_key(*key));
        let given: Vec<&(&str, Self)> = given.collect();
        let Some(&&(first, form)) = given.first() else { return Ok(Self::Canonical) };
        if let Some((other, _)) = given.iter().find(|(_, other)| *other != form) {
            let message = format!("`{first}` and `{other}` belong to two forms; write one of them");
            return Err(ambiguous(other, message));
        }
        match &fields.get("tasks") {
            Some(tasks) => Self::of_tasks(tasks),
            None => Ok(form),
        }
    }

    fn of_tasks(tasks: &Value) -> Result<Self, Problem> {
        let tasks = tasks.as_array().map_or(&[][..], Vec::as_slice);
        let with = |key: &str| tasks.iter().position(|task| task.get(key).is_some());
        match (with("task_type"), with("type")) {
            (Some(_), None) => Ok(Self::Unified),
            (None, Some(_)) => Ok(Self::Swarmguard),
            (Some(_), Some(at)) => {
                let message = "`task_type` and `type` belong to two forms; write one of them";
                Err(ambiguous(&format!("tasks[{at}].type"), message.to_owned()))
            }
            (None, None) => {
                let message = "tasks have a `task_type` (form `unified`) or a `type` \
                               (form `swarmguard`); there is neither";
                Err(ambiguous("tasks", message.to_owned()))
            }
        }
    }
}

fn ambiguous(path: &str, message: String) -> Problem {
    Problem { path: path.to_owned(), code: codes::AMBIGUOUS_FORM, message }
}

/// A definition of any form, ready to run.
#[derive(Debug)]
pub struct Compiled {
    /// The form it was written in.
    pub form: Form,
    /// Ready to run.
    pub plan: Plan,
    /// The canonical JSON.
    pub text: String,
    /// What is kept and does nothing yet, what nothing performs here, and the like.
    pub warnings: Vec<Problem>,
    /// Whether its id was made from its name, so that other content has another.
    pub is_id_made: bool,
}

/// Reads a definition of any form and compiles it.
///
/// # Errors
/// Every problem, at its place in the definition as it is given.
pub fn compile(value: &Value, types: &dyn TaskTypes) -> Result<Compiled, Vec<Problem>> {
    compile_numbered(value, types, 1)
}

/// The same, for the n-th content whose id was made from one name: from the second on the id
/// ends in `-n`.
///
/// # Errors
/// Every problem, at its place in the definition as it is given.
pub fn compile_numbered(
    value: &Value,
    types: &dyn TaskTypes,
    number: u32,
) -> Result<Compiled, Vec<Problem>> {
    let form = Form::detect(value).map_err(|problem| vec![problem])?;
    let mut draft = Draft::default();
    let mut is_id_made = false;
    let canonical = match (form, value) {
        (Form::Canonical, _) | (_, Value::Null) => value.clone(),
        (form, value) => {
            form.table().check(value, "", &mut draft);
            let none = Map::new();
            let fields = value.as_object().unwrap_or(&none);
            let mut made = form.translate(fields, types, &mut draft);
            is_id_made = form == Form::Ecosystem && !fields.contains_key("id");
            if let (true, true, Some(Value::String(id))) =
                (is_id_made, number > 1, made.get_mut("id"))
            {
                let ending = format!("-{number}");
                id.truncate(WORKFLOW_ID_CHARS_MAX - ending.len());
                id.push_str(&ending);
            }
            Value::Object(made)
        }
    };
    let (definition, plan) = match Plan::read(&canonical, types) {
        Ok(read) if draft.problems.is_empty() => read,
        Ok(_) => return Err(draft.all(Vec::new(), value)),
        Err(problems) => return Err(draft.all(problems, value)),
    };
    let text = definition.canonical_text();
    if text.len() > DEFINITION_BYTES_MAX {
        let message = format!("{} bytes as JSON; at most {DEFINITION_BYTES_MAX}", text.len());
        return Err(vec![Problem { path: String::new(), code: codes::OUT_OF_RANGE, message }]);
    }
    let mut warnings = std::mem::take(&mut draft.warnings);
    warn_of_types(&plan, types, &draft, &mut warnings);
    Ok(Compiled { form, plan, text, warnings: warnings.into_list(), is_id_made })
}

/// Warns of steps that nothing performs here.
fn warn_of_types(plan: &Plan, types: &dyn TaskTypes, draft: &Draft, warnings: &mut Problems) {
    let mut warn = |path: String, task_type: &str| {
        if types.effectful().contains(&task_type) || types.has_adapter(task_type) {
            return;
        }
        let message = format!(
            "nothing performs `{task_type}` here yet; a run that comes to it fails with \
             TASK_EXECUTOR_NOT_FOUND"
        );
        let problem = Problem { path, code: codes::UNKNOWN_TASK_TYPE, message };
        let is_listed = !warnings.is_full();
        warnings.push(if is_listed { draft.at_source(problem) } else { problem });
    };
    for (at, step) in plan.steps.iter().enumerate() {
        if let TaskKind::Effect(task_type) = &step.task {
            warn(format!("steps[{at}].type"), task_type);
        }
        if let Some(undo) = step.undo.as_ref().filter(|undo| !undo.rolls_back()) {
            warn(format!("steps[{at}].undo.type"), &undo.task_type);
            if let Some(check) = &undo.check {
                warn(format!("steps[{at}].check.type"), &check.task_type);
            }
        }
    }
}
