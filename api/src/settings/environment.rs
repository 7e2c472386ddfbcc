//! `environment` and `environments`: where the server runs, and what that means.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::objects::OBJECT_NAME_BYTES_MAX;
use backstitch_core::policy::{self, Environment};
use serde_json::Value;

/// The most environments of one configuration file.
const ENVIRONMENTS_MAX: usize = 64;

/// A name, as objects of configuration have them.
pub(super) fn name(text: &str) -> Result<Option<Arc<str>>, String> {
    match is_name(text) {
        true => Ok(Some(text.into())),
        false => Err(format!(
            "the name of an environment: 1 to {OBJECT_NAME_BYTES_MAX} letters, digits, `-`, `_` or \
             `.`"
        )),
    }
}

/// Environments by name, as document 001 writes them.
pub(super) fn all(text: &str) -> Result<BTreeMap<Arc<str>, Environment>, String> {
    let wrong = |why: String| format!("environments by name; {why}");
    let Ok(Value::Object(given)) = serde_json::from_str(text) else {
        return Err(wrong("it is an object".to_owned()));
    };
    if given.len() > ENVIRONMENTS_MAX {
        return Err(wrong(format!("at most {ENVIRONMENTS_MAX} are taken")));
    }
    let mut read = BTreeMap::new();
    for (name, content) in given {
        if !is_name(&name) {
            return Err(wrong("a name has letters, digits, `-`, `_` and `.`".to_owned()));
        }
        let own = policy::environment(&content).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            wrong(format!("`{name}`: {first}"))
        })?;
        read.insert(name.into(), own);
    }
    Ok(read)
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=OBJECT_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_are_read_as_they_are_printed_and_what_is_wrong_is_named() {
        let printed = r#"{ "production": { "retry-attempts": 5, "timeout": "30s" }, "dev": {} }"#;
        let read = all(printed).expect("all is well");
        assert_eq!(read["production"].retry_attempts, Some(5));
        assert_eq!(read["dev"], Environment::default());
        for (text, words) in [
            ("[]", "an object"),
            (r#"{ "a b": {} }"#, "a name"),
            (r#"{ "a": { "retries": 5 } }"#, "`a`: retries"),
        ] {
            let why = all(text).expect_err("it is wrong");
            assert!(why.contains(words), "{why}");
        }
        assert!(name("staging").is_ok() && name("").is_err() && name("a/b").is_err());
    }
}
