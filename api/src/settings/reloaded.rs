//! What becomes of settings that are read again: some take force, some need a restart.

use serde_json::{Value, json};

use super::Settings;
use super::sources::KEYS;

/// Settings that take force without a restart.
const TAKE_FORCE: [&str; 8] = [
    "log_level",
    "rate_limit_address",
    "rate_limit_caller",
    "allowed_hosts",
    "dlq_alarm_letters",
    "dlq_alarm_age",
    "secrets_dir",
    "retention",
];

/// A setting that is written otherwise than before.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its key.
    pub setting: &'static str,
    /// As it is in force: null if it is not set.
    pub from: Value,
    /// As it was read.
    pub to: Value,
    /// Where that is said.
    pub origin: Value,
}

impl Change {
    /// For whoever had them read.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { setting, from, to, origin } = self;
        json!({ "setting": setting, "from": from, "to": to, "origin": origin })
    }
}

/// What becomes of settings that were read again.
#[derive(Debug, Clone)]
pub struct Reload {
    /// As they are in force from now on.
    pub settings: Settings,
    /// Those that took force.
    pub changed: Vec<Change>,
    /// Those that do with the next start.
    pub needs_restart: Vec<Change>,
}

impl Settings {
    /// These settings, which are in force, with what can take force of others that were read.
    #[must_use]
    pub fn reloaded(&self, read: &Self) -> Reload {
        let mut settings = Self {
            log_level: read.log_level.clone(),
            rate_limit_address: read.rate_limit_address,
            rate_limit_caller: read.rate_limit_caller,
            allowed_hosts: read.allowed_hosts.clone(),
            letter_alarm: read.letter_alarm,
            secrets_dir: read.secrets_dir.clone(),
            ..self.clone()
        };
        settings.retention.policy.clone_from(&read.retention.policy);
        let (mut changed, mut needs_restart) = (Vec::new(), Vec::new());
        for setting in KEYS {
            let (from, to) =
                (&self.effective["settings"][setting], &read.effective["settings"][setting]);
            if from["value"] == to["value"] {
                continue;
            }
            let change = Change {
                setting,
                from: from["value"].clone(),
                to: to["value"].clone(),
                origin: to["origin"].clone(),
            };
            if TAKE_FORCE.contains(&setting) {
                settings.effective["settings"][setting] = to.clone();
                changed.push(change);
            } else {
                needs_restart.push(change);
            }
        }
        Reload { settings, changed, needs_restart }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Settings {
        let flags: Vec<_> = pairs.iter().map(|(key, text)| (*key, Some((*text).into()))).collect();
        let sources = Sources::gather(&flags, |_| None, None).expect("no file");
        Settings::read(&sources).expect("settings")
    }

    /// Another value of each setting that takes force.
    const OTHERS: [(&str, &str); TAKE_FORCE.len()] = [
        ("log_level", "debug"),
        ("rate_limit_address", "1/s"),
        ("rate_limit_caller", "2/s"),
        ("allowed_hosts", "a.example"),
        ("dlq_alarm_letters", "7"),
        ("dlq_alarm_age", "7h"),
        ("secrets_dir", "secrets"),
        ("retention", r#"{"rules":[{"name":"n","keep_count":1}]}"#),
    ];

    #[test]
    fn what_takes_force_is_what_is_said_to_and_nothing_else_is() {
        let (start, all) = (read(&[]), read(&OTHERS));
        let reload = start.reloaded(&all);
        assert_eq!(reload.settings, all);
        assert_eq!((reload.changed.len(), reload.needs_restart.len()), (TAKE_FORCE.len(), 0));
        for (key, word) in OTHERS {
            assert_eq!(start.reloaded(&read(&[(key, word)])).changed[0].setting, key);
        }
        let fixed = read(&[("drain", "2s"), ("listen", "127.0.0.1:1"), ("dlq_alarm_age", "off")]);
        let reload = start.reloaded(&fixed);
        assert_eq!(reload.settings.drain, start.drain);
        assert_eq!(reload.settings.letter_alarm.age_ms, None);
        assert_eq!(reload.settings.effective["settings"]["drain"]["value"], "10s");
        let waiting: Vec<_> = reload.needs_restart.iter().map(|own| own.setting).collect();
        assert_eq!(waiting, ["listen", "drain"]);
        let back = reload.settings.reloaded(&start);
        assert_eq!((back.changed.len(), back.needs_restart.len()), (1, 0));
    }
}
