//! Removed redrives: their histories are gone wherever they were, and for ever.

use backstitch_core::event::PartitionEvent;
use backstitch_core::ids::{PartitionId, RedriveId, StreamId};
use backstitch_journal::{Journal, Reader, verify};

use crate::removal::{copy, unhurried};
use crate::workload::{Writer, nobody};

const GONE: StreamId = StreamId::Redrive(RedriveId(7));
const KEPT: StreamId = StreamId::Redrive(RedriveId(8));

fn check(journal: &Journal) {
    assert_eq!(journal.history(&GONE).expect("it is whole"), None);
    assert_eq!(journal.last_version(&GONE).expect("it is whole"), None);
    assert_eq!(journal.last_version(&KEPT).expect("it is whole"), Some(3));
}

#[test]
fn a_removed_redrive_is_gone_wherever_it_was() {
    for stored_before in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let opened = Journal::open(directory.path(), unhurried()).expect("it opens");
        let mut writer = Writer::take_over(opened, 3);
        writer.write(40, &nobody()).expect("everything is taken");
        writer.redrive(RedriveId(7), 5).expect("it is taken");
        writer.redrive(RedriveId(8), 3).expect("it is taken");
        if stored_before {
            writer.journal.store_now().unwrap();
        }
        let (rule, actor) = ("a test's".to_owned(), "test".to_owned());
        let event = PartitionEvent::RedrivesRemoved { redrives: vec![RedriveId(7)], rule, actor };
        writer.record(PartitionId(0), event).expect("it is taken");
        check(&writer.journal);
        // As a crash leaves it, with and without what was stored.
        let crashed = tempfile::tempdir().unwrap();
        copy(directory.path(), crashed.path());
        writer.journal.store_now().unwrap();
        check(&writer.journal);
        writer.journal.close().unwrap();
        drop(writer);
        for place in [directory.path(), crashed.path()] {
            for _ in 0..2 {
                let opened = Journal::open(place, unhurried()).expect("it opens");
                assert!(!opened.streams.contains(&GONE), "a start has nothing to take up");
                assert!(opened.streams.contains(&KEPT));
                let writer = Writer::take_over(opened, 9);
                check(&writer.journal);
                writer.journal.close().unwrap();
            }
            assert!(verify(place).unwrap().ok);
            let reader = Reader::open(place).unwrap();
            assert_eq!(reader.history(&GONE).unwrap(), None);
            drop(reader);
            std::fs::remove_dir_all(place.join("store")).unwrap();
            let opened = Journal::open(place, unhurried()).expect("it makes the store anew");
            let writer = Writer::take_over(opened, 9);
            check(&writer.journal);
            writer.journal.close().unwrap();
        }
    }
}
