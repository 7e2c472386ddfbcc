//! The template engine: the one environment, what its filters may cost, and evaluation.
//!
//! Only this file, `convert.rs`, `weigh.rs` and the errors in `compiled.rs` name minijinja.

use std::collections::HashSet;
use std::sync::LazyLock;

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters, tests};

use super::convert::as_text;
use super::marks::{NUMBER_FILTER, SLICED_FILTER, WEIGHED_FILTER};
use super::weigh::{pay, pay_deep, shallow};
use crate::payload::PAYLOAD_BYTES_MAX;

/// The instructions one evaluation may take.
pub const FUEL_MAX: u64 = 50_000;
/// Frames of nested loops; far above what the checks let through.
const RECURSION_MAX: usize = 50;
/// How many times writing a value as JSON outweighs touching it.
const JSON_WEIGHT: usize = 4;
/// How many times slicing a value outweighs touching it: texts are sliced by characters.
const SLICE_WEIGHT: usize = 8;
/// Filters that look into the items of what they are given, however deep.
const DEEP_FILTERS: [&str; 12] = [
    "dictsort", "float", "int", "join", "lower", "max", "min", "sort", "string", "tojson",
    "unique", "upper",
];
/// The name of the one template in an environment.
const ONLY: &str = "text";

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(environment);

/// A compiled expression.
pub(super) type Expression = minijinja::Expression<'static, 'static>;

/// A compiled text with templates in it.
#[derive(Debug)]
pub(super) struct Text(Environment<'static>);

/// Compiles an expression.
pub(super) fn compile_expression(source: &str) -> Result<Expression, Error> {
    ENVIRONMENT.compile_expression_owned(source.to_owned())
}

impl Text {
    /// Compiles a text.
    pub(super) fn compile(source: &str) -> Result<Self, Error> {
        let mut environment = ENVIRONMENT.clone();
        environment.add_template_owned(ONLY, source.to_owned())?;
        Ok(Self(environment))
    }

    /// The dotted paths that the text reads.
    pub(super) fn paths(&self) -> HashSet<String> {
        self.0.get_template(ONLY).map(|text| text.undeclared_variables(true)).unwrap_or_default()
    }

    /// Renders the text, up to the size of a payload, and counts the instructions it took.
    pub(super) fn render(&self, context: Value) -> Result<(String, u64), Error> {
        let mut bounded = Bounded(Vec::new());
        let rendered = self.0.get_template(ONLY)?.render_captured_to(context, &mut bounded)?;
        let instructions = rendered.state().fuel_levels().map_or(FUEL_MAX, |(spent, _)| spent);
        let text = String::from_utf8(bounded.0)
            .map_err(|_| Error::new(ErrorKind::WriteFailure, "the text is not UTF-8"))?;
        Ok((text, instructions))
    }
}

/// What went wrong, for a person.
pub(super) fn described(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) => "something it reads is missing".to_owned(),
        (ErrorKind::SyntaxError, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    }
}

/// Where the engine says an error is: the beginning of its line.
pub(super) fn offset(error: &Error, source: &str) -> usize {
    let before = error.line().unwrap_or(1).saturating_sub(1);
    source.split_inclusive('\n').take(before).map(str::len).sum()
}

/// A text that refuses to grow beyond the size of a payload.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL_MAX));
    environment.set_recursion_limit(RECURSION_MAX);
    let syntax = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.expect("the default delimiters are good"));
    environment.set_formatter(|out, state, value| {
        pay_deep(state, [value], JSON_WEIGHT)?;
        let text = as_text(value)?;
        out.write_str(&text).map_err(Error::from)
    });
    add_filters(&mut environment);
    add_demands(&mut environment);
    add_tests(&mut environment);
    environment
}

fn add_filters(environment: &mut Environment<'static>) {
    // Those that look at what is missing must see it, and touch nothing else.
    environment.add_filter("default", filters::default);
    environment.add_filter("d", filters::default);
    let metered = [
        ("abs", Value::from_function(filters::abs), 1),
        ("attr", Value::from_function(filters::attr), 1),
        ("bool", Value::from_function(filters::bool), 1),
        ("capitalize", Value::from_function(filters::capitalize), 1),
        ("count", Value::from_function(filters::length), 1),
        ("dictsort", Value::from_function(filters::dictsort), 16),
        ("field", Value::from_function(field), 1),
        ("first", Value::from_function(filters::first), 1),
        ("float", Value::from_function(filters::float), 1),
        ("int", Value::from_function(filters::int), 1),
        ("items", Value::from_function(filters::items), 1),
        ("join", Value::from_function(filters::join), 1),
        ("last", Value::from_function(filters::last), 1),
        ("length", Value::from_function(filters::length), 1),
        ("lines", Value::from_function(filters::lines), 4),
        ("list", Value::from_function(filters::list), 64),
        ("lower", Value::from_function(filters::lower), 4),
        ("map", Value::from_function(filters::map), 2),
        ("max", Value::from_function(filters::max), 1),
        ("min", Value::from_function(filters::min), 1),
        ("optional_field", Value::from_function(optional_field), 1),
        ("reject", Value::from_function(filters::reject), 2),
        ("rejectattr", Value::from_function(filters::rejectattr), 2),
        ("replace", Value::from_function(filters::replace), 1),
        ("reverse", Value::from_function(filters::reverse), 8),
        ("round", Value::from_function(filters::round), 1),
        ("select", Value::from_function(filters::select), 2),
        ("selectattr", Value::from_function(filters::selectattr), 2),
        ("sort", Value::from_function(filters::sort), 16),
        ("split", Value::from_function(filters::split), 16),
        ("string", Value::from_function(filters::string), 8),
        ("sum", Value::from_function(filters::sum), 1),
        ("title", Value::from_function(filters::title), 16),
        ("tojson", Value::from_function(filters::tojson), 16),
        ("trim", Value::from_function(filters::trim), 1),
        ("unique", Value::from_function(filters::unique), 16),
        ("upper", Value::from_function(filters::upper), 4),
        ("urlencode", Value::from_function(filters::urlencode), 8),
    ];
    for (name, filter, weight) in metered {
        environment.add_filter(
            name,
            move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
                let given = present(&given)?;
                pay(state, made(name, &given).saturating_mul(weight))?;
                if DEEP_FILTERS.contains(&name) {
                    pay_deep(state, &given, weight)?;
                } else {
                    let touched = given.iter().map(shallow).fold(1, usize::saturating_add);
                    pay(state, touched.saturating_mul(weight))?;
                }
                filter.call(state, &given)
            },
        );
    }
}

/// A step's field by its bare name, and what is below it: in the body of what it answered, in
/// the answer itself, then among the step's own fields. `response` is the body.
fn field(step: &Value, parts: Rest<Value>) -> Result<Value, Error> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(Error::new(ErrorKind::MissingArgument, "`field` needs a name"));
    };
    let output = below(step, &"output".into()).unwrap_or_default();
    let body = below(&output, &"body".into()).or_else(|| below(&output, &"response".into()));
    let body = body.unwrap_or_default();
    let alias = || (first.as_str() == Some("response")).then(|| body.clone());
    let own = || if first.as_str() == Some("output") { None } else { below(step, first) };
    let found = below(&body, first)
        .or_else(|| below(&output, first))
        .or_else(|| alias().filter(|body| !body.is_undefined()))
        .or_else(own);
    let missing = |name: &Value, there: &str| {
        let message = format!("`{name}` is missing in {there}");
        Error::new(ErrorKind::UndefinedError, message)
    };
    let mut found = found.ok_or_else(|| missing(first, "what the step answered"))?;
    let mut place = first.to_string();
    for part in rest.iter() {
        found = below(&found, part).ok_or_else(|| missing(part, &format!("`{place}`")))?;
        place = format!("{place}.{part}");
    }
    Ok(found)
}

/// The same; nothing if it is missing, for whoever asks whether it is there.
fn optional_field(step: &Value, parts: Rest<Value>) -> Value {
    field(step, parts).unwrap_or_default()
}

/// What an object or list has under a name or place, if anything.
fn below(value: &Value, name: &Value) -> Option<Value> {
    if !matches!(value.kind(), ValueKind::Map | ValueKind::Seq) {
        return None;
    }
    value.get_item(name).ok().filter(|found| !found.is_undefined())
}

/// The filters of `demands.rs`.
fn add_demands(environment: &mut Environment<'static>) {
    environment.add_filter(NUMBER_FILTER, |value: &Value| match value.kind() {
        ValueKind::Number => Ok(value.clone()),
        ValueKind::Undefined => Err(Error::from(ErrorKind::UndefinedError)),
        other => {
            let message = format!("`*` takes numbers, not {other}");
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
    });
    environment.add_filter(WEIGHED_FILTER, |state: &mut State<'_, '_>, value: &Value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        pay_deep(state, [value], 1).map(|()| value.clone())
    });
    environment.add_filter(SLICED_FILTER, |state: &mut State<'_, '_>, value: &Value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        pay(state, shallow(value).saturating_mul(SLICE_WEIGHT)).map(|()| value.clone())
    });
}

/// What was given, if nothing of it is missing.
fn present(given: &[ValueOrKwargs]) -> Result<Vec<Value>, Error> {
    if given.iter().any(|one| one.is_undefined()) {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(given.iter().map(|one| (**one).clone()).collect())
}

/// What a filter will make beyond what it touches, before it does.
fn made(name: &str, given: &[Value]) -> usize {
    match (name, given) {
        ("replace", [whole, old, new, ..]) => {
            let places = match (whole.as_str(), old.as_str()) {
                (Some(whole), Some(old)) => whole.matches(old).count(),
                _ => 0,
            };
            places.saturating_mul(shallow(new))
        }
        ("join", [items, separator, ..]) => {
            items.len().unwrap_or(0).saturating_mul(shallow(separator))
        }
        ("map", [items, ..]) => items.len().unwrap_or(0),
        _ => 0,
    }
}

fn add_tests(environment: &mut Environment<'static>) {
    environment.add_test("defined", tests::is_defined);
    environment.add_test("undefined", tests::is_undefined);
    let of_present = [
        ("boolean", Value::from_function(tests::is_boolean)),
        ("divisibleby", Value::from_function(tests::is_divisibleby)),
        ("endingwith", Value::from_function(tests::is_endingwith)),
        ("eq", Value::from_function(tests::is_eq)),
        ("equalto", Value::from_function(tests::is_eq)),
        ("==", Value::from_function(tests::is_eq)),
        ("even", Value::from_function(tests::is_even)),
        ("false", Value::from_function(tests::is_false)),
        ("float", Value::from_function(tests::is_float)),
        ("ge", Value::from_function(tests::is_ge)),
        (">=", Value::from_function(tests::is_ge)),
        ("greaterthan", Value::from_function(tests::is_gt)),
        ("gt", Value::from_function(tests::is_gt)),
        (">", Value::from_function(tests::is_gt)),
        ("in", Value::from_function(tests::is_in)),
        ("integer", Value::from_function(tests::is_integer)),
        ("iterable", Value::from_function(tests::is_iterable)),
        ("le", Value::from_function(tests::is_le)),
        ("<=", Value::from_function(tests::is_le)),
        ("lessthan", Value::from_function(tests::is_lt)),
        ("lt", Value::from_function(tests::is_lt)),
        ("<", Value::from_function(tests::is_lt)),
        ("mapping", Value::from_function(tests::is_mapping)),
        ("ne", Value::from_function(tests::is_ne)),
        ("!=", Value::from_function(tests::is_ne)),
        ("none", Value::from_function(tests::is_none)),
        ("number", Value::from_function(tests::is_number)),
        ("odd", Value::from_function(tests::is_odd)),
        ("sequence", Value::from_function(tests::is_sequence)),
        ("startingwith", Value::from_function(tests::is_startingwith)),
        ("string", Value::from_function(tests::is_string)),
        ("true", Value::from_function(tests::is_true)),
    ];
    for (name, test) in of_present {
        environment.add_test(name, move |state: &mut State<'_, '_>, given: Rest<ValueOrKwargs>| {
            let given = present(&given)?;
            // With one operand it asks for a kind, with more it compares.
            if given.len() > 1 {
                pay_deep(state, &given, 1)?;
            }
            test.call(state, &given).map(|answer| answer.is_true())
        });
    }
}
