//! Every problem of some settings, for whoever changes them while the server runs.

use super::sources::KEYS;
use super::{Settings, Sources};
use crate::error::Error;

/// Sentences, and the setting that each is about where it is one.
pub type Problems = Vec<(Option<&'static str>, String)>;

impl Settings {
    /// Reads settings to the end: what is wrong is left out, and the rest is read again.
    ///
    /// # Errors
    /// A sentence for each problem, with its origin, and the setting that brings it about where it is one.
    pub fn read_whole(sources: &Sources) -> Result<Self, Problems> {
        let mut left = sources.clone();
        let mut problems = Vec::new();
        loop {
            let sentence = match Self::read(&left) {
                Ok(settings) if problems.is_empty() => return Ok(settings),
                Ok(_) => return Err(problems),
                Err(error) => error.sentence(),
            };
            let same = |own: Result<Self, Error>| own.is_err_and(|own| own.sentence() == sentence);
            let given = KEYS.into_iter().filter(|key| left.get(key).is_some());
            let cause = given.into_iter().find(|key| !same(Self::read(&left.without(key))));
            problems.push((cause, sentence));
            match cause {
                Some(key) => left = left.without(key),
                None => return Err(problems),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_found_with_its_setting_and_origin() {
        let given = |pairs: &[(&'static str, &str)]| {
            let flags: Vec<_> =
                pairs.iter().map(|(key, text)| (*key, Some((*text).into()))).collect();
            let sources = Sources::gather(&flags, |_| None, None).expect("no file");
            Settings::read_whole(&sources)
        };
        assert!(given(&[("drain", "2s")]).is_ok());
        let problems = given(&[
            ("drain", "never"),
            ("jwt_issuer", "https://id"),
            ("listen", "127.0.0.1:1"),
            ("log_level", "loud"),
            ("otlp_headers", "bare"),
        ]);
        let problems = problems.expect_err("wrong");
        let mut keys: Vec<_> = problems.iter().filter_map(|(key, _)| *key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["drain", "jwt_issuer", "log_level", "otlp_headers"]);
        assert!(problems.iter().any(|(_, why)| why.starts_with("--drain: `never` must be")));
    }
}
