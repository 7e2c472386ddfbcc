//! Filters over texts and numbers.

use serde_json::{Number, Value};

use super::meter::{Fault, Meter};
use super::operators::{Numeric, as_text, is_true, kind};

/// Digits that `round` may keep: more than a fraction has.
const ROUND_DIGITS_MAX: u32 = 15;

type Arguments<'a> = &'a [Option<Value>];

fn text<'v>(value: &'v Value, meter: &mut Meter) -> Result<&'v str, Fault> {
    let Value::String(text) = value else {
        return Err(format!("it takes a text, not {}", kind(value)).into());
    };
    meter.pay_bytes(text.len())?;
    Ok(text)
}

fn number(value: &Value) -> Result<Numeric, Fault> {
    Numeric::of(value).ok_or_else(|| format!("it takes a number, not {}", kind(value)).into())
}

fn whole_argument(argument: Option<&Value>, otherwise: u32) -> Result<u32, Fault> {
    let Some(value) = argument else { return Ok(otherwise) };
    let whole = value.as_u64().and_then(|whole| u32::try_from(whole).ok());
    whole.ok_or_else(|| "its argument must be a whole number from 0".to_owned().into())
}

fn first(arguments: Arguments<'_>) -> Option<&Value> {
    arguments.first().and_then(Option::as_ref)
}

/// Without its sign.
pub(crate) fn abs(value: &Value, _: Arguments<'_>, _: &mut Meter) -> Result<Value, Fault> {
    Ok(match number(value)? {
        Numeric::Whole(whole) => Numeric::Whole(whole.abs()),
        Numeric::Fraction(fraction) => Numeric::Fraction(fraction.abs()),
    }
    .value()?)
}

/// Whether the value counts as true.
pub(crate) fn boolean(value: &Value, _: Arguments<'_>, _: &mut Meter) -> Result<Value, Fault> {
    Ok(is_true(value).into())
}

/// First letter large, the others small.
pub(crate) fn capitalize(
    value: &Value,
    _: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    Ok(capitalized(text(value, meter)?).into())
}

/// First letter of each word large.
pub(crate) fn title(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let words: Vec<String> = text(value, meter)?.split(' ').map(capitalized).collect();
    Ok(words.join(" ").into())
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + &chars.as_str().to_lowercase()
    })
}

/// Small letters.
pub(crate) fn lower(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(text(value, meter)?.to_lowercase().into())
}

/// Large letters.
pub(crate) fn upper(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(text(value, meter)?.to_uppercase().into())
}

/// Without blanks at both ends.
pub(crate) fn trim(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    Ok(text(value, meter)?.trim().into())
}

/// At most so many characters.
pub(crate) fn truncate(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let length = whole_argument(first(arguments), 0)? as usize;
    Ok(text(value, meter)?.chars().take(length).collect::<String>().into())
}

/// Every `old` turned into `new`.
pub(crate) fn replace(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let whole = text(value, meter)?;
    let (Some(Some(Value::String(old))), Some(Some(Value::String(new)))) =
        (arguments.first(), arguments.get(1))
    else {
        return Err("its arguments must be texts".to_owned().into());
    };
    let places = whole.matches(old.as_str()).count();
    meter.pay_bytes(whole.len().saturating_add(places.saturating_mul(new.len())))?;
    Ok(whole.replace(old.as_str(), new).into())
}

/// The parts between separators; between blanks if none is given.
pub(crate) fn split(
    value: &Value,
    arguments: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let whole = text(value, meter)?;
    let parts: Vec<Value> = match first(arguments) {
        None => whole.split_whitespace().map(Value::from).collect(),
        Some(Value::String(separator)) if !separator.is_empty() => {
            whole.split(separator.as_str()).map(Value::from).collect()
        }
        Some(_) => return Err("its separator must be a text that is not empty".to_owned().into()),
    };
    meter.pay(parts.len())?;
    Ok(Value::Array(parts))
}

/// Rounded to so many digits; a whole number if none are asked for.
pub(crate) fn round(
    value: &Value,
    arguments: Arguments<'_>,
    _: &mut Meter,
) -> Result<Value, Fault> {
    let digits = whole_argument(first(arguments), 0)?;
    let Numeric::Fraction(fraction) = number(value)? else { return Ok(value.clone()) };
    if digits == 0 {
        return whole_of(fraction.round());
    }
    let scale = 10_f64.powi(i32::try_from(digits.min(ROUND_DIGITS_MAX)).unwrap_or(0));
    let scaled = fraction * scale;
    let rounded = if scaled.is_finite() { scaled.round() / scale } else { fraction };
    Ok(Numeric::Fraction(rounded).value()?)
}

fn whole_of(fraction: f64) -> Result<Value, Fault> {
    // Beyond 2^63 a fraction is not a JSON integer of ours; inside, the cast is exact.
    if fraction.abs() >= 9.2e18 {
        return Err("the number is too large".to_owned().into());
    }
    Ok(Value::Number(Number::from(fraction as i64)))
}

/// A whole number: a fraction cut, a text read.
pub(crate) fn integer(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    match value {
        Value::Bool(yes) => Ok(u8::from(*yes).into()),
        Value::String(_) => {
            let text = text(value, meter)?.trim();
            let whole = text.parse::<i64>().map(Value::from);
            let whole = whole.or_else(|_| text.parse::<u64>().map(Value::from));
            whole.map_err(|_| format!("`{}` is not a whole number", shortened(text)).into())
        }
        _ => match number(value)? {
            Numeric::Whole(_) => Ok(value.clone()),
            Numeric::Fraction(fraction) => whole_of(fraction.trunc()),
        },
    }
}

/// A fraction: a text read.
pub(crate) fn float(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    let fraction = match value {
        Value::String(_) => {
            let text = text(value, meter)?.trim();
            let read = text.parse::<f64>();
            read.map_err(|_| Fault::Failed(format!("`{}` is not a number", shortened(text))))?
        }
        _ => number(value)?.fraction(),
    };
    Ok(Numeric::Fraction(fraction).value()?)
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Texts as they are, everything else as JSON.
pub(crate) fn string(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    meter.pay_walk(value)?;
    Ok(as_text(value).into_owned().into())
}

/// As JSON, also texts.
pub(crate) fn to_json(value: &Value, _: Arguments<'_>, meter: &mut Meter) -> Result<Value, Fault> {
    meter.pay_walk(value)?;
    Ok(value.to_string().into())
}

/// The value of a JSON text.
pub(crate) fn from_json(
    value: &Value,
    _: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let text = text(value, meter)?;
    let value = serde_json::from_str(text);
    let value: Value = value.map_err(|why| Fault::Failed(format!("it is not JSON: {why}")))?;
    meter.pay_walk(&value)?;
    Ok(value)
}

/// With every byte but letters, digits and `-._~` as `%XX`, for a part of a URL.
pub(crate) fn url_encode(
    value: &Value,
    _: Arguments<'_>,
    meter: &mut Meter,
) -> Result<Value, Fault> {
    let whole = match value {
        Value::String(_) => text(value, meter)?.into(),
        Value::Number(_) | Value::Bool(_) => as_text(value),
        other => return Err(format!("it takes a text, not {}", kind(other)).into()),
    };
    let mut encoded = String::with_capacity(whole.len());
    for byte in whole.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded.into())
}
