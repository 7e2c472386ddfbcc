//! Deeds done to objects of configuration.

use super::{AuditAction, Deed};
use crate::event::ObjectEvent;

/// What an event of an object says somebody did.
pub(super) fn deed(event: &ObjectEvent) -> Deed {
    let (namespace, actor, action, (kind, name), detail) = match event {
        ObjectEvent::Set { namespace, kind, name, revision, reason, actor, .. } => {
            let detail = match reason.as_str() {
                "" => format!("revision {revision}"),
                reason => format!("revision {revision}: {reason}"),
            };
            (namespace, actor, AuditAction::ConfigurationSet, (kind, name), detail)
        }
        ObjectEvent::Removed { namespace, kind, name, reason, actor } => {
            (namespace, actor, AuditAction::ConfigurationRemoved, (kind, name), reason.clone())
        }
    };
    Deed {
        namespace: Some(namespace.clone()),
        actor: actor.clone(),
        action,
        target: format!("{}/{name}", kind.collection()),
        detail,
    }
}
