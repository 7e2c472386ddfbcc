//! The format of objects of configuration: set and removed, of each kind.

use backstitch_core::event::{Event, ObjectEvent, ObjectKind, PartitionEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_2};

/// Objects that were set, and one that was removed.
pub fn commit_objects() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let (at, stream) = (Timestamp(1_763_639_179_000_000), StreamId::Partition(RUN.partition));
    let set = |(kind, ..): &(ObjectKind, &str, &str)| ObjectEvent::Set {
        namespace: "default".into(),
        kind: *kind,
        name: "payments".into(),
        revision: 3,
        text: r#"{"description":"what all payments have"}"#.to_owned(),
        reason: "agreed on".to_owned(),
        actor: "ann".to_owned(),
    };
    let removed = ObjectEvent::Removed {
        namespace: "default".into(),
        kind: ObjectKind::AlertRule,
        name: "payments".into(),
        reason: "not needed".to_owned(),
        actor: "ann".to_owned(),
    };
    let all = ObjectKind::WORDS.iter().map(set).chain([removed]);
    for (version, event) in (20..).zip(all) {
        let event = Event::Partition(PartitionEvent::Object(event));
        assert_eq!(builder.push(&stream, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
