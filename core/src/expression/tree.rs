//! Expressions after parsing: every name resolved, every filter found.

use serde_json::Value;

use super::checks::Check;
use super::filters::Filter;
use super::operators::{Comparison, Operation};
use crate::ids::StepIndex;

/// An expression.
#[derive(Debug)]
pub(crate) enum Expression {
    /// A literal.
    Constant(Value),
    /// `input`, `variables` or `workflow`.
    Root(Root),
    /// `steps.<id>`.
    Step { step: StepIndex, id: Box<str> },
    /// A variable of a `for`, counted from the outermost.
    Local { slot: usize, name: Box<str> },
    /// `loop.<field>` of the innermost `for`.
    Loop(LoopField),
    /// `of.name`.
    Field { of: Box<Expression>, name: Box<str> },
    /// `of[key]`.
    Item { of: Box<Expression>, key: Box<Expression> },
    /// `of[from:to]`.
    Slice { of: Box<Expression>, from: Option<Box<Expression>>, to: Option<Box<Expression>> },
    /// `not of`.
    Not(Box<Expression>),
    /// `-of`.
    Negative(Box<Expression>),
    /// `a and b and c`.
    All(Vec<Expression>),
    /// `a or b or c`.
    Any(Vec<Expression>),
    /// `a ~ b ~ c`.
    Joined(Vec<Expression>),
    /// `left + right` and its like.
    Operation { operation: Operation, left: Box<Expression>, right: Box<Expression> },
    /// `left < right` and its like.
    Comparison { comparison: Comparison, left: Box<Expression>, right: Box<Expression> },
    /// `then if test else otherwise`.
    Choice { test: Box<Expression>, then: Box<Expression>, otherwise: Box<Expression> },
    /// `of|filter(...)`; absent arguments are `None`.
    Filtered { of: Box<Expression>, filter: &'static Filter, arguments: Vec<Option<Expression>> },
    /// `of|default(otherwise)`.
    Default { of: Box<Expression>, otherwise: Box<Expression> },
    /// `of is defined`, or `is not`.
    Defined { of: Box<Expression>, expected: bool },
    /// `of is check`, or `is not`.
    Checked { of: Box<Expression>, check: Check, argument: Option<Box<Expression>>, expected: bool },
    /// `[a, b]`.
    List(Vec<Expression>),
    /// `{"a": b}`.
    Object(Vec<(Expression, Expression)>),
}

/// A root that is one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Input,
    Variables,
    Workflow,
}

impl Root {
    /// The root's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Variables => "variables",
            Self::Workflow => "workflow",
        }
    }
}

/// What `loop` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopField {
    Index,
    Index0,
    First,
    Last,
    Length,
}

impl LoopField {
    /// The fields and their names.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("index", Self::Index),
        ("index0", Self::Index0),
        ("first", Self::First),
        ("last", Self::Last),
        ("length", Self::Length),
    ];
}

impl Expression {
    /// The expression as its author may have written it, for messages; `the value` where that
    /// would be long.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Root(root) => root.name().to_owned(),
            Self::Step { id, .. } if is_plain_name(id) => format!("steps.{id}"),
            Self::Step { id, .. } => format!("steps[\"{id}\"]"),
            Self::Local { name, .. } => name.to_string(),
            Self::Field { of, name } => format!("{}.{name}", of.describe()),
            Self::Item { of, key } => match &**key {
                Self::Constant(key) => format!("{}[{key}]", of.describe()),
                _ => format!("{}[...]", of.describe()),
            },
            _ => "the value".to_owned(),
        }
    }
}

fn is_plain_name(id: &str) -> bool {
    id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
