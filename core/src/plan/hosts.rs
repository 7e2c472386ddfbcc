//! The services that a definition names itself, as against those that a run's data names, and the
//! hosts that may be called at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::egress::Egress;

const SCHEMES: [&str; 2] = ["http://", "https://"];

/// The beginnings of the URLs that a definition writes out, scheme, host and port, such as
/// `https://pay.example` and `http://10.0.0.7:8080`: in lower case, as they are written. With
/// them, its rules on hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenHosts {
    written: Arc<BTreeSet<Box<str>>>,
    egress: Arc<[Egress]>,
}

impl WrittenHosts {
    /// Those of a canonical definition, wherever they stand in it.
    #[must_use]
    pub fn of(definition: &Value) -> Self {
        let mut found = BTreeSet::new();
        gather(definition, &mut found);
        Self { written: Arc::new(found), egress: Arc::default() }
    }

    /// The same, where only hosts may be called that all of these admit.
    #[must_use]
    pub fn within(self, egress: &[Egress]) -> Self {
        Self { egress: egress.into(), ..self }
    }

    /// Whether a host may be called at all, as a URL says it.
    #[must_use]
    pub fn admits(&self, host: &str) -> bool {
        self.egress.iter().all(|own| own.admits(host))
    }

    /// Whether one of them is written exactly so.
    #[must_use]
    pub fn has(&self, beginning: &str) -> bool {
        self.written.contains(beginning)
    }

    /// Each of them, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.written.iter().map(|own| &**own)
    }
}

fn gather(value: &Value, found: &mut BTreeSet<Box<str>>) {
    match value {
        Value::String(text) => found.extend(written(text)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| gather(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The beginning of a text that is a URL, if no template has a part in it: what stands behind
/// `http://pay.{{ ... }}`, or behind a port, may make another host of it.
fn written(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let scheme = SCHEMES.into_iter().find(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })?;
    let rest = &text[scheme.len()..];
    let host = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let plain = !host.is_empty() && !host.contains(['{', '}', '@', '%']);
    plain.then(|| format!("{scheme}{}", host.to_ascii_lowercase()).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_host_is_written_where_no_template_can_change_it() {
        let definition = json!({ "variables": { "base": "HTTP://Base.example:81" }, "steps": [
            { "with": { "url": "https://pay.example/{{ input.id }}" } },
            { "with": { "url": "http://10.0.0.7?x={{ input.x }}", "method": "GET" } },
            { "with": { "url": " http://[::1]:8080\\x" } },
            { "with": { "url": "http://svc.{{ input.zone }}/x" } },
            { "with": { "url": "http://svc:{{ input.port }}/x" } },
            { "with": { "url": "http://svc{{ input.at }}" } },
            { "with": { "url": "http://user@other/" } },
            { "with": { "url": "{{ input.url }}", "text": "see http://elsewhere/" } },
            { "with": { "url": "http://", "other": "ftp://files/", "short": "é" } },
        ] });
        let hosts = WrittenHosts::of(&definition);
        let known = [
            "http://10.0.0.7",
            "http://[::1]:8080",
            "http://base.example:81",
            "https://pay.example",
        ];
        assert_eq!(hosts.iter().collect::<Vec<_>>(), known);
    }
}
