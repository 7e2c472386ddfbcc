//! Deeds done to API keys.

use super::{AuditAction, Deed};
use crate::event::ApiKeyEvent;

/// What an event of an API key says somebody did.
pub(super) fn deed(event: &ApiKeyEvent) -> Deed {
    let (namespace, actor, action, id, detail) = match event {
        ApiKeyEvent::Created { id, name, namespace, permissions, expires_at, actor, .. } => {
            let until = expires_at.map_or_else(String::new, |at| format!(" until {at}"));
            let detail = format!("`{name}` may {}{until}", permissions.join(", "));
            (namespace, actor, AuditAction::KeyCreated, id, detail)
        }
        ApiKeyEvent::Revoked { id, namespace, reason, actor } => {
            (namespace, actor, AuditAction::KeyRevoked, id, reason.clone())
        }
    };
    Deed {
        namespace: Some(namespace.clone()),
        actor: actor.clone(),
        action,
        target: id.to_string(),
        detail,
    }
}
