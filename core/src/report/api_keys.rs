//! API keys as JSON, without anything that could stand for their text.

use serde_json::{Value, json};

use crate::api_keys::ApiKey;
use crate::event::ApiKeyEvent;
use crate::time::Timestamp;

/// A key: what the API answers of it.
#[must_use]
pub fn api_key_json(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "key_id": &*key.id,
        "name": key.name,
        "namespace": &*key.namespace,
        "permissions": key.permissions,
        "created_at": key.created_at.to_string(),
        "created_by": key.created_by,
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "expired": key.is_expired(now),
    })
}

pub(super) fn event(event: &ApiKeyEvent) -> (&'static str, Value) {
    match event {
        ApiKeyEvent::Created { id, name, namespace, permissions, expires_at, actor, .. } => {
            let data = json!({
                "key_id": &**id, "name": name, "namespace": &**namespace,
                "permissions": permissions, "actor": actor,
                "expires_at": expires_at.map(|at| at.to_string()),
            });
            ("ApiKeyCreated", data)
        }
        ApiKeyEvent::Revoked { id, namespace, reason, actor } => {
            let data = json!({
                "key_id": &**id, "namespace": &**namespace, "reason": reason, "actor": actor,
            });
            ("ApiKeyRevoked", data)
        }
    }
}
