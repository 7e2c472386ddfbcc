//! From expressions and facts to values.
//!
//! Borrows from the facts and the expression for as long as nothing new is made.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::facts::Facts;
use super::meter::{Fault, Meter};
use super::operators::{self, Numeric, as_text, is_true, kind};
use super::text::{Loop, Piece, Text};
use super::tree::{Expression, LoopField};
use crate::payload::PAYLOAD_BYTES_MAX;

type Evaluated<'f> = Result<Cow<'f, Value>, Fault>;

/// One rendering: the facts, the work left, and the variables of the loops it is in.
pub(crate) struct Evaluation<'f, 'm> {
    facts: &'f Facts,
    meter: &'m mut Meter,
    locals: Vec<Cow<'f, Value>>,
    loops: Vec<(usize, usize)>,
}

impl<'f, 'm> Evaluation<'f, 'm> {
    /// Begins a rendering.
    pub(crate) fn new(facts: &'f Facts, meter: &'m mut Meter) -> Self {
        Self { facts, meter, locals: Vec::new(), loops: Vec::new() }
    }

    /// The value of an expression, a copy of its own.
    pub(crate) fn owned(&mut self, expression: &'f Expression) -> Result<Value, Fault> {
        match self.value(expression)? {
            Cow::Owned(value) => Ok(value),
            Cow::Borrowed(value) => {
                self.meter.pay_walk(value)?;
                Ok(value.clone())
            }
        }
    }

    /// The value of an expression.
    pub(crate) fn value(&mut self, expression: &'f Expression) -> Evaluated<'f> {
        self.meter.pay(1)?;
        match expression {
            Expression::Constant(value) => Ok(Cow::Borrowed(value)),
            Expression::Root(root) => Ok(Cow::Borrowed(self.facts.root(*root))),
            Expression::Step { step, .. } => Ok(Cow::Borrowed(self.facts.step(*step))),
            Expression::Local { slot, .. } => self.local(*slot),
            Expression::Loop(field) => Ok(Cow::Owned(self.loop_field(*field))),
            Expression::Field { of, name } => self.field(of, name),
            Expression::Item { of, key } => self.item(of, key),
            Expression::Slice { of, from, to } => {
                self.slice(of, from.as_deref(), to.as_deref()).map(Cow::Owned)
            }
            Expression::Default { of, otherwise } => match self.value(of) {
                Err(Fault::Missing(_)) => self.value(otherwise),
                Ok(value) if value.is_null() => self.value(otherwise),
                found => found,
            },
            Expression::Choice { test, then, otherwise } => {
                let holds = is_true(&*self.value(test)?);
                self.value(if holds { then } else { otherwise })
            }
            Expression::All(operands) => self.first_that_is(false, operands),
            Expression::Any(operands) => self.first_that_is(true, operands),
            _ => self.computed(expression).map(Cow::Owned),
        }
    }

    /// The kinds of expression that always make a new value.
    fn computed(&mut self, expression: &'f Expression) -> Result<Value, Fault> {
        match expression {
            Expression::Not(of) => Ok((!is_true(&*self.value(of)?)).into()),
            Expression::Negative(of) => match Numeric::of(&*self.value(of)?) {
                Some(Numeric::Whole(whole)) => Ok(Numeric::Whole(-whole).value()?),
                Some(Numeric::Fraction(fraction)) => Ok(Numeric::Fraction(-fraction).value()?),
                None => Err("`-` takes a number".to_owned().into()),
            },
            Expression::Joined(operands) => {
                let mut joined = String::new();
                for operand in operands {
                    let value = self.value(operand)?;
                    self.append(&mut joined, &value)?;
                }
                Ok(joined.into())
            }
            Expression::Operation { operation, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                operators::operate(*operation, &left, &right, self.meter)
            }
            Expression::Comparison { comparison, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                operators::compare(*comparison, &left, &right, self.meter).map(Value::Bool)
            }
            Expression::Filtered { of, filter, arguments } => {
                let value = self.value(of)?;
                let mut given = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    given.push(match argument {
                        Some(argument) => Some(self.owned(argument)?),
                        None => None,
                    });
                }
                (filter.apply)(&value, &given, self.meter).map_err(|fault| match fault {
                    Fault::Failed(why) => Fault::Failed(format!("`{}`: {why}", filter.name)),
                    Fault::Missing(why) => Fault::Missing(format!("`{}`: {why}", filter.name)),
                    other => other,
                })
            }
            Expression::Defined { of, expected } => match self.value(of) {
                Err(Fault::Missing(_)) => Ok((!expected).into()),
                found => found.map(|_| (*expected).into()),
            },
            Expression::Checked { of, check, argument, expected } => {
                let value = self.value(of)?;
                let argument = match argument {
                    Some(argument) => self.value(argument)?,
                    None => Cow::Owned(Value::Null),
                };
                Ok((check.ask(&value, &argument, self.meter)? == *expected).into())
            }
            Expression::List(items) => items.iter().map(|item| self.owned(item)).collect(),
            Expression::Object(fields) => self.object(fields),
            _ => unreachable!("`value` handles the kinds that borrow"),
        }
    }

    fn first_that_is(&mut self, wanted: bool, operands: &'f [Expression]) -> Evaluated<'f> {
        let (last, others) = operands.split_last().expect("the parser never makes an empty chain");
        for operand in others {
            let value = self.value(operand)?;
            if is_true(&value) == wanted {
                return Ok(value);
            }
        }
        self.value(last)
    }

    fn object(&mut self, fields: &'f [(Expression, Expression)]) -> Result<Value, Fault> {
        let mut made = Map::new();
        for (key, value) in fields {
            let Value::String(key) = self.owned(key)? else {
                return Err("keys of objects are texts".to_owned().into());
            };
            let value = self.owned(value)?;
            made.insert(key, value);
        }
        Ok(Value::Object(made))
    }

    fn local(&mut self, slot: usize) -> Evaluated<'f> {
        match &self.locals[slot] {
            Cow::Borrowed(value) => Ok(Cow::Borrowed(value)),
            Cow::Owned(value) => {
                self.meter.pay_walk(value)?;
                Ok(Cow::Owned(value.clone()))
            }
        }
    }

    fn loop_field(&self, field: LoopField) -> Value {
        let (at, length) = *self.loops.last().expect("the parser allows `loop` only in a `for`");
        match field {
            LoopField::Index => (at + 1).into(),
            LoopField::Index0 => at.into(),
            LoopField::First => (at == 0).into(),
            LoopField::Last => (at + 1 == length).into(),
            LoopField::Length => length.into(),
        }
    }

    fn field(&mut self, of: &'f Expression, name: &str) -> Evaluated<'f> {
        let found = match self.value(of)? {
            Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed).ok_or(Cow::Borrowed(value)),
            Cow::Owned(mut value) => {
                let taken = value.get_mut(name).map(Value::take);
                taken.map(Cow::Owned).ok_or(Cow::Owned(value))
            }
        };
        found.map_err(|value| missing(of, &value, &format!("field `{name}`")))
    }

    fn item(&mut self, of: &'f Expression, key: &'f Expression) -> Evaluated<'f> {
        let key_value = self.value(key)?;
        if let Value::String(name) = &*key_value {
            return self.field(of, name);
        }
        let Some(Numeric::Whole(place)) = Numeric::of(&key_value) else {
            let message = format!("{} is no key; use a text or a whole number", kind(&key_value));
            return Err(message.into());
        };
        let value = self.value(of)?;
        let length = value.as_array().map_or(0, Vec::len) as i128;
        let place = if place < 0 { place + length } else { place };
        let at = usize::try_from(place).ok();
        let found = match value {
            Cow::Borrowed(value) => {
                at.and_then(|at| value.get(at)).map(Cow::Borrowed).ok_or(Cow::Borrowed(value))
            }
            Cow::Owned(mut value) => {
                let taken = at.and_then(|at| value.get_mut(at)).map(Value::take);
                taken.map(Cow::Owned).ok_or(Cow::Owned(value))
            }
        };
        found.map_err(|value| missing(of, &value, &format!("item {key_value}")))
    }

    fn slice(
        &mut self,
        of: &'f Expression,
        from: Option<&'f Expression>,
        to: Option<&'f Expression>,
    ) -> Result<Value, Fault> {
        let value = self.value(of)?;
        self.meter.pay_walk(&value)?;
        let length = match &*value {
            Value::Array(items) => items.len(),
            Value::String(text) => text.chars().count(),
            other => return Err(format!("{} cannot be sliced", kind(other)).into()),
        };
        let from = self.bound(from, length)?.unwrap_or(0);
        let to = self.bound(to, length)?.unwrap_or(length).max(from);
        Ok(match &*value {
            Value::Array(items) => items[from..to].to_vec().into(),
            other => as_text(other).chars().skip(from).take(to - from).collect::<String>().into(),
        })
    }

    /// A bound of a slice, counted from the end if negative, moved inside.
    fn bound(
        &mut self,
        bound: Option<&'f Expression>,
        length: usize,
    ) -> Result<Option<usize>, Fault> {
        let Some(bound) = bound else { return Ok(None) };
        let value = self.value(bound)?;
        let Some(Numeric::Whole(place)) = Numeric::of(&value) else {
            return Err(format!("{} is no bound of a slice", kind(&value)).into());
        };
        let length = length as i128;
        let place = if place < 0 { place + length } else { place }.clamp(0, length);
        Ok(Some(usize::try_from(place).expect("clamped to a length")))
    }

    /// The text of a template.
    pub(crate) fn text(&mut self, text: &'f Text) -> Result<String, Fault> {
        let mut rendered = String::new();
        self.pieces(&text.pieces, &mut rendered)?;
        Ok(rendered)
    }

    fn pieces(&mut self, pieces: &'f [Piece], out: &mut String) -> Result<(), Fault> {
        for piece in pieces {
            self.meter.pay(1)?;
            match piece {
                Piece::Literal(literal) => self.append_text(out, literal)?,
                Piece::Emit(expression) => {
                    let value = self.value(expression)?;
                    self.append(out, &value)?;
                }
                Piece::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for (test, body) in branches {
                        if is_true(&*self.value(test)?) {
                            chosen = body;
                            break;
                        }
                    }
                    self.pieces(chosen, out)?;
                }
                Piece::For(each) => self.each(each, out)?,
            }
        }
        Ok(())
    }

    fn each(&mut self, each: &'f Loop, out: &mut String) -> Result<(), Fault> {
        let items: Vec<Cow<'f, Value>> = match self.value(&each.of)? {
            Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
            Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
            other => return Err(not_a_list(&other)),
        };
        self.meter.pay(items.len())?;
        if items.is_empty() {
            return self.pieces(&each.otherwise, out);
        }
        let length = items.len();
        for (at, item) in items.into_iter().enumerate() {
            let depth = self.locals.len();
            self.bind(item, each.names)?;
            self.loops.push((at, length));
            self.pieces(&each.body, out)?;
            self.loops.pop();
            self.locals.truncate(depth);
        }
        Ok(())
    }

    /// Puts an item into the variables of its loop, taken apart if there are several.
    fn bind(&mut self, item: Cow<'f, Value>, names: usize) -> Result<(), Fault> {
        if names == 1 {
            self.locals.push(item);
            return Ok(());
        }
        let parts: Vec<Cow<'f, Value>> = match item {
            Cow::Borrowed(Value::Array(parts)) => parts.iter().map(Cow::Borrowed).collect(),
            Cow::Owned(Value::Array(parts)) => parts.into_iter().map(Cow::Owned).collect(),
            _ => Vec::new(),
        };
        if parts.len() != names {
            return Err(format!("the item is not a list of {names}, one for each name").into());
        }
        self.locals.extend(parts);
        Ok(())
    }

    fn append(&mut self, out: &mut String, value: &Value) -> Result<(), Fault> {
        if !value.is_string() {
            self.meter.pay_walk(value)?;
        }
        self.append_text(out, &as_text(value))
    }

    fn append_text(&mut self, out: &mut String, text: &str) -> Result<(), Fault> {
        self.meter.pay_bytes(text.len())?;
        if out.len() + text.len() > PAYLOAD_BYTES_MAX {
            return Err(Fault::TooLarge);
        }
        out.push_str(text);
        Ok(())
    }
}

fn not_a_list(value: &Value) -> Fault {
    let hint = if value.is_object() { "; `|items` makes one of an object" } else { "" };
    Fault::Failed(format!("`for` goes through a list, not {}{hint}", kind(value)))
}

/// Most fields named when one is missing.
const FIELDS_NAMED_MAX: usize = 8;

fn missing(of: &Expression, value: &Value, what: &str) -> Fault {
    let place = of.describe();
    let there = match value {
        Value::Object(fields) if fields.is_empty() => "it is empty".to_owned(),
        Value::Object(fields) => {
            let names: Vec<String> = fields
                .keys()
                .take(FIELDS_NAMED_MAX)
                .map(|name| name.chars().take(40).collect())
                .collect();
            let more = if fields.len() > FIELDS_NAMED_MAX { ", ..." } else { "" };
            format!("it has {}{more}", names.join(", "))
        }
        Value::Array(items) => format!("it is a list of {}", items.len()),
        other => format!("it is {}", kind(other)),
    };
    Fault::Missing(format!("`{place}` has no {what}; {there}"))
}
