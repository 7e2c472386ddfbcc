//! Settings as others write them: the variables of documents 000, 002, 003 and 004 and the sections of
//! 002's file, and those of OpenTelemetry.

use super::sources::Given;

/// What such a setting does here.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// It is one of ours.
    Sets(&'static str),
    /// One of ours names the variable, which holds a secret.
    Names(&'static str),
    /// One of ours that is `on` or `off`.
    Switches(&'static str),
    /// The limit of each address, with this rate if it is on.
    RateLimit(&'static str),
    /// Half of where to listen.
    Host,
    Port,
    /// Whether the port has TLS; a path of it counts with this only.
    Tls,
    TlsPath(&'static str),
    /// A level, in capitals.
    Level,
    /// Nothing, and why.
    Nothing(&'static str),
}

const LATER: &str = "comes with registered services";
const IN_MEMORY: &str = "definitions and runs are in memory as long as they are needed, and runs that \
                         wait are not; result_cache_bytes bounds the answers that are kept";
const OWN_STORE: &str =
    "the journal is a log and a store of its own, with neither pool nor timeout";

/// Variables, and keys of the file with their section; of what sets the same the last one counts.
const WORDS: [(&str, Does); 49] = [
    ("ROCKSDB_PATH", Does::Sets("data_dir")),
    ("ORCHESTRATOR_DB_PATH", Does::Sets("data_dir")),
    ("ORCHESTRATOR_SERVICE_HOST", Does::Host),
    ("ORCHESTRATOR_SERVICE_PORT", Does::Port),
    ("PORT", Does::Port),
    ("ORCHESTRATOR_ENABLE_TLS", Does::Tls),
    ("ORCHESTRATOR_TLS_CERT_PATH", Does::TlsPath("tls_certificate")),
    ("ORCHESTRATOR_TLS_KEY_PATH", Does::TlsPath("tls_key")),
    ("ORCHESTRATOR_METRICS_ENABLED", Does::Sets("metrics")),
    ("ORCHESTRATOR_HEALTH_CHECK_INTERVAL", Does::Nothing(LATER)),
    ("ORCHESTRATOR_JWT_SECRET", Does::Names("jwt_secret")),
    ("ORCHESTRATOR_API_KEY", Does::Names("api_key")),
    ("ORCHESTRATOR_MAX_WORKERS", Does::Sets("max_workers")),
    ("ORCHESTRATOR_QUEUE_SIZE", Does::Sets("queue_size")),
    ("ORCHESTRATOR_PEERS", Does::Nothing("comes with clusters")),
    ("WORKFLOW_CACHE_SIZE", Does::Nothing(IN_MEMORY)),
    ("PYTHON_PATH", Does::Nothing("comes with steps in Python")),
    ("MODEL_REGISTRY_URL", Does::Nothing("comes with steps that run models")),
    ("POLICY_SERVICE_URL", Does::Nothing("comes with policies that a service decides")),
    ("KAFKA_BROKERS", Does::Nothing("comes with steps and triggers of Kafka")),
    ("TEMPORAL_HOST", Does::Nothing("there is no Temporal: the engine has its part")),
    ("LOG_LEVEL", Does::Level),
    ("REDIS_HOST", Does::Nothing("there is no Redis: the journal has its part")),
    ("REPORTING_URL", Does::Nothing(LATER)),
    ("NOTIFICATION_URL", Does::Nothing(LATER)),
    ("DOC_STORE_URL", Does::Nothing(LATER)),
    ("LOG_COLLECTOR_URL", Does::Sets("log_collector_url")),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Does::Sets("otlp_endpoint")),
    ("OTEL_EXPORTER_OTLP_HEADERS", Does::Names("otlp_headers")),
    ("OTEL_SERVICE_NAME", Does::Sets("otlp_service_name")),
    ("database.path", Does::Sets("data_dir")),
    ("database.connection_pool_size", Does::Nothing(OWN_STORE)),
    ("database.timeout_seconds", Does::Nothing(OWN_STORE)),
    ("services.host", Does::Host),
    ("services.port", Does::Port),
    ("services.workers", Does::Sets("max_workers")),
    ("security.enable_tls", Does::Tls),
    ("security.tls_cert_path", Does::TlsPath("tls_certificate")),
    ("security.tls_key_path", Does::TlsPath("tls_key")),
    ("security.jwt_secret", Does::Sets("jwt_secret")),
    ("monitoring.enabled", Does::Sets("metrics")),
    ("monitoring.metrics_interval", Does::Nothing("metrics count as things happen")),
    ("monitoring.health_check_interval", Does::Nothing(LATER)),
    ("monitoring.log_level", Does::Level),
    ("enterprise.service_mesh_enabled", Does::Nothing("mutual TLS is set by tls_client_ca")),
    ("enterprise.event_streaming_enabled", Does::Nothing("live events are always there")),
    ("enterprise.circuit_breaker_enabled", Does::Switches("breakers")),
    ("enterprise.rate_limiting_enabled", Does::RateLimit("100/s")),
    ("orchestrator.ORCHESTRATOR_PEERS", Does::Nothing("comes with clusters")),
];

/// The sections of the file.
pub(super) const SECTIONS: [&str; 6] =
    ["database", "services", "security", "monitoring", "enterprise", "orchestrator"];

/// One that was said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    name: &'static str,
    text: String,
    origin: String,
}

/// One that has no effect here, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Idle {
    /// The variable, or the key with its section.
    pub name: &'static str,
    /// Where it stands.
    pub origin: String,
    /// Why it has none.
    pub why: &'static str,
}

/// What some of them say in our words.
#[derive(Debug, Default)]
pub(super) struct Meant {
    pub(super) given: Vec<(&'static str, Given)>,
    pub(super) idle: Vec<Idle>,
    /// Whether TLS is switched on or off, and by whom.
    pub(super) tls: Option<(bool, String)>,
}

impl Said {
    /// A key of the file, if there is such a one.
    pub(super) fn of_file(name: &str, text: String, file: &str) -> Option<Self> {
        let (name, _) = WORDS.into_iter().find(|(own, _)| *own == name)?;
        Some(Self { name, text, origin: format!("`{name}` in {file}") })
    }

    /// Whether there is nothing behind its name.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The variables that say something.
    pub(super) fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Vec<Self> {
        let names = WORDS.into_iter().map(|(name, _)| name).filter(|name| !name.contains('.'));
        let said = names.filter_map(|name| {
            let text = variable(name).filter(|text| !text.is_empty())?;
            Some(Self { name, text, origin: name.to_owned() })
        });
        said.collect()
    }
}

/// Every name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    WORDS.into_iter().map(|(name, _)| name)
}

/// What they mean together, over an address to listen on that one half may stay of.
pub(super) fn meant(said: &[Said], listen: &str) -> Meant {
    let mut meant = Meant::default();
    let (mut host, mut port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let mut listens_by = None;
    let truthy = |text: &str| ["true", "1", "yes", "on"].contains(&text.to_lowercase().as_str());
    let is_tls = |own: &&Said| {
        WORDS.iter().any(|(name, does)| *name == own.name && matches!(does, Does::Tls))
    };
    let switch = said.iter().rfind(is_tls);
    meant.tls = switch.map(|own| (truthy(&own.text), own.origin.clone()));
    let has_tls = meant.tls.as_ref().is_some_and(|(on, _)| *on);
    for (name, does) in WORDS {
        let Some(own) = said.iter().find(|own| own.name == name) else { continue };
        let mut give = |key, text| {
            meant.given.push((key, Given { text, origin: own.origin.clone() }));
        };
        match does {
            Does::Sets(key) => give(key, own.text.clone()),
            Does::Names(key) => give(key, format!("env:{name}")),
            Does::Switches(key) => {
                give(key, if truthy(&own.text) { "on" } else { "off" }.to_owned());
            }
            Does::RateLimit(rate) => {
                give("rate_limit_address", if truthy(&own.text) { rate } else { "off" }.to_owned());
            }
            Does::Level => give("log_level", own.text.to_lowercase()),
            Does::TlsPath(key) if has_tls => give(key, own.text.clone()),
            Does::Host => (host, listens_by) = (&own.text, Some(own)),
            Does::Port => (port, listens_by) = (&own.text, Some(own)),
            Does::TlsPath(_) => {
                let (origin, why) = (own.origin.clone(), "TLS is not switched on beside it");
                meant.idle.push(Idle { name, origin, why });
            }
            Does::Nothing(why) => {
                meant.idle.push(Idle { name, origin: own.origin.clone(), why });
            }
            Does::Tls => {}
        }
    }
    if let Some(by) = listens_by {
        let (text, origin) = (format!("{host}:{port}"), by.origin.clone());
        meant.given.push(("listen", Given { text, origin }));
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[(&str, &str)]) -> Meant {
        let said = |(name, text): &(&str, &str)| {
            Said::of_file(name, (*text).to_owned(), "app.yaml").expect("a known name")
        };
        meant(&words.iter().map(said).collect::<Vec<_>>(), "127.0.0.1:8080")
    }

    fn given(meant: &Meant) -> Vec<(&str, &str)> {
        meant.given.iter().map(|(key, given)| (*key, given.text.as_str())).collect()
    }

    #[test]
    fn halves_of_an_address_are_put_together_and_the_stronger_port_counts() {
        assert_eq!(given(&said(&[("services.port", "5080")])), [("listen", "127.0.0.1:5080")]);
        let both = said(&[("services.host", "localhost"), ("services.port", "5080")]);
        assert_eq!(given(&both), [("listen", "localhost:5080")]);
        let ports = said(&[("PORT", "9000"), ("ORCHESTRATOR_SERVICE_PORT", "5080")]);
        assert_eq!(given(&ports), [("listen", "127.0.0.1:9000")]);
    }

    #[test]
    fn paths_of_tls_count_only_where_it_is_switched_on() {
        let path = ("ORCHESTRATOR_TLS_CERT_PATH", "server.crt");
        let on = said(&[path, ("ORCHESTRATOR_ENABLE_TLS", "true")]);
        assert_eq!(given(&on), [("tls_certificate", "server.crt")]);
        assert!(on.tls.is_some_and(|(on, _)| on) && on.idle.is_empty());
        for off in [said(&[path]), said(&[path, ("ORCHESTRATOR_ENABLE_TLS", "false")])] {
            assert_eq!((given(&off), off.idle.len()), (vec![], 1));
            assert!(!off.tls.is_some_and(|(on, _)| on));
        }
    }

    #[test]
    fn what_has_no_effect_here_says_why() {
        let meant =
            said(&[("enterprise.circuit_breaker_enabled", "false"), ("REDIS_HOST", "redis")]);
        assert_eq!(given(&meant), [("breakers", "off")]);
        assert_eq!(meant.idle.iter().map(|own| own.name).collect::<Vec<_>>(), ["REDIS_HOST"]);
    }
}
