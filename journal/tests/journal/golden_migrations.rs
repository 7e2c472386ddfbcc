//! The format of migrations.

use backstitch_core::event::{Event, ForkEvent, RunEvent};
use backstitch_core::ids::{Digest, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_2};

/// A run goes on with another revision.
pub fn commit_migrations() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let (reason, actor) = ("the price was wrong".to_owned(), "ann".to_owned());
    let digest = Digest::of(b"a definition");
    let event = ForkEvent::Migrated { revision: 7, digest, reason, actor };
    let event = Event::Run(RunEvent::Fork(event));
    let at = Timestamp(1_763_639_179_000_000);
    assert_eq!(builder.push(&StreamId::Execution(RUN), 80, at, &event), Fit::Fits);
    builder.finish(Timestamp(0))
}
