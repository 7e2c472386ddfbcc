//! Compiling which answers may stand for a step's own.

use serde_json::Value;

use super::{Compiler, Site, Step, TaskKind, Template, codes};
use crate::cache::{CACHE_TTL_MS_DEFAULT, CachePolicy};
use crate::ids::StepIndex;

impl Compiler<'_, '_> {
    /// What the step says of answers that may stand for its own, if it may say so.
    pub(super) fn cache(
        &mut self,
        path: &str,
        place: &str,
        index: StepIndex,
        (task, step): (&TaskKind, &Step),
    ) -> Option<Box<CachePolicy>> {
        let cache = step.cache.as_ref()?;
        let (path, place) = (format!("{path}.cache"), format!("{place}.cache"));
        if !matches!(task, TaskKind::Effect(_)) {
            let message =
                format!("a `{}` step asks no service, so it has no `cache`", step.task_type);
            self.problems.add(path.as_str(), codes::BAD_VALUE, message);
        } else if step.undo.is_some() {
            let message = "a step with an `undo` takes effect each time, and an answer from \
                           the cache would be no effect to undo; leave out one of them";
            self.problems.add(path.as_str(), codes::BAD_VALUE, message);
        }
        let key = cache.key.as_ref().map(|key| {
            let (path, place) = (format!("{path}.key"), format!("{place}.key"));
            let (names, allowance) = (&self.names, &self.allowance);
            let site = Site { path: &path, place: &place, names, allowance };
            let mut found = Vec::new();
            let key = Value::String(key.clone());
            let key = Template::compile(&key, &site, &mut found, self.problems);
            self.references.extend(found.into_iter().map(|found| (index, false, found)));
            key
        });
        let ttl_ms = cache.ttl.as_ref().and_then(|ttl| ttl.ms).unwrap_or(CACHE_TTL_MS_DEFAULT);
        Some(Box::new(CachePolicy { ttl_ms, key }))
    }
}
