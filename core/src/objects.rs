//! Objects of configuration as the stream of partition 0 tells them: policies, environments,
//! adapters, alert channels and alert rules.
//!
//! Knows how they are named and kept; what each kind says is read by [`check`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::alerts;
use crate::definition::problem::{Problem, codes};
use crate::event::{ObjectEvent, ObjectKind};
use crate::ids::Digest;
use crate::policy;
use crate::time::Timestamp;

/// The most objects of one kind.
pub const OBJECTS_MAX: usize = 1_000;
/// The most of them of one tenant.
pub const OBJECTS_PER_NAMESPACE_MAX: usize = 250;
/// The longest name, in bytes.
pub const OBJECT_NAME_BYTES_MAX: usize = 64;
/// The most bytes of an object's canonical JSON.
pub const OBJECT_BYTES_MAX: usize = 32 * 1024;

impl ObjectKind {
    /// Every kind, with the word for one and for all of them.
    pub const WORDS: [(Self, &'static str, &'static str); 5] = [
        (Self::Policy, "policy", "policies"),
        (Self::Environment, "environment", "environments"),
        (Self::Adapter, "adapter", "adapters"),
        (Self::AlertChannel, "alert channel", "alerts/channels"),
        (Self::AlertRule, "alert rule", "alerts/rules"),
    ];

    /// The word for one of them.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(own, ..)| *own == self).map_or("", |(_, word, _)| word)
    }

    /// The word for all of them, as paths and the audit have it.
    #[must_use]
    pub fn collection(self) -> &'static str {
        Self::WORDS.iter().find(|(own, ..)| *own == self).map_or("", |(.., word)| word)
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Counted from 1 since it is there.
    pub revision: u32,
    /// What it says.
    pub content: Value,
    /// blake3 of what it says, as canonical JSON.
    pub digest: Digest,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Since when it says that.
    pub updated_at: Timestamp,
    /// Who had it say that.
    pub updated_by: String,
}

/// Namespace, kind and name.
pub type ObjectId = (Arc<str>, ObjectKind, Arc<str>);

/// Every object that is there.
pub type Objects = BTreeMap<ObjectId, Arc<Object>>;

/// The bound that is reached, of all objects of a kind or of a tenant's.
#[must_use]
pub fn full(objects: &Objects, namespace: &str, kind: ObjectKind) -> Option<usize> {
    let of_kind = objects.keys().filter(|(_, own, _)| *own == kind);
    let (own, all) = of_kind.fold((0, 0), |(own, all), (other, ..)| {
        (own + usize::from(**other == *namespace), all + 1)
    });
    let of_all = (all >= OBJECTS_MAX).then_some(OBJECTS_MAX);
    of_all.or((own >= OBJECTS_PER_NAMESPACE_MAX).then_some(OBJECTS_PER_NAMESPACE_MAX))
}

/// The objects of a kind that a tenant has, by name.
pub fn of_kind<'a>(
    objects: &'a Objects,
    namespace: &Arc<str>,
    kind: ObjectKind,
) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<Object>)> {
    let own = namespace.clone();
    objects
        .range((namespace.clone(), kind, Arc::from(""))..)
        .take_while(move |((other, sort, _), _)| *other == own && *sort == kind)
        .map(|((_, _, name), object)| (name, object))
}

/// Reads what an object is to say; answers it as canonical JSON.
///
/// # Errors
/// Every problem, with its place.
pub fn check(kind: ObjectKind, name: &str, content: &Value) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wrong = |path: &str, code, message| {
        problems.push(Problem { path: path.to_owned(), code, message });
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=OBJECT_NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        let message =
            format!("a name has 1 to {OBJECT_NAME_BYTES_MAX} letters, digits, `-`, `_` or `.`");
        wrong("name", codes::BAD_ID, message);
    }
    if !content.is_object() {
        wrong("", codes::WRONG_TYPE, format!("an {} is an object", kind.word()));
    }
    let text = content.to_string();
    if text.len() > OBJECT_BYTES_MAX {
        let message = format!("has {} bytes; at most {OBJECT_BYTES_MAX} are taken", text.len());
        wrong("", codes::OUT_OF_RANGE, message);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    match kind {
        ObjectKind::Policy => policy::check_policy(content).map(|own| own.to_string()),
        ObjectKind::Environment => policy::check_environment(content).map(|own| own.to_string()),
        ObjectKind::Adapter => policy::check_adapter(content).map(|own| own.to_string()),
        ObjectKind::AlertChannel => alerts::channel(content).map(|_| text),
        ObjectKind::AlertRule => alerts::rule(content).map(|_| text),
    }
}

/// Folds one event.
pub fn evolve(objects: &mut Objects, event: &ObjectEvent, at: Timestamp) {
    match event {
        ObjectEvent::Set { namespace, kind, name, revision, text, actor, .. } => {
            let id = (namespace.clone(), *kind, name.clone());
            let known = objects.get(&id);
            let (created_at, created_by) = known.map_or_else(
                || (at, actor.clone()),
                |own| (own.created_at, own.created_by.clone()),
            );
            let object = Object {
                revision: *revision,
                content: serde_json::from_str(text).unwrap_or_default(),
                digest: Digest::of(text.as_bytes()),
                created_at,
                created_by,
                updated_at: at,
                updated_by: actor.clone(),
            };
            objects.insert(id, Arc::new(object));
        }
        ObjectEvent::Removed { namespace, kind, name, .. } => {
            drop(objects.remove(&(namespace.clone(), *kind, name.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(namespace: &str, kind: ObjectKind, name: &str, revision: u32) -> ObjectEvent {
        ObjectEvent::Set {
            namespace: namespace.into(),
            kind,
            name: name.into(),
            revision,
            text: json!({ "n": revision }).to_string(),
            reason: String::new(),
            actor: format!("ann {revision}"),
        }
    }

    #[test]
    fn the_newest_content_counts_and_what_is_removed_is_gone() {
        let (mut objects, own) = (Objects::new(), Arc::<str>::from("default"));
        let (kind, other) = (ObjectKind::Policy, ObjectKind::Environment);
        for (at, event) in
            [set("default", kind, "a", 1), set("default", kind, "a", 2), set("e", kind, "a", 1)]
                .iter()
                .chain([&set("default", other, "a", 1), &set("default", kind, "b", 1)])
                .enumerate()
        {
            evolve(&mut objects, event, Timestamp(i64::try_from(at).unwrap_or(0)));
        }
        let found: Vec<_> = of_kind(&objects, &own, kind).collect();
        assert_eq!(found.iter().map(|(name, _)| &***name).collect::<Vec<_>>(), ["a", "b"]);
        let (first, _) = (&found[0].1, &found[1]);
        assert_eq!((first.revision, &first.content), (2, &json!({ "n": 2 })));
        assert_eq!((first.created_at, first.updated_at), (Timestamp(0), Timestamp(1)));
        assert_eq!((&*first.created_by, &*first.updated_by), ("ann 1", "ann 2"));
        assert_eq!(first.digest, Digest::of(br#"{"n":2}"#));
        let (namespace, name) = (own.clone(), "a".into());
        let (reason, actor) = (String::new(), "bob".to_owned());
        let removed = ObjectEvent::Removed { namespace, kind, name, reason, actor };
        evolve(&mut objects, &removed, Timestamp(9));
        assert_eq!((of_kind(&objects, &own, kind).count(), objects.len()), (1, 3));
    }

    #[test]
    fn a_kind_has_a_bound_and_a_tenant_a_lower_one() {
        let (mut objects, kind) = (Objects::new(), ObjectKind::AlertRule);
        let mut fill = |namespace: &str, count: usize| {
            for n in 0..count {
                evolve(&mut objects, &set(namespace, kind, &n.to_string(), 1), Timestamp(0));
            }
            (full(&objects, "a", kind), full(&objects, "e", kind))
        };
        assert_eq!(fill("a", OBJECTS_PER_NAMESPACE_MAX - 1), (None, None));
        assert_eq!(fill("a", OBJECTS_PER_NAMESPACE_MAX), (Some(OBJECTS_PER_NAMESPACE_MAX), None));
        for other in ["b", "c", "d"] {
            fill(other, OBJECTS_PER_NAMESPACE_MAX);
        }
        assert_eq!(full(&objects, "e", kind), Some(OBJECTS_MAX));
        assert_eq!(full(&objects, "e", ObjectKind::Policy), None);
    }

    #[test]
    fn a_name_is_plain_and_a_content_an_object_of_bounded_size() {
        let of = |name: &str, content: &Value| {
            check(ObjectKind::Adapter, name, content)
                .map_err(|found| found.into_iter().map(|own| own.code).collect::<Vec<_>>())
        };
        assert_eq!(of("a/b", &json!([])), Err(vec![codes::BAD_ID, codes::WRONG_TYPE]));
        let large = json!({ "url": "x".repeat(OBJECT_BYTES_MAX) });
        assert_eq!(of("", &large), Err(vec![codes::BAD_ID, codes::OUT_OF_RANGE]));
    }
}
