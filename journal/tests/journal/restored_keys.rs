//! A restore says which API keys count in what is restored.

use backstitch_core::event::Event;
use backstitch_core::ids::{PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Journal, RestorePoint, RestoreReport};

use crate::damage::copy;
use crate::golden_api_keys::{created, revoked};
use crate::restore::{append, restored};
use crate::workload::options;

fn in_force(report: &RestoreReport) -> Vec<&str> {
    report.api_keys.iter().map(|key| key.key_id.as_str()).collect()
}

#[test]
fn a_key_that_a_source_knows_as_valid_is_named_and_one_that_was_revoked_is_not() {
    let work = tempfile::tempdir().expect("a folder");
    let (source, older) = (work.path().join("source"), work.path().join("older"));
    let own = |version: u64, event: Event| [(StreamId::Partition(PartitionId(0)), version, event)];
    let opened = Journal::open(&source, options()).expect("a new journal");
    let mut head = opened.heads[0];
    append(&opened.journal, &mut head, &own(1, created(None)), 10);
    opened.journal.close().expect("it closes");
    drop(opened);
    copy(&source, &older);
    let opened = Journal::open(&source, options()).expect("it opens");
    let mut head = opened.heads[0];
    append(&opened.journal, &mut head, &own(2, revoked()), 20);
    opened.journal.close().expect("it closes");
    drop(opened);
    let to = |name: &str| work.path().join(name);
    let report = restored(&older, &to("a"), RestorePoint::End);
    assert_eq!(in_force(&report), ["key_0123456789abcdef"], "it knows nothing of the revocation");
    assert_eq!(
        (report.api_keys[0].name.as_str(), report.api_keys[0].namespace.as_str()),
        ("ci", "default")
    );
    for (name, point) in [("b", RestorePoint::End), ("c", RestorePoint::Instant(Timestamp(10)))] {
        assert!(in_force(&restored(&source, &to(name), point)).is_empty());
    }
}
