//! Going through all that is in the tree, record by record.
//!
//! For looking into a store from outside; what is pending is not visited.

use std::ops::ControlFlow;

use backstitch_core::ids::StreamId;

use super::{HISTORY, Store};
use crate::bytes::{Fields, Malformed};
use crate::error::Error;
use crate::keys;
use crate::pending::unpack;

/// Receives a stored record: its stream, version, position and body.
pub(crate) type VisitStored<'a> = &'a mut dyn FnMut(&StreamId, u64, u64, &[u8]);

impl Store {
    /// Visits every record in the tree: history by history, each in order, with its version,
    /// position and body. A history that is not gapless ends the visit.
    ///
    /// # Errors
    /// If the tree cannot be read, or does not hold packed records.
    pub(crate) fn for_each_stored(&self, visit: VisitStored<'_>) -> Result<(), Error> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut current: Option<(StreamId, u64, Vec<u8>)> = None;
        let mut failure = None;
        tree.scan(&[HISTORY], &[HISTORY], |key, value| {
            let taken = keys::stream_of(&key[1..]).and_then(|(stream, rest)| {
                let mut fields = Fields::of(rest);
                let first = fields.array().map(u64::from_be_bytes)?;
                let part = fields.array().map(u16::from_be_bytes)?;
                if part == 0 {
                    visit_unit(current.take(), visit)?;
                    current = Some((stream, first, Vec::new()));
                }
                let (_, _, packed) =
                    current.as_mut().ok_or_else(|| Malformed::because("a part has no first"))?;
                packed.extend(value);
                Ok(())
            });
            failure = taken.err();
            if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let failure = failure.map_or_else(|| visit_unit(current.take(), visit), Err);
        failure.map_err(|error| Error::Store {
            path: tree.path().to_owned(),
            detail: format!("a history is malformed: {error}"),
        })
    }
}

fn visit_unit(
    unit: Option<(StreamId, u64, Vec<u8>)>,
    visit: VisitStored<'_>,
) -> Result<(), Malformed> {
    let Some((stream, first, packed)) = unit else { return Ok(()) };
    for (version, piece) in (first..).zip(unpack(&packed)) {
        let (position, body) = piece?;
        visit(&stream, version, position, body);
    }
    Ok(())
}
