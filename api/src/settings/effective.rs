//! Every setting as it is in force, and who set it.

use serde_json::{Map, Value, json};

use super::sources::{KEYS, Sources};

/// What a setting is where nobody says otherwise, as it would be written; the rest are not set.
const DEFAULTS: [(&str, &str); 34] = [
    ("data_dir", "backstitch-data"),
    ("listen", "127.0.0.1:8080"),
    ("fsync", "always"),
    ("partitions", "16"),
    ("archive", "true"),
    ("log_segments_kept", "2"),
    ("drain", "10s"),
    ("max_workers", "256"),
    ("max_parallel_workflows", "off"),
    ("queue_size", "1000000"),
    ("result_cache_bytes", "67108864"),
    ("breakers", "on"),
    ("fault_injection", "false"),
    ("shutdown", "drain"),
    ("log_level", "info"),
    ("log_format", "text"),
    ("log_buffer_bytes", "4194304"),
    ("log_collector_url", "off"),
    ("allow_unauthenticated", "false"),
    ("outgoing_certificate_hosts", "*"),
    ("rate_limit_address", "off"),
    ("rate_limit_caller", "off"),
    ("private_hosts", "auto"),
    ("node", "local"),
    ("dlq_alarm_letters", "1000"),
    ("dlq_alarm_age", "24h"),
    ("metrics", "true"),
    ("metrics_names", "all"),
    ("otlp_endpoint", "off"),
    ("otlp_service_name", "backstitch"),
    ("retention_interval", "off"),
    ("archive_keep_for", "off"),
    ("jwt_leeway", "60s"),
    ("jwt_jwks_refresh", "10m"),
];

/// Settings that may be URLs.
const WITH_URLS: [&str; 3] = ["jwt_jwks", "log_collector_url", "otlp_endpoint"];

/// The settings with their origins, and what was said to no effect. No secret is among them: a setting
/// names the variable or the file that holds one.
pub(super) fn effective(sources: &Sources) -> Value {
    let settings = KEYS.into_iter().map(|key| {
        let default = DEFAULTS.into_iter().find(|(own, _)| *own == key).map(|(_, word)| word);
        let shown = match sources.get(key) {
            Some(given) => json!({ "value": shown(key, &given.text), "origin": given.origin }),
            None => json!({ "value": default, "origin": "default" }),
        };
        (key.to_owned(), shown)
    });
    let settings: Map<String, Value> = settings.collect();
    json!({ "settings": settings, "without_effect": sources.idle() })
}

/// A URL may have a name and a password in it, or a secret in its query.
fn shown(key: &str, text: &str) -> String {
    let Some(mut url) = reqwest::Url::parse(text).ok().filter(|_| WITH_URLS.contains(&key)) else {
        return text.to_owned();
    };
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    match url.set_username("").and(url.set_password(None)) {
        Ok(()) => url.to_string(),
        // It has no place for them.
        Err(()) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn the_defaults_that_are_shown_are_those_in_force() {
        let said: Vec<_> = DEFAULTS.map(|(key, word)| (key, Some(word.to_owned()))).to_vec();
        let jwt = |key: &str| key.starts_with("jwt_");
        let said: Vec<_> = said.into_iter().filter(|(key, _)| !jwt(key)).collect();
        let none = Sources::gather(&[], |_| None, None).expect("no file");
        let all = Sources::gather(&said, |_| None, None).expect("no file");
        let (mut none, all) =
            (Settings::read(&none).expect("fine"), Settings::read(&all).expect("fine"));
        none.effective = all.effective.clone();
        assert_eq!(none, all);
    }

    #[test]
    fn every_setting_is_shown_with_its_origin_and_no_password() {
        let variable = |name: &str| match name {
            "BACKSTITCH_JWT_JWKS" => {
                Some("https://me:secret@id.example.com/keys?token=secret".to_owned())
            }
            "PORT" => Some("9000".to_owned()),
            "REDIS_HOST" => Some("redis".to_owned()),
            _ => None,
        };
        let shown = effective(&Sources::gather(&[], variable, None).expect("no file"));
        let settings = shown["settings"].as_object().expect("settings");
        assert_eq!(settings.len(), KEYS.len());
        assert_eq!(settings["listen"], json!({ "value": "127.0.0.1:9000", "origin": "PORT" }));
        assert_eq!(settings["drain"], json!({ "value": "10s", "origin": "default" }));
        assert_eq!(settings["jwt_jwks"]["value"], "https://id.example.com/keys?...");
        assert_eq!(shown["without_effect"][0]["name"], "REDIS_HOST");
    }
}
