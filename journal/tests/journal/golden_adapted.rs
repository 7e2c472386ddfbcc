//! The format of what policies make of a revision.

use backstitch_core::event::{Applied, Event, WorkflowEvent};
use backstitch_core::ids::{DEFAULT_NAMESPACE, Digest, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_2};

/// A content in two pieces, with who said what in it.
pub fn commit_adapted() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let at = Timestamp(1_763_639_179_000_000);
    let (namespace, workflow) = (DEFAULT_NAMESPACE.into(), "order".into());
    let stream = StreamId::Workflow { namespace, workflow };
    let (first, last) = (r#"{"id":"order","defaults":{"timeout":"#, r#""5s"}}"#);
    let applied = |field: &str, by: &str, revision: u32| Applied {
        field: field.to_owned(),
        by: by.to_owned(),
        revision,
    };
    let events = [
        WorkflowEvent::DefinitionPart { text: first.to_owned() },
        WorkflowEvent::Adapted {
            revision: 3,
            digest: Digest::of(format!("{first}{last}").as_bytes()),
            text: last.to_owned(),
            applied: vec![
                applied("defaults.timeout", "policy:payments", 2),
                applied("types.crm.url", "adapter:crm", 1),
                applied("defaults.retry", "environment:staging", 0),
            ],
        },
    ];
    for (version, event) in (20..).zip(events) {
        assert_eq!(builder.push(&stream, version, at, &Event::Workflow(event)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
