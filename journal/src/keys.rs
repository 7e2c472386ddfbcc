//! Keys of the store: streams in an order that keeps each history together.
//!
//! Knows how a stream is named in a key, and no tree.

use backstitch_core::ids::{ExecutionId, PartitionId, RedriveId, ReplayId, StreamId};

use crate::bytes::Malformed;

/// First byte of a run's stream key.
pub(crate) const EXECUTION: u8 = b'x';
/// First byte of a workflow's stream key.
pub(crate) const WORKFLOW: u8 = b'w';
/// First byte of a partition's stream key.
pub(crate) const PARTITION: u8 = b'p';
/// First byte of a replay's stream key.
pub(crate) const REPLAY: u8 = b'y';
/// First byte of a redrive's stream key.
pub(crate) const REDRIVE: u8 = b'z';

/// Bytes of an execution's id in a key.
pub(crate) const EXECUTION_BYTES: usize = 18;

/// A run's id, ordered by partition and digits.
pub(crate) fn execution(id: &ExecutionId) -> [u8; EXECUTION_BYTES] {
    let mut key = [0; EXECUTION_BYTES];
    key[..2].copy_from_slice(&id.partition.0.to_be_bytes());
    key[2..].copy_from_slice(&id.digits.to_be_bytes());
    key
}

/// The id back.
pub(crate) fn execution_of(key: &[u8]) -> Option<ExecutionId> {
    let key: &[u8; EXECUTION_BYTES] = key.try_into().ok()?;
    let (partition, digits) = key.split_at(2);
    Some(ExecutionId {
        partition: PartitionId(u16::from_be_bytes(partition.try_into().ok()?)),
        digits: u128::from_be_bytes(digits.try_into().ok()?),
    })
}

/// Appends a text so that no text is the beginning of another.
pub(crate) fn push_text(key: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    key.extend(length.to_be_bytes());
    key.extend(text.as_bytes());
}

/// Bytes a stream's key takes.
pub(crate) fn stream_key_bytes(stream: &StreamId) -> usize {
    match stream {
        StreamId::Execution(_) => 1 + EXECUTION_BYTES,
        StreamId::Workflow { namespace, workflow } => 5 + namespace.len() + workflow.len(),
        StreamId::Partition(_) => 1 + 2,
        StreamId::Replay(_) | StreamId::Redrive(_) => 1 + 16,
    }
}

/// A stream's key; no stream's key is the beginning of another's.
pub(crate) fn stream(stream: &StreamId) -> Vec<u8> {
    let mut key = Vec::with_capacity(stream_key_bytes(stream) + 16);
    match stream {
        StreamId::Execution(id) => {
            key.push(EXECUTION);
            key.extend(execution(id));
        }
        StreamId::Workflow { namespace, workflow } => {
            key.push(WORKFLOW);
            push_text(&mut key, namespace);
            push_text(&mut key, workflow);
        }
        StreamId::Partition(id) => {
            key.push(PARTITION);
            key.extend(id.0.to_be_bytes());
        }
        StreamId::Replay(id) => {
            key.push(REPLAY);
            key.extend(id.0.to_be_bytes());
        }
        StreamId::Redrive(id) => {
            key.push(REDRIVE);
            key.extend(id.0.to_be_bytes());
        }
    }
    key
}

/// Reads a stream from the beginning of a key; answers what follows it too.
///
/// # Errors
/// If the bytes are no stream's key.
pub(crate) fn stream_of(key: &[u8]) -> Result<(StreamId, &[u8]), Malformed> {
    let bad = || Malformed::because("a key names no stream");
    match key.split_first() {
        Some((&EXECUTION, rest)) => {
            let (id, rest) = rest.split_at_checked(EXECUTION_BYTES).ok_or_else(bad)?;
            Ok((StreamId::Execution(execution_of(id).ok_or_else(bad)?), rest))
        }
        Some((&WORKFLOW, rest)) => {
            let (namespace, rest) = text_of(rest).ok_or_else(bad)?;
            let (workflow, rest) = text_of(rest).ok_or_else(bad)?;
            let stream =
                StreamId::Workflow { namespace: namespace.into(), workflow: workflow.into() };
            Ok((stream, rest))
        }
        Some((&PARTITION, rest)) => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(bad)?;
            Ok((StreamId::Partition(PartitionId(u16::from_be_bytes(*id))), rest))
        }
        Some((&REPLAY, rest)) => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(bad)?;
            Ok((StreamId::Replay(ReplayId(u128::from_be_bytes(*id))), rest))
        }
        Some((&REDRIVE, rest)) => {
            let (id, rest) = rest.split_first_chunk().ok_or_else(bad)?;
            Ok((StreamId::Redrive(RedriveId(u128::from_be_bytes(*id))), rest))
        }
        _ => Err(bad()),
    }
}

/// Reads a text from the beginning of a key; answers what follows it too.
pub(crate) fn text_of(key: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = key.split_at_checked(2)?;
    let length = u16::from_be_bytes(length.try_into().ok()?);
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_read_back_from_their_keys() {
        let run = ExecutionId { partition: PartitionId(3), digits: 99 };
        let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
        let partition = StreamId::Partition(PartitionId(7));
        let replay = StreamId::Replay(ReplayId(u128::MAX - 1));
        let redrive = StreamId::Redrive(RedriveId(u128::MAX - 2));
        for given in [StreamId::Execution(run), workflow, partition, replay, redrive] {
            let mut key = stream(&given);
            assert_eq!(key.len(), stream_key_bytes(&given));
            key.extend([7, 8]);
            assert_eq!(stream_of(&key), Ok((given, &[7, 8][..])));
        }
        assert!(stream_of(b"w\x00\x09short").is_err());
        assert!(stream_of(b"").is_err());
    }
}
