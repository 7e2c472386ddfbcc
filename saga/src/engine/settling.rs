//! Children that wait until it is durable what policies make of their revisions.

use std::sync::Arc;

use backstitch_core::links::Parcel;
use tokio::sync::mpsc;

use crate::catalog::Name;
use crate::handle::Handle;
use crate::partition::Post;

/// Settles what policies make of a revision, and hands the message over again that needs it. What
/// fails here is left to the sender, which sends it again.
pub(super) fn settle(
    handle: Handle,
    (namespace, workflow): Name,
    revision: u32,
    again: Box<Parcel>,
    peers: Arc<[mpsc::Sender<Post>]>,
) {
    tokio::spawn(async move {
        if let Err(why) = handle.settle(&namespace, &workflow, revision).await {
            tracing::debug!(%workflow, revision, error = %why, "a child waits for its policies");
            return;
        }
        if let Some(peer) = peers.get(usize::from(again.to.partition.0)) {
            drop(peer.try_send(Post::Deliver(again)));
        }
    });
}
