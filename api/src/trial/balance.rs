//! A balance that the tester can ask for: what real services say of themselves.
//!
//! A run that does not complete must leave it as it was. One that completes changes it; where the
//! answer is made of numbers, by as much as the run without a fault did.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client as Http;
use serde_json::Value;

use crate::error::Error;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most of a balance that a sentence shows, in characters.
const SHOWN_CHARS_MAX: usize = 200;

/// Where a balance is.
#[derive(Debug)]
pub(super) struct Balance {
    http: Http,
    url: String,
}

impl Balance {
    /// A balance at a URL.
    pub(super) fn at(url: &str) -> Result<Self, Error> {
        let is_http = reqwest::Url::parse(url).is_ok_and(|url| url.scheme().starts_with("http"));
        if !is_http {
            let message = format!("--balance `{url}` must be a URL that begins with http://");
            return Err(Error::Setting(message));
        }
        let built = Http::builder().timeout(ANSWER_TIMEOUT).no_proxy().build();
        let url = url.to_owned();
        match built {
            Ok(http) => Ok(Self { http, url }),
            Err(source) => Err(Error::Unreachable { url, source }),
        }
    }

    /// What it is now: JSON, or a text.
    pub(super) async fn ask(&self) -> Result<Value, Error> {
        let asked = async {
            let answer = self.http.get(&self.url).send().await?.error_for_status()?;
            answer.text().await
        };
        let failed = |source| {
            let why =
                std::error::Error::source(&source).map_or(String::new(), |own| format!(": {own}"));
            Error::Failed(format!("the balance can't be had: {source}{why}"))
        };
        let text = asked.await.map_err(failed)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// What is wrong with a balance behind a run; `usual` is before and behind the run without a
/// fault.
pub(super) fn wrong(
    (before, behind): (&Value, &Value),
    has_completed: bool,
    usual: Option<&(Value, Value)>,
) -> Option<String> {
    if !has_completed {
        let differs = before != behind;
        return differs.then(|| {
            format!("the balance was {} before and is {} now", shown(before), shown(behind))
        });
    }
    let expected = usual.and_then(|(before, behind)| change(before, behind))?;
    let own = change(before, behind)?;
    let first =
        expected.keys().chain(own.keys()).find(|path| own.get(*path) != expected.get(*path))?;
    let by = |changes: &BTreeMap<String, f64>| changes.get(first).copied().unwrap_or(0.0);
    let (own, expected) = (by(&own), by(&expected));
    let place = if first.is_empty() { String::new() } else { format!(" `{first}`") };
    Some(format!(
        "the balance{place} changed by {own}, and by {expected} in the run without a fault"
    ))
}

/// By how much each number changed, where something else did not change; nothing if it did.
fn change(before: &Value, behind: &Value) -> Option<BTreeMap<String, f64>> {
    let mut changes = BTreeMap::new();
    compare("", before, behind, &mut changes).then_some(changes)
}

fn compare(path: &str, before: &Value, behind: &Value, into: &mut BTreeMap<String, f64>) -> bool {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (before, behind) {
        (Value::Number(one), Value::Number(other)) => {
            let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) else { return false };
            if one != other {
                into.insert(path.to_owned(), other - one);
            }
            true
        }
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            // What is not there counts as zero where the other is a number.
            let zero = Value::from(0);
            let mut names = names.map(|name| {
                let own = (one.get(name).unwrap_or(&zero), other.get(name).unwrap_or(&zero));
                compare(&below(name), own.0, own.1, into)
            });
            names.all(|same| same)
        }
        (one, other) => one == other,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_did_not_complete_changes_nothing() {
        let (full, empty) = (json!({ "stock": 1 }), json!({ "stock": 0 }));
        assert_eq!(wrong((&full, &full), false, None), None);
        let said = wrong((&full, &empty), false, None).expect("it changed");
        assert_eq!(said, "the balance was {\"stock\":1} before and is {\"stock\":0} now");
    }

    #[test]
    fn a_run_that_completed_changes_what_the_one_without_a_fault_did() {
        let usual = Some((json!({ "stock": 9, "paid": 0 }), json!({ "stock": 8, "paid": 5 })));
        let before = json!({ "stock": 5, "paid": 20 });
        let fine = json!({ "stock": 4, "paid": 25 });
        assert_eq!(wrong((&before, &fine), true, usual.as_ref()), None);
        let twice = json!({ "stock": 4, "paid": 30 });
        let said = wrong((&before, &twice), true, usual.as_ref()).expect("it differs");
        assert!(said.contains("`paid` changed by 10, and by 5"), "{said}");
        let texts = json!({ "stock": 4, "paid": 30, "last": "o-7" });
        assert_eq!(wrong((&before, &texts), true, usual.as_ref()), None, "not comparable");
    }
}
