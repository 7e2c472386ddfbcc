//! What somebody did to redrives.

use super::{AuditAction, Deed};
use crate::event::RedriveEvent;
use crate::ids::StreamId;

pub(super) fn deed(stream: &StreamId, event: &RedriveEvent) -> Option<Deed> {
    let (namespace, actor, action, detail) = match event {
        RedriveEvent::Requested(request) => {
            let namespace = Some(request.namespace.clone());
            (namespace, &request.actor, AuditAction::RedriveRequested, &request.reason)
        }
        RedriveEvent::Halted { reason, actor: Some(actor) } => {
            (None, actor, AuditAction::RedrivePaused, reason)
        }
        RedriveEvent::Resumed { reason, actor } => {
            (None, actor, AuditAction::RedriveResumed, reason)
        }
        RedriveEvent::Cancelled { reason, actor } => {
            (None, actor, AuditAction::RedriveCancelled, reason)
        }
        RedriveEvent::Halted { actor: None, .. }
        | RedriveEvent::Claimed { .. }
        | RedriveEvent::Observed { .. }
        | RedriveEvent::Completed => return None,
    };
    let (target, detail) = (stream.to_string(), detail.clone());
    Some(Deed { namespace, actor: actor.clone(), action, target, detail })
}
