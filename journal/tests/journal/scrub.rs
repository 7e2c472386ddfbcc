//! What opening has no need to read is compared behind it: the log with its archive.

use std::fs;

use backstitch_journal::Journal;

use crate::archive::{arc, begun, flip_a_record, kept_twice, seg, small};
use crate::life::{check_open, lines};

#[test]
fn what_is_flipped_in_one_copy_is_made_anew_from_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let (keeping, written) = kept_twice(directory.path());
    assert!(begun(directory.path()).len() > 3);
    let (of_log, of_archive) =
        ([1, 3].map(|number| seg(directory.path(), number)), arc(directory.path(), 2));
    let before = of_log.clone().map(|path| fs::read(path).unwrap());
    let mut bytes = before[0].clone();
    flip_a_record(&mut bytes);
    fs::write(&of_log[0], &bytes).unwrap();
    // What pads a group up to its sector belongs to no record, and is compared as well.
    let mut bytes = before[1].clone();
    let ends = (18..bytes.len() / 512).map(|sector| sector * 512 - 1);
    let mut padding = ends.filter(|&at| bytes[at] == 0 && bytes[at + 1] != 0);
    let at = padding.next().expect("some group ends before its sector does");
    bytes[at] ^= 1;
    fs::write(&of_log[1], &bytes).unwrap();
    let packed = fs::read(&of_archive).unwrap();
    let mut bytes = packed.clone();
    bytes[9_000] ^= 1;
    fs::write(&of_archive, &bytes).unwrap();
    let opened = Journal::open(directory.path(), keeping).unwrap();
    assert!(opened.report.segments_healed.is_empty());
    while opened.journal.info().archive.segments_healed < 3 {
        std::thread::yield_now();
    }
    opened.journal.close().unwrap();
    drop(opened);
    assert!(of_log.map(|path| fs::read(path).unwrap()) == before);
    assert!(fs::read(&of_archive).unwrap() == packed);
    check_open(directory.path(), small(), &lines(&written)).unwrap();
}
