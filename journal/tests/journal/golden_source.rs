//! The golden commit of a definition as it was submitted.

use backstitch_core::event::{Event, WorkflowEvent};
use backstitch_core::ids::{Digest, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_1};

/// A definition as it was submitted.
pub fn commit_source() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let head = commit_1().head();
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &head);
    let workflow = StreamId::Workflow { namespace: "default".into(), workflow: "order".into() };
    let text = "id: order # z\u{fc}rich\n".to_owned();
    let event = Event::Workflow(WorkflowEvent::SourceKept {
        digest: Digest::of(b"{}"),
        form: "canonical".to_owned(),
        format: "yaml".to_owned(),
        source: Digest::of(text.as_bytes()),
        text,
        actor: "ann".to_owned(),
    });
    assert_eq!(builder.push(&workflow, 3, Timestamp(1_763_639_179_000_000), &event), Fit::Fits);
    builder.finish(Timestamp(0))
}
