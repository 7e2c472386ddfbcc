//! The format of API keys: made with and without an end, and revoked.

use backstitch_core::event::{ApiKeyEvent, Event, PartitionEvent};
use backstitch_core::ids::{Digest, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_2};

/// Somebody had a key count no more.
pub fn revoked() -> Event {
    let (id, namespace) = ("key_0123456789abcdef".into(), "default".into());
    let (reason, actor) = ("it was lost".to_owned(), "ann".to_owned());
    let revoked = ApiKeyEvent::Revoked { id, namespace, reason, actor };
    Event::Partition(PartitionEvent::ApiKey(revoked))
}

/// Somebody had a key made.
pub fn created(expires_at: Option<Timestamp>) -> Event {
    Event::Partition(PartitionEvent::ApiKey(ApiKeyEvent::Created {
        id: "key_0123456789abcdef".into(),
        name: "ci".to_owned(),
        namespace: "default".into(),
        digest: Digest::of(b"its text"),
        permissions: vec!["workflows:read".to_owned(), "*".to_owned()],
        expires_at,
        actor: "ann".to_owned(),
    }))
}

/// Keys that were made and revoked.
pub fn commit_api_keys() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let at = Timestamp(1_763_639_179_000_000);
    let stream = StreamId::Partition(RUN.partition);
    for (version, event) in (20..).zip([created(None), created(Some(at)), revoked()]) {
        assert_eq!(builder.push(&stream, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
