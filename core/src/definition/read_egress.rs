//! Reading which hosts may be called.

use serde_json::Value;

use super::problem::{Problems, codes};
use super::read_fields::{Fields, type_of};
use crate::egress::{Egress, HOSTS_MAX, HostPattern};

/// The most rules on hosts of one workflow, its own and those of policies.
const EGRESS_MAX: usize = 64;
const EGRESS_FIELDS: [&str; 2] = ["allow", "deny"];

/// The rules on hosts of a definition: one, or a list of them.
pub(super) fn egress(fields: &Fields<'_>, problems: &mut Problems) -> Vec<Egress> {
    match fields.get("egress") {
        None => Vec::new(),
        Some(Value::Array(_)) => {
            let items = fields.list("egress", EGRESS_MAX, problems).iter().enumerate();
            items.filter_map(|(at, own)| one(own, &format!("egress[{at}]"), problems)).collect()
        }
        Some(own) => one(own, &fields.at("egress"), problems).into_iter().collect(),
    }
}

/// The one rule on hosts of a policy.
pub(crate) fn read_egress(fields: &Fields<'_>, problems: &mut Problems) -> Option<Egress> {
    one(fields.get("egress")?, &fields.at("egress"), problems)
}

fn one(value: &Value, path: &str, problems: &mut Problems) -> Option<Egress> {
    let fields = Fields::of(value, path, &EGRESS_FIELDS, problems)?;
    if EGRESS_FIELDS.iter().all(|name| fields.get(name).is_none()) {
        problems.add(path, codes::MISSING_FIELD, "`allow` or `deny` names hosts");
    }
    Some(Egress {
        allow: hosts(&fields, "allow", problems),
        deny: hosts(&fields, "deny", problems),
    })
}

/// A list that is there names at least one host: an empty `allow` might be meant as none.
fn hosts(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> Vec<HostPattern> {
    let given = fields.list(name, HOSTS_MAX, problems);
    if given.is_empty() && fields.get(name).is_some_and(Value::is_array) {
        let message = format!("`{name}` names at least one host; leave it out for none");
        problems.add(fields.at(name), codes::BAD_VALUE, message);
    }
    let mut read = Vec::with_capacity(given.len());
    for (at, own) in given.iter().enumerate() {
        let path = fields.at(&format!("{name}[{at}]"));
        let Value::String(text) = own else {
            let message = format!("a host is a text, not {}", type_of(own));
            problems.add(path, codes::WRONG_TYPE, message);
            continue;
        };
        match HostPattern::parse(text) {
            Ok(host) => read.push(host),
            Err(why) => problems.add(path, codes::BAD_VALUE, why),
        }
    }
    read
}
