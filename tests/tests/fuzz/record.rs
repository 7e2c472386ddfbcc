//! Commits as they lie in the log: refused, or decoded to records that can all be shown and
//! read again. The hash is set right, so that what stands behind it is reached.

use backstitch_core::event::Event;
use backstitch_core::export::{event_from_value, event_to_value};
use backstitch_core::ids::Digest;
use backstitch_core::report::event_json;
use backstitch_journal::Commit;

const TRIES: u64 = 10_000;
/// Bytes of the hash at a commit's end.
const HASH_BYTES: usize = 32;

#[test]
fn commits_are_refused_or_decoded_whole() {
    let folders = ["fuzz/corpus/record", "../journal/tests/golden"];
    let corpus: Vec<_> = folders.into_iter().flat_map(super::files).collect();
    super::fuzz(&corpus, &[], TRIES, |input| {
        let mut bytes = input.to_vec();
        if let Some(covered) = bytes.len().checked_sub(HASH_BYTES) {
            let hash = Digest::of(&bytes[..covered]);
            bytes[covered..].copy_from_slice(&hash.0);
        }
        let Ok(commit) = Commit::decode(bytes) else { return };
        let records = commit.records();
        assert_eq!(records.len(), commit.count());
        for record in records {
            let (kind, _) = event_json(&record.event, None);
            assert!(!kind.is_empty());
            let mut event = record.event;
            let mut whole = true;
            event.for_each_payload_mut(&mut |payload| whole &= payload.absent().is_none());
            if let (Event::Run(_), true) = (&event, whole) {
                let written = event_to_value(&event);
                let read = event_from_value(written.clone());
                let read = read.expect("what is exported is imported");
                assert_eq!(event_to_value(&read), written);
            }
        }
    });
}
