//! Work: what renderings cost, counted and bounded.
//!
//! A unit is about what it takes to touch one item of a list or 64 bytes of a text. The engine
//! counts instructions only; whatever touches more than a fixed amount inside one instruction
//! pays here first. Knows nothing of which operators and filters those are.

use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Object, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// The work that all strings of one tree may do together.
pub const TREE_WORK_MAX: usize = 500_000;
/// The work that all strings of a definition that read nothing may do together, when it is
/// compiled.
pub const CONSTANTS_WORK_MAX: usize = 2_000_000;
/// What asking the engine for one string costs at least.
pub(super) const EVALUATION_WORK: usize = 64;
/// Bytes of JSON that are read or written for one unit.
pub(super) const JSON_BYTES_PER_UNIT: usize = 4;
/// Bytes of a text that are touched for one unit.
const TEXT_BYTES_PER_UNIT: usize = 64;
/// Where the engine finds the meter; no author can write it.
pub(super) const METER: &str = "__meter";

/// The work that renderings did, added up by whoever asks for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// In units.
    pub units: usize,
}

impl Work {
    /// Adds to it.
    pub(crate) fn add(&mut self, units: usize) {
        self.units = self.units.saturating_add(units);
    }
}

/// The work of one tree, and how much of it there may be.
#[derive(Debug)]
pub(crate) struct Meter {
    spent: AtomicUsize,
    units_max: usize,
}

impl Object for Meter {}

impl Meter {
    /// A meter that nothing was spent on.
    pub(crate) fn new(units_max: usize) -> Self {
        Self { spent: AtomicUsize::new(0), units_max }
    }

    /// What was spent.
    pub(super) fn spent(&self) -> usize {
        self.spent.load(Ordering::Relaxed)
    }

    /// Spends some, or all that is left if that is less: then what it was for is not done.
    pub(super) fn pay(&self, units: usize) -> bool {
        let spent = self.spent().saturating_add(units);
        self.spent.store(spent.min(self.units_max), Ordering::Relaxed);
        spent <= self.units_max
    }

    fn left(&self) -> usize {
        self.units_max.saturating_sub(self.spent())
    }
}

/// Pays for what an operation is about to touch.
pub(super) fn pay(state: &State<'_, '_>, units: usize) -> Result<(), Error> {
    with_meter(state, |meter| meter.pay(units))
}

/// Pays for values and everything in them, `weight` times.
pub(super) fn pay_deep<'v>(
    state: &State<'_, '_>,
    values: impl IntoIterator<Item = &'v Value>,
    weight: usize,
) -> Result<(), Error> {
    with_meter(state, |meter| {
        values.into_iter().all(|value| {
            let units = deep(value, meter.left() / weight.max(1));
            meter.pay(units.saturating_mul(weight))
        })
    })
}

fn with_meter(state: &State<'_, '_>, pay: impl FnOnce(&Meter) -> bool) -> Result<(), Error> {
    let meter = state.lookup(METER);
    let meter = meter.as_ref().and_then(|meter| meter.downcast_object_ref::<Meter>());
    match meter.is_some_and(pay) {
        true => Ok(()),
        false => Err(Error::from(ErrorKind::OutOfFuel)),
    }
}

/// Items of a list or object itself, or pieces of a text.
pub(super) fn shallow(value: &Value) -> usize {
    match value.as_str() {
        Some(text) => 1 + text.len() / TEXT_BYTES_PER_UNIT,
        None => value.len().unwrap_or(1).max(1),
    }
}

/// Everything in a value; counting stops above `units_max`.
pub(super) fn deep(value: &Value, units_max: usize) -> usize {
    let mut units = 0_usize;
    let mut open = Vec::new();
    let mut next = Some(value.clone());
    loop {
        let Some(value) = next.take() else {
            // The innermost list that is still open goes on.
            let Some((items, fields)) = open.last_mut() else { return units };
            next = Iterator::next(items);
            match (&next, fields) {
                (None, _) => drop(open.pop()),
                (Some(key), Some(fields)) => {
                    units += shallow(key);
                    next = Value::get_item(fields, key).ok();
                }
                (Some(_), None) => {}
            }
            continue;
        };
        units = units.saturating_add(match value.as_str() {
            Some(_) => shallow(&value),
            None => 1,
        });
        if units > units_max {
            return units;
        }
        let fields = match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => None,
            ValueKind::Map => Some(value.clone()),
            _ => continue,
        };
        if let Ok(items) = value.try_iter() {
            open.push((items, fields));
        }
    }
}
