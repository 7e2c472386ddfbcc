//! Operators over JSON values: arithmetic, comparison, membership, truth.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::meter::{Fault, Meter};

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Plus,
    Minus,
    Times,
    Divided,
    DividedDown,
    Remainder,
}

impl Operation {
    fn sign(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divided => "/",
            Self::DividedDown => "//",
            Self::Remainder => "%",
        }
    }
}

/// A comparing operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

/// A number as arithmetic sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Numeric {
    Whole(i128),
    Fraction(f64),
}

impl Numeric {
    /// The number of a value, if it is one.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(Self::Whole).or_else(|| number.as_f64().map(Self::Fraction))
    }

    /// As a fraction, rounded to the nearest there is.
    pub(crate) fn fraction(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Fraction(fraction) => fraction,
        }
    }

    /// As a JSON number.
    pub(crate) fn value(self) -> Result<Value, String> {
        let number = match self {
            Self::Whole(whole) => i64::try_from(whole)
                .map(Number::from)
                .or_else(|_| u64::try_from(whole).map(Number::from))
                .ok(),
            Self::Fraction(fraction) => Number::from_f64(fraction),
        };
        number.map(Value::Number).ok_or_else(|| "the number is too large".to_owned())
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Some(left.cmp(&right)),
            _ => self.fraction().partial_cmp(&other.fraction()),
        }
    }
}

/// A value's kind, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value in the middle of a text: texts as they are, everything else as JSON.
pub(crate) fn as_text(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

/// Whether a value counts as true for `and`, `or`, `not`, `if`.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Arithmetic on numbers; `+` also joins texts and lists.
pub(crate) fn operate(
    operation: Operation,
    left: &Value,
    right: &Value,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    if operation == Operation::Plus {
        match (left, right) {
            (Value::String(left), Value::String(right)) => {
                meter.pay_bytes(left.len() + right.len())?;
                return Ok(Value::String(format!("{left}{right}")));
            }
            (Value::Array(first), Value::Array(second)) => {
                meter.pay_walk(left)?;
                meter.pay_walk(right)?;
                return Ok(first.iter().chain(second).cloned().collect());
            }
            _ => {}
        }
    }
    let (Some(a), Some(b)) = (Numeric::of(left), Numeric::of(right)) else {
        let hint = if operation == Operation::Plus { "; `~` joins texts" } else { "" };
        return Err(Fault::Failed(format!(
            "`{}` cannot be applied to {} and {}{hint}",
            operation.sign(),
            kind(left),
            kind(right)
        )));
    };
    Ok(arithmetic(operation, a, b)?.value()?)
}

fn arithmetic(operation: Operation, left: Numeric, right: Numeric) -> Result<Numeric, String> {
    let (a, b) = (left.fraction(), right.fraction());
    let divides =
        matches!(operation, Operation::Divided | Operation::DividedDown | Operation::Remainder);
    if divides && b == 0.0 {
        return Err("division by zero".to_owned());
    }
    if let (Numeric::Whole(left), Numeric::Whole(right)) = (left, right)
        && operation != Operation::Divided
    {
        // Operands have at most 64 bits, so no result leaves 128.
        let floor = left.div_euclid(right.max(1));
        return Ok(Numeric::Whole(match operation {
            Operation::Plus => left + right,
            Operation::Minus => left - right,
            Operation::Times => left * right,
            Operation::DividedDown if right > 0 => floor,
            Operation::DividedDown => (-left).div_euclid(-right),
            _ if right > 0 => left - floor * right,
            _ => left - (-left).div_euclid(-right) * right,
        }));
    }
    Ok(Numeric::Fraction(match operation {
        Operation::Plus => a + b,
        Operation::Minus => a - b,
        Operation::Times => a * b,
        Operation::Divided => a / b,
        Operation::DividedDown => (a / b).floor(),
        Operation::Remainder => a - (a / b).floor() * b,
    }))
}

/// Compares two values.
pub(crate) fn compare(
    comparison: Comparison,
    left: &Value,
    right: &Value,
    meter: &mut Meter,
) -> Result<bool, Fault> {
    Ok(match comparison {
        Comparison::Equal => equal(left, right, meter)?,
        Comparison::Unequal => !equal(left, right, meter)?,
        Comparison::Less => order(left, right, meter)? == Ordering::Less,
        Comparison::LessOrEqual => order(left, right, meter)? != Ordering::Greater,
        Comparison::Greater => order(left, right, meter)? == Ordering::Greater,
        Comparison::GreaterOrEqual => order(left, right, meter)? != Ordering::Less,
        Comparison::In => contains(right, left, meter)?,
        Comparison::NotIn => !contains(right, left, meter)?,
    })
}

/// Deep equality; numbers by value, so that 1 equals 1.0.
pub(crate) fn equal(left: &Value, right: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => {
            meter.pay(1)?;
            let (left, right) = (Numeric::of(left), Numeric::of(right));
            Ok(left.zip(right).and_then(|(a, b)| a.compare(b)) == Some(Ordering::Equal))
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (a, b) in left.iter().zip(right) {
                if !equal(a, b, meter)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Object(left), Value::Object(right)) if left.len() == right.len() => {
            for (key, a) in left {
                meter.pay_bytes(key.len())?;
                match right.get(key) {
                    Some(b) if equal(a, b, meter)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::String(left), Value::String(right)) => {
            meter.pay_bytes(left.len().min(right.len()))?;
            Ok(left == right)
        }
        _ => Ok(left == right),
    }
}

/// The order of two numbers or two texts.
pub(crate) fn order(left: &Value, right: &Value, meter: &mut Meter) -> Result<Ordering, Fault> {
    if let (Value::String(left), Value::String(right)) = (left, right) {
        meter.pay_bytes(left.len().min(right.len()))?;
        return Ok(left.cmp(right));
    }
    meter.pay(1)?;
    let numbers = Numeric::of(left).zip(Numeric::of(right));
    numbers
        .and_then(|(a, b)| a.compare(b))
        .ok_or_else(|| Fault::Failed(format!("{} and {} have no order", kind(left), kind(right))))
}

/// Whether a list holds an item, an object a key, or a text a part.
pub(crate) fn contains(whole: &Value, part: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    match (whole, part) {
        (Value::Array(items), _) => {
            for item in items {
                meter.pay(1)?;
                if equal(item, part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
        (Value::String(text), Value::String(part)) => {
            meter.pay_bytes(text.len())?;
            Ok(text.contains(part.as_str()))
        }
        _ => Err(Fault::Failed(format!("`in` cannot look for {} in {}", kind(part), kind(whole)))),
    }
}
