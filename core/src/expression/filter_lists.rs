//! Filters over lists and objects.

use std::cmp::Ordering;

use serde_json::Value;

use super::checks::Check;
use super::meter::{Fault, Meter};
use super::operators::{Operation, as_text, equal, is_true, kind, operate, order};

type Arguments<'a> = &'a [Option<Value>];

fn list<'v>(value: &'v Value, meter: &mut Meter) -> Result<&'v [Value], Fault> {
    let Value::Array(items) = value else {
        return Err(format!("it takes a list, not {}", kind(value)).into());
    };
    meter.pay(1 + items.len())?;
    Ok(items)
}

fn copied(value: &Value, meter: &mut Meter) -> Result<Value, Fault> {
    meter.pay_walk(value)?;
    Ok(value.clone())
}

fn argument(arguments: Arguments<'_>, at: usize) -> Option<&Value> {
    arguments.get(at).and_then(Option::as_ref)
}

/// The field of an item that a dotted path names; the item itself without a path.
fn attribute<'v>(
    item: &'v Value,
    path: Option<&Value>,
    meter: &mut Meter,
) -> Result<&'v Value, Fault> {
    let path = match path {
        None => return Ok(item),
        Some(Value::String(path)) => path,
        Some(other) => return Err(format!("`attribute` is a text, not {}", kind(other)).into()),
    };
    let mut found = item;
    for name in path.split('.') {
        meter.pay(1)?;
        let next = match found {
            Value::Array(items) => name.parse().ok().and_then(|at: usize| items.get(at)),
            other => other.get(name),
        };
        found = next.ok_or_else(|| Fault::Failed(format!("an item has no `{path}`")))?;
    }
    Ok(found)
}

/// How many characters, items or fields.
pub(crate) fn length(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let length = match value {
        Value::String(text) => {
            meter.pay_bytes(text.len())?;
            text.chars().count()
        }
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        other => return Err(format!("{} has no length", kind(other)).into()),
    };
    Ok(length.into())
}

/// The first item.
pub(crate) fn first(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let item = list(value, meter)?.first();
    copied(item.ok_or_else(|| Fault::Missing("the list is empty".to_owned()))?, meter)
}

/// The last item.
pub(crate) fn last(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let item = list(value, meter)?.last();
    copied(item.ok_or_else(|| Fault::Missing("the list is empty".to_owned()))?, meter)
}

/// A list as it is, the characters of a text, the keys of an object.
pub(crate) fn list_of(value: &Value, meter: &mut Meter) -> Result<Vec<Value>, Fault> {
    meter.pay_walk(value)?;
    Ok(match value {
        Value::Array(items) => items.clone(),
        Value::String(text) => {
            meter.pay(text.len())?;
            text.chars().map(|c| c.to_string().into()).collect()
        }
        Value::Object(fields) => fields.keys().cloned().map(Value::String).collect(),
        other => return Err(format!("{} cannot be gone through", kind(other)).into()),
    })
}

/// See [`list_of`].
pub(crate) fn list_filter(
    value: &Value,
    _: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    list_of(value, meter).map(Value::Array)
}

fn fields<'v>(
    value: &'v Value,
    meter: &mut Meter,
) -> Result<&'v serde_json::Map<String, Value>, Fault> {
    let Value::Object(fields) = value else {
        return Err(format!("it takes an object, not {}", kind(value)).into());
    };
    meter.pay_walk(value)?;
    Ok(fields)
}

/// The fields of an object as `[key, value]`, by key.
pub(crate) fn items(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let pair = |(key, item): (&String, &Value)| Value::from(vec![key.clone().into(), item.clone()]);
    Ok(fields(value, meter)?.iter().map(pair).collect())
}

/// The keys of an object, in order.
pub(crate) fn keys(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(fields(value, meter)?.keys().cloned().collect())
}

/// The values of an object, by key.
pub(crate) fn values(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(fields(value, meter)?.values().cloned().collect())
}

/// One text of all items.
pub(crate) fn join(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let separator = argument(arguments, 0).map_or_else(Default::default, as_text);
    let mut joined = String::new();
    for (at, item) in list(value, meter)?.iter().enumerate() {
        meter.pay_walk(item)?;
        if at > 0 {
            meter.pay_bytes(separator.len())?;
            joined.push_str(&separator);
        }
        joined.push_str(&as_text(item));
    }
    Ok(joined.into())
}

/// One field of every item.
pub(crate) fn map(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let path = argument(arguments, 0);
    let mut mapped = Vec::new();
    for item in list(value, meter)? {
        let found = attribute(item, path, meter)?;
        mapped.push(copied(found, meter)?);
    }
    Ok(Value::Array(mapped))
}

/// The items whose field is true, or passes a check.
pub(crate) fn select(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    filtered(value, arguments, meter, true)
}

/// The items that [`select`] leaves out.
pub(crate) fn reject(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    filtered(value, arguments, meter, false)
}

fn filtered(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
    wanted: bool,
) -> Result<Value, Fault> {
    let check = match argument(arguments, 1) {
        None => None,
        Some(name) => {
            let check = name.as_str().and_then(|name| match name {
                "==" => Check::named("eq"),
                "!=" => Check::named("ne"),
                "<" => Check::named("lt"),
                "<=" => Check::named("le"),
                ">" => Check::named("gt"),
                ">=" => Check::named("ge"),
                name => Check::named(name),
            });
            Some(check.ok_or_else(|| Fault::Failed(format!("{name} is not a check")))?)
        }
    };
    let operand = argument(arguments, 2).unwrap_or(&Value::Null);
    let mut kept = Vec::new();
    for item in list(value, meter)? {
        let found = attribute(item, argument(arguments, 0), meter)?;
        let passes = match check {
            None => is_true(found),
            Some(check) => check.ask(found, operand, meter)?,
        };
        if passes == wanted {
            kept.push(copied(item, meter)?);
        }
    }
    Ok(Value::Array(kept))
}

/// The smallest item, or the item with the smallest field.
pub(crate) fn min(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    extreme(value, arguments, meter, Ordering::Less)
}

/// The largest item, or the item with the largest field.
pub(crate) fn max(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    extreme(value, arguments, meter, Ordering::Greater)
}

fn extreme(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
    wanted: Ordering,
) -> Result<Value, Fault> {
    let path = argument(arguments, 0);
    let mut items = list(value, meter)?.iter();
    let mut best = items.next().ok_or_else(|| Fault::Missing("the list is empty".to_owned()))?;
    for item in items {
        let (new, old) = (attribute(item, path, meter)?, attribute(best, path, meter)?);
        if order(new, old, meter)? == wanted {
            best = item;
        }
    }
    copied(best, meter)
}

/// The sum of the items, or of a field of theirs; 0 of none.
pub(crate) fn sum(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let mut total = Value::from(0);
    for item in list(value, meter)? {
        let number = attribute(item, argument(arguments, 0), meter)?;
        if !number.is_number() {
            return Err(format!("{} cannot be summed", kind(number)).into());
        }
        total = operate(Operation::Plus, &total, number, meter)?;
    }
    Ok(total)
}

/// In order, or in order of a field; items that are equal stay as they were.
pub(crate) fn sort(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let path = argument(arguments, 0);
    let backwards = argument(arguments, 1).is_some_and(is_true);
    let mut sorted: Vec<&Value> = list(value, meter)?.iter().collect();
    let mut fault = None;
    sorted.sort_by(|a, b| {
        if fault.is_some() {
            return Ordering::Equal;
        }
        let ordered = attribute(a, path, meter)
            .and_then(|a| attribute(b, path, meter).map(|b| (a, b)))
            .and_then(|(a, b)| order(a, b, meter));
        match ordered {
            Ok(ordering) if backwards => ordering.reverse(),
            Ok(ordering) => ordering,
            Err(why) => {
                fault = Some(why);
                Ordering::Equal
            }
        }
    });
    match fault {
        Some(why) => Err(why),
        None => sorted.into_iter().map(|item| copied(item, meter)).collect(),
    }
}

/// The items, each once, or each with a field of its own.
pub(crate) fn unique(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let path = argument(arguments, 0);
    let mut kept: Vec<&Value> = Vec::new();
    'items: for item in list(value, meter)? {
        let new = attribute(item, path, meter)?;
        for &old in &kept {
            meter.pay(1)?;
            let old = attribute(old, path, meter)?;
            if equal(old, new, meter)? {
                continue 'items;
            }
        }
        kept.push(item);
    }
    kept.into_iter().map(|item| copied(item, meter)).collect()
}

/// A list or text, last first.
pub(crate) fn reverse(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    meter.pay_walk(value)?;
    match value {
        Value::Array(items) => Ok(items.iter().rev().cloned().collect()),
        Value::String(text) => Ok(text.chars().rev().collect::<String>().into()),
        other => Err(format!("{} cannot be reversed", kind(other)).into()),
    }
}
