//! What `is` can ask.

use serde_json::Value;

use super::meter::{Fault, Meter};
use super::operators::{self, Comparison, Numeric, kind};

/// A question `is` can ask of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    None,
    Boolean,
    Number,
    Integer,
    String,
    Sequence,
    Mapping,
    Empty,
    Odd,
    Even,
    DivisibleBy,
    StartingWith,
    EndingWith,
    Compared(Comparison),
}

impl Check {
    /// `is eq`.
    pub(crate) const SAME: Self = Self::Compared(Comparison::Equal);

    /// The names of the checks. `defined` and `undefined` are the evaluator's own.
    pub(crate) const ALL: [(&'static str, Self); 26] = [
        ("none", Self::None),
        ("null", Self::None),
        ("boolean", Self::Boolean),
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("string", Self::String),
        ("sequence", Self::Sequence),
        ("iterable", Self::Sequence),
        ("mapping", Self::Mapping),
        ("empty", Self::Empty),
        ("odd", Self::Odd),
        ("even", Self::Even),
        ("divisibleby", Self::DivisibleBy),
        ("startingwith", Self::StartingWith),
        ("endingwith", Self::EndingWith),
        ("eq", Self::Compared(Comparison::Equal)),
        ("equalto", Self::Compared(Comparison::Equal)),
        ("ne", Self::Compared(Comparison::Unequal)),
        ("lt", Self::Compared(Comparison::Less)),
        ("lessthan", Self::Compared(Comparison::Less)),
        ("le", Self::Compared(Comparison::LessOrEqual)),
        ("gt", Self::Compared(Comparison::Greater)),
        ("greaterthan", Self::Compared(Comparison::Greater)),
        ("ge", Self::Compared(Comparison::GreaterOrEqual)),
        ("in", Self::Compared(Comparison::In)),
        ("sameas", Self::Compared(Comparison::Equal)),
    ];

    /// The check of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, check)| *check)
    }

    /// Whether the check compares with a second value.
    pub(crate) fn takes_argument(self) -> bool {
        matches!(
            self,
            Self::DivisibleBy | Self::StartingWith | Self::EndingWith | Self::Compared(_)
        )
    }

    /// Asks.
    pub(crate) fn ask(
        self,
        value: &Value,
        argument: &Value,
        meter: &mut Meter,
    ) -> Result<bool, Fault> {
        Ok(match self {
            Self::None => value.is_null(),
            Self::Boolean => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Integer => matches!(Numeric::of(value), Some(Numeric::Whole(_))),
            Self::String => value.is_string(),
            Self::Sequence => value.is_array(),
            Self::Mapping => value.is_object(),
            Self::Empty => match value {
                Value::String(text) => text.is_empty(),
                Value::Array(items) => items.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                other => return Err(format!("{} is never empty", kind(other)).into()),
            },
            Self::Odd => whole(value)?.rem_euclid(2) == 1,
            Self::Even => whole(value)?.rem_euclid(2) == 0,
            Self::DivisibleBy => match whole(argument)? {
                0 => return Err("division by zero".to_owned().into()),
                by => whole(value)?.rem_euclid(by) == 0,
            },
            Self::StartingWith => text(value)?.starts_with(text(argument)?),
            Self::EndingWith => text(value)?.ends_with(text(argument)?),
            Self::Compared(comparison) => operators::compare(comparison, value, argument, meter)?,
        })
    }
}

fn whole(value: &Value) -> Result<i128, String> {
    match Numeric::of(value) {
        Some(Numeric::Whole(whole)) => Ok(whole),
        _ => Err(format!("{} is not a whole number", kind(value))),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{} is not a text", kind(value)))
}
