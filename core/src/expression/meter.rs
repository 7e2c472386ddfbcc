//! Counts the work of one rendering and stops it at its limit.

use serde_json::Value;

use super::FUEL_UNITS_MAX;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It reads what is not there.
    Missing(String),
    /// An operation does not apply.
    Failed(String),
    /// It takes more work than a rendering may.
    OutOfFuel,
    /// It makes a text longer than a payload may be.
    TooLarge,
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The work left to one rendering.
#[derive(Debug)]
pub(crate) struct Meter {
    left_units: u64,
}

impl Meter {
    /// A full meter.
    pub(crate) fn full() -> Self {
        Self { left_units: FUEL_UNITS_MAX }
    }

    /// Pays for some operations or elements.
    pub(crate) fn pay(&mut self, units: usize) -> Result<(), Fault> {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.left_units = self.left_units.checked_sub(units).ok_or(Fault::OutOfFuel)?;
        Ok(())
    }

    /// Pays for making a text of some bytes, before it is made.
    pub(crate) fn pay_bytes(&mut self, size_bytes: usize) -> Result<(), Fault> {
        self.pay(1 + size_bytes / 64)
    }

    /// Pays for a walk over a whole value, such as a copy.
    pub(crate) fn pay_walk(&mut self, value: &Value) -> Result<(), Fault> {
        match value {
            Value::String(text) => self.pay_bytes(text.len()),
            Value::Array(items) => {
                self.pay(1)?;
                items.iter().try_for_each(|item| self.pay_walk(item))
            }
            Value::Object(fields) => {
                self.pay(1)?;
                fields.iter().try_for_each(|(key, item)| {
                    self.pay_bytes(key.len())?;
                    self.pay_walk(item)
                })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.pay(1),
        }
    }
}
