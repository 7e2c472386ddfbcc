//! Reading the chain from any position, while it grows and when nobody writes.

use std::ops::ControlFlow;
use std::path::Path;

use backstitch_core::ids::PartitionId;
use backstitch_journal::{Commit, Error, Head, Journal, Options, Reader};

use crate::workload::{Acknowledged, Dice, Writer, nobody, options};

type ReadAfter<'a> = &'a dyn Fn(PartitionId, u64, Visit<'_>) -> Result<(), Error>;
type Visit<'a> = &'a mut dyn FnMut(&Commit) -> ControlFlow<()>;

/// What a partition's chain holds behind a position.
fn read_after(read: ReadAfter<'_>, partition: u16, after: u64) -> Vec<Acknowledged> {
    let mut found = Vec::new();
    read(PartitionId(partition), after, &mut |commit| {
        assert!(commit.head().position > after);
        found.push(Acknowledged::of(commit));
        ControlFlow::Continue(())
    })
    .expect("the chain is whole");
    found
}

/// Checks what reading answers from several positions of every partition.
pub fn check_chain(read: ReadAfter<'_>, partitions: u16, written: &[Acknowledged]) {
    for partition in 0..partitions {
        let all: Vec<_> = written.iter().filter(|a| a.partition == partition).cloned().collect();
        assert_eq!(read_after(read, partition, 0), all);
        let mut positions = Vec::new();
        read(PartitionId(partition), 0, &mut |commit| {
            positions.push(commit.head().position);
            ControlFlow::Continue(())
        })
        .expect("the chain is whole");
        for (at, position) in positions.iter().enumerate().step_by(7) {
            assert_eq!(read_after(read, partition, *position), all[at + 1..]);
            // From the middle of a commit on, that commit is needed too.
            assert_eq!(read_after(read, partition, position - 1), all[at..]);
        }
        let mut visits = 0;
        read(PartitionId(partition), 0, &mut |_| {
            visits += 1;
            ControlFlow::Break(())
        })
        .expect("the chain is whole");
        assert_eq!(visits, usize::from(!all.is_empty()));
    }
    assert_eq!(read_after(read, partitions, 0), []);
}

/// Reads the chain of a directory that no process has open.
pub fn check_reader(directory: &Path, written: &[Acknowledged]) {
    let reader = Reader::open(directory).expect("nobody has it open");
    let partitions = u16::try_from(reader.partitions()).expect("few partitions");
    check_chain(
        &|partition, after, visit| reader.commits_after(partition, after, visit),
        partitions,
        written,
    );
}

/// Where commits stand: partition and last position, in the order of writing.
fn read_behind(journal: &Journal, positions: &[u64]) -> Vec<(u16, u64)> {
    let mut found = Vec::new();
    let visit = &mut |commit: &Commit| {
        found.push((commit.partition().0, commit.head().position));
        ControlFlow::Continue(())
    };
    journal.commits_behind(positions, visit).expect("the chain is whole");
    found
}

/// Checks what reading all partitions on from any positions answers.
fn check_behind(journal: &Journal, written: &[Acknowledged], dice: &mut Dice) {
    let all = read_behind(journal, &[]);
    assert_eq!(all.len(), written.len());
    let heads = journal.heads();
    for _ in 0..40 {
        let far = dice.below(3) == 0;
        let below = |head: &Head, dice: &mut Dice| match far {
            true => dice.below(head.position + 1),
            false => head.position - dice.below(head.position.min(30) + 1),
        };
        let positions: Vec<u64> = heads.iter().map(|head| below(head, dice)).collect();
        let behind = |(partition, last): &(u16, u64)| *last > positions[usize::from(*partition)];
        let expected: Vec<_> = all.iter().copied().filter(behind).collect();
        assert_eq!(read_behind(journal, &positions), expected, "{positions:?}");
        let mut visits = 0;
        let visit = &mut |_: &Commit| {
            visits += 1;
            ControlFlow::Break(())
        };
        journal.commits_behind(&positions, visit).expect("the chain is whole");
        assert_eq!(visits, usize::from(!expected.is_empty()));
    }
}

#[test]
fn all_partitions_are_read_on_from_any_positions() {
    let directory = tempfile::tempdir().unwrap();
    // Small segments, and one that is more than readers pass between two places they remember.
    let (small, large) = (directory.path().join("small"), directory.path().join("large"));
    let in_files = Journal::open(&small, options()).unwrap();
    let whole = Options { segment_bytes: 4 * 1024 * 1024, ..options() };
    let in_one = Journal::open(&large, whole).unwrap();
    let mut dice = Dice(7);
    for opened in [in_files, in_one, Journal::memory(3)] {
        let mut writer = Writer::take_over(opened, 5);
        let mut written = Vec::new();
        for _ in 0..4 {
            written.extend(writer.write(150, &nobody()).unwrap());
            check_behind(&writer.journal, &written, &mut dice);
        }
        writer.journal.close().unwrap();
    }
    let closed = Journal::open(&small, options()).unwrap().journal;
    closed.close().unwrap();
    let refused = closed.commits_behind(&[], &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(Error::Closed)));
}

#[test]
fn commits_are_read_back_from_any_position() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Journal::open(directory.path(), options()).unwrap();
    let mut writer = Writer::take_over(opened, 3);
    let mut written = Vec::new();
    for _ in 0..4 {
        written.extend(writer.write(150, &nobody()).unwrap());
        let journal = writer.journal.clone();
        check_chain(
            &|partition, after, visit| journal.commits_after(partition, after, visit),
            4,
            &written,
        );
    }
    writer.journal.close().unwrap();
    let closed =
        writer.journal.commits_after(PartitionId(0), 0, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(closed, Err(Error::Closed)));
    drop(writer);
    check_reader(directory.path(), &written);
}

#[test]
fn a_journal_in_memory_reads_its_chain_too() {
    let mut writer = Writer::take_over(Journal::memory(3), 4);
    let written = writer.write(100, &nobody()).unwrap();
    let journal = writer.journal.clone();
    check_chain(
        &|partition, after, visit| journal.commits_after(partition, after, visit),
        3,
        &written,
    );
}
