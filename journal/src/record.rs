//! Records and rows as bytes: the one file that names bincode.
//!
//! Knows the encoding (bincode 2, standard configuration, through serde) and nothing of
//! where the bytes are kept or what the events mean.

use std::sync::Arc;

use backstitch_core::audit::Mark;
use backstitch_core::event::Event;
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes::Malformed;
use crate::commit::COMMIT_BYTES_MAX;

/// One fact and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose history it belongs to.
    pub stream: StreamId,
    /// Place in that history, gapless from 1.
    pub version: u64,
    /// Place in its partition's log, gapless from 1.
    pub position: u64,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The request that had it happen, of what the audit shows.
    pub mark: Option<Arc<Mark>>,
}

type Encoding = bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<COMMIT_BYTES_MAX>,
>;

const ENCODING: Encoding = bincode::config::standard().with_limit::<COMMIT_BYTES_MAX>();

/// Appends a record's body: stream, version, time, event, and the mark if there is one. The
/// position is not in it; it follows from the record's place in its commit.
pub(crate) fn encode(
    stream: &StreamId,
    version: u64,
    recorded_at: Timestamp,
    (event, mark): (&Event, Option<&Mark>),
    out: &mut Vec<u8>,
) {
    let body = (stream, version, recorded_at, event);
    bincode::serde::encode_into_std_write(body, out, ENCODING)
        .expect("encoding plain data into memory cannot fail");
    if let Some(mark) = mark {
        bincode::serde::encode_into_std_write(mark, out, ENCODING)
            .expect("encoding plain data into memory cannot fail");
    }
}

/// Reads a body back, checking that nothing is left over.
///
/// # Errors
/// If the bytes are not exactly one record.
pub(crate) fn decode(body: &[u8], position: u64) -> Result<Record, Malformed> {
    type Fact = (StreamId, u64, Timestamp, Event);
    let decoded = bincode::serde::decode_from_slice::<Fact, _>(body, ENCODING);
    let ((stream, version, recorded_at, event), used) = decoded.map_err(malformed)?;
    let behind = &body[used..];
    let mark = if behind.is_empty() { None } else { Some(Arc::new(decode_exactly(behind)?)) };
    Ok(Record { stream, version, position, recorded_at, event, mark })
}

/// The numbers of a body's event, without reading the event itself: of its family, and of
/// the variant in it.
///
/// # Errors
/// If the bytes do not begin like a record.
pub(crate) fn kind(body: &[u8]) -> Result<(u32, u32), Malformed> {
    type Beginning = (StreamId, u64, Timestamp, u32, u32);
    let decoded = bincode::serde::decode_from_slice::<Beginning, _>(body, ENCODING);
    let ((_, _, _, family, variant), _) = decoded.map_err(malformed)?;
    Ok((family, variant))
}

/// Any plain row as bytes.
pub(crate) fn encode_row<Row: Serialize>(row: &Row) -> Vec<u8> {
    bincode::serde::encode_to_vec(row, ENCODING)
        .expect("encoding plain data into memory cannot fail")
}

/// The most bytes a checkpoint may have; a run with a larger one is folded from its events.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 1024 * 1024;

/// A checkpoint as bytes; nothing if it is too large to be worth it.
pub(crate) fn encode_checkpoint<C: Serialize>(checkpoint: &C) -> Option<Vec<u8>> {
    let encoding = ENCODING.with_limit::<CHECKPOINT_BYTES_MAX>();
    let bytes = bincode::serde::encode_to_vec(checkpoint, encoding).ok()?;
    Some(bytes).filter(|bytes| bytes.len() <= CHECKPOINT_BYTES_MAX)
}

/// A checkpoint read back.
///
/// # Errors
/// If the bytes are not exactly one checkpoint.
pub(crate) fn decode_checkpoint<C: DeserializeOwned>(bytes: &[u8]) -> Result<C, Malformed> {
    let encoding = ENCODING.with_limit::<CHECKPOINT_BYTES_MAX>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, encoding).map_err(malformed)?;
    if used != bytes.len() {
        return Err(Malformed::because("bytes are left over behind a checkpoint"));
    }
    Ok(value)
}

/// A row read back.
///
/// # Errors
/// If the bytes are not exactly one such row.
pub(crate) fn decode_row<Row: DeserializeOwned>(bytes: &[u8]) -> Result<Row, Malformed> {
    decode_exactly(bytes)
}

fn decode_exactly<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, ENCODING).map_err(malformed)?;
    if used != bytes.len() {
        return Err(Malformed::because("bytes are left over behind a record"));
    }
    Ok(value)
}

fn malformed(error: bincode::error::DecodeError) -> Malformed {
    Malformed(format!("a record does not decode: {error}"))
}
