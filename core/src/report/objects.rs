//! Objects of configuration as JSON.

use serde_json::{Value, json};

use crate::event::{ObjectEvent, ObjectKind};
use crate::objects::Object;

/// An object: what the API answers of it.
#[must_use]
pub fn object_json(kind: ObjectKind, name: &str, object: &Object) -> Value {
    json!({
        "name": name,
        "kind": kind.word(),
        "revision": object.revision,
        "content": object.content,
        "digest": object.digest.to_string(),
        "created_at": object.created_at.to_string(),
        "created_by": object.created_by,
        "updated_at": object.updated_at.to_string(),
        "updated_by": object.updated_by,
    })
}

pub(super) fn event(event: &ObjectEvent) -> (&'static str, Value) {
    match event {
        ObjectEvent::Set { namespace, kind, name, revision, text, reason, actor } => {
            let content = serde_json::from_str::<Value>(text).unwrap_or_else(|_| json!(text));
            let data = json!({
                "namespace": &**namespace, "kind": kind.word(), "name": &**name,
                "revision": revision, "content": content, "reason": reason, "actor": actor,
            });
            ("ConfigurationSet", data)
        }
        ObjectEvent::Removed { namespace, kind, name, reason, actor } => {
            let data = json!({
                "namespace": &**namespace, "kind": kind.word(), "name": &**name,
                "reason": reason, "actor": actor,
            });
            ("ConfigurationRemoved", data)
        }
    }
}
