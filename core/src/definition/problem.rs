//! What is wrong with a definition, and where: every problem at once.

use std::fmt;

use serde::Serialize;

/// The most problems one answer lists; one more entry says how many were left out.
pub const PROBLEMS_MAX: usize = 100;

/// One thing wrong with a definition or an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: `steps[2].retry.max_attempts`; empty for the whole.
    pub path: String,
    /// A stable word of [`codes`].
    pub code: &'static str,
    /// What is wrong and what would be right, for a person.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            write!(f, "{} ({})", self.message, self.code)
        } else {
            write!(f, "{}: {} ({})", self.path, self.message, self.code)
        }
    }
}

/// Collects problems up to [`PROBLEMS_MAX`] and counts the rest.
#[derive(Debug, Default)]
pub struct Problems {
    listed: Vec<Problem>,
    unlisted: usize,
}

impl Problems {
    /// Notes one problem.
    pub fn add(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.push(Problem { path: path.into(), code, message: message.into() });
    }

    /// Notes one problem made elsewhere.
    pub fn push(&mut self, problem: Problem) {
        if self.is_full() {
            self.unlisted += 1;
        } else {
            self.listed.push(problem);
        }
    }

    /// Whether further problems are only counted, so that nobody needs to explain them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.listed.len() >= PROBLEMS_MAX
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The problems, the last entry telling how many more there were.
    #[must_use]
    pub fn into_list(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            self.listed.push(Problem {
                path: String::new(),
                code: codes::MORE_PROBLEMS,
                message: format!("and {} more problems", self.unlisted),
            });
        }
        self.listed
    }
}

/// The stable words of problems. One line each in `docs/writing-a-workflow.md`.
pub mod codes {
    /// The text is not JSON or YAML, or nested too deep.
    pub const BAD_SYNTAX: &str = "BAD_SYNTAX";
    /// A field nobody knows; the message names the nearest known one.
    pub const UNKNOWN_FIELD: &str = "UNKNOWN_FIELD";
    /// A required field is absent.
    pub const MISSING_FIELD: &str = "MISSING_FIELD";
    /// A value of another JSON type than the field takes.
    pub const WRONG_TYPE: &str = "WRONG_TYPE";
    /// A value of the right type that the field does not take.
    pub const BAD_VALUE: &str = "BAD_VALUE";
    /// A text that is no id.
    pub const BAD_ID: &str = "BAD_ID";
    /// An id that means something else to the engine.
    pub const RESERVED_ID: &str = "RESERVED_ID";
    /// Two steps with one id.
    pub const DUPLICATE_ID: &str = "DUPLICATE_ID";
    /// A step that does not exist; the message names the nearest one.
    pub const UNKNOWN_STEP: &str = "UNKNOWN_STEP";
    /// Steps that need each other; the message names them in order.
    pub const CYCLE: &str = "CYCLE";
    /// A definition without steps.
    pub const NO_STEPS: &str = "NO_STEPS";
    /// More steps than a definition may have.
    pub const TOO_MANY_STEPS: &str = "TOO_MANY_STEPS";
    /// A task type no executor takes; the message names the nearest one.
    pub const UNKNOWN_TASK_TYPE: &str = "UNKNOWN_TASK_TYPE";
    /// A template or condition that cannot be read or can never work.
    pub const BAD_EXPRESSION: &str = "BAD_EXPRESSION";
    /// A template or condition over a limit of `docs/expressions.md`.
    pub const EXPRESSION_LIMIT: &str = "EXPRESSION_LIMIT";
    /// A template reads a step that its own step does not need, directly or through others.
    pub const NOT_AN_ANCESTOR: &str = "NOT_AN_ANCESTOR";
    /// A text that is no duration.
    pub const BAD_DURATION: &str = "BAD_DURATION";
    /// A number, duration or list outside its bounds.
    pub const OUT_OF_RANGE: &str = "OUT_OF_RANGE";
    /// A text that is no `http` or `https` URL.
    pub const BAD_URL: &str = "BAD_URL";
    /// An `input_schema` that is no JSON Schema, or one that reaches outside itself.
    pub const BAD_SCHEMA: &str = "BAD_SCHEMA";
    /// An input that does not match the `input_schema`.
    pub const INPUT_MISMATCH: &str = "INPUT_MISMATCH";
    /// A definition with the keys of two forms, or tasks of two kinds.
    pub const AMBIGUOUS_FORM: &str = "AMBIGUOUS_FORM";
    /// A warning: a field that is kept and does nothing yet; the message says what follows.
    pub const NOT_IN_FORCE: &str = "NOT_IN_FORCE";
    /// A warning: a bare name that is no task, and so is read as a parameter of the run.
    pub const UNDECLARED_PARAMETER: &str = "UNDECLARED_PARAMETER";
    /// The list was cut.
    pub const MORE_PROBLEMS: &str = "MORE_PROBLEMS";

    /// Every code.
    pub const ALL: [&str; 25] = [
        BAD_SYNTAX,
        UNKNOWN_FIELD,
        MISSING_FIELD,
        WRONG_TYPE,
        BAD_VALUE,
        BAD_ID,
        RESERVED_ID,
        DUPLICATE_ID,
        UNKNOWN_STEP,
        CYCLE,
        NO_STEPS,
        TOO_MANY_STEPS,
        UNKNOWN_TASK_TYPE,
        BAD_EXPRESSION,
        EXPRESSION_LIMIT,
        NOT_AN_ANCESTOR,
        BAD_DURATION,
        OUT_OF_RANGE,
        BAD_URL,
        BAD_SCHEMA,
        INPUT_MISMATCH,
        AMBIGUOUS_FORM,
        NOT_IN_FORCE,
        UNDECLARED_PARAMETER,
        MORE_PROBLEMS,
    ];
}
