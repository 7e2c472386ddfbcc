//! The flags of `backstitch serve`.

use std::path::PathBuf;

use clap::Args;

use crate::Error;
use crate::settings::{Settings, Sources};

const AFTER_SERVE: &str = "\
Every flag is also a variable (BACKSTITCH_DATA_DIR, BACKSTITCH_LISTEN, ...) and a key of the
configuration file (data_dir, listen, ...). Flags win over variables, variables over the file.

Examples:
  backstitch serve
  backstitch serve --listen 127.0.0.1:9000 --data-dir ./data --log-format json
  BACKSTITCH_FSYNC=interval:10 backstitch serve";

/// What `serve` takes. Texts: they are read together with environment and file.
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = AFTER_SERVE)]
pub struct ServeFlags {
    /// Where the journal is [default: ./backstitch-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// When a commit counts as durable: always, interval:MS or never [default: always]
    #[arg(long, value_name = "POLICY")]
    pub fsync: Option<String>,
    /// Partitions of a new journal; an existing one keeps its own [default: 16]
    #[arg(long, value_name = "N")]
    pub partitions: Option<String>,
    /// Whether sealed segments of the log are archived: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub archive: Option<String>,
    /// Where the archive is [default: where it was, at first `archive` in the data directory]
    #[arg(long, value_name = "DIR")]
    pub archive_directory: Option<String>,
    /// Sealed segments that stay in the log although they are archived [default: 2]
    #[arg(long, value_name = "N")]
    pub log_segments_kept: Option<String>,
    /// How long a shutdown waits for attempts under way [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub drain: Option<String>,
    /// Attempts of steps and undos under way at a time [default: 256]
    #[arg(long, value_name = "NUMBER")]
    pub max_workers: Option<String>,
    /// Runs that go on at a time; the rest wait [default: off]
    #[arg(long, value_name = "NUMBER")]
    pub max_parallel_workflows: Option<String>,
    /// Runs that may wait to begin [default: 1000000]
    #[arg(long, value_name = "NUMBER")]
    pub queue_size: Option<String>,
    /// Bytes of answers kept for steps with `cache`: off or a number [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    pub result_cache_bytes: Option<String>,
    /// Circuit breakers before services: on, off, or rules as JSON [default: on]
    #[arg(long, value_name = "RULES")]
    pub breakers: Option<String>,
    /// Take runs with faults, for tests: attempts fail, are late, lost or doubled on purpose
    #[arg(long)]
    pub fault_injection: bool,
    /// What a shutdown does to runs under way: drain or cancel [default: drain]
    #[arg(long, value_name = "POLICY")]
    pub shutdown: Option<String>,
    /// off, error, warn, info, debug or trace, or directives [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Bytes of the newest lines that `backstitch logs` can show: off or a number [default: 4194304]
    #[arg(long, value_name = "BYTES")]
    pub log_buffer_bytes: Option<String>,
    /// Where lines of the log are posted: off, or the URL of a collector [default: off]
    #[arg(long, value_name = "URL")]
    pub log_collector_url: Option<String>,
    /// Headers for it, `name=value,name=value`: env:NAME or file:PATH
    #[arg(long, value_name = "WHERE")]
    pub log_collector_headers: Option<String>,
    /// The configuration file [default: backstitch.yaml, else config/orchestrator.yaml or
    /// config/app.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen beyond loopback although there is no authentication
    #[arg(long)]
    pub allow_unauthenticated: bool,
    /// Whether callers prove who they are: on or off [default: on if a key or JWT is configured]
    #[arg(long, value_name = "ON")]
    pub authentication: Option<String>,
    /// A key with every permission, for making the first ones: env:NAME or file:PATH
    #[arg(long, value_name = "SECRET")]
    pub api_key: Option<String>,
    /// What HS256 tokens are signed with: env:NAME or file:PATH
    #[arg(long, value_name = "SECRET")]
    pub jwt_secret: Option<String>,
    /// The key set (JWKS) of RS256 and ES256 tokens: a file or an https URL
    #[arg(long, value_name = "PLACE")]
    pub jwt_jwks: Option<String>,
    /// How long a key set is used before it is read again [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub jwt_jwks_refresh: Option<String>,
    /// What `iss` of a token must be
    #[arg(long, value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// What `aud` of a token must name one of, with commas between
    #[arg(long, value_name = "NAMES")]
    pub jwt_audience: Option<String>,
    /// How far clocks may differ from those of who signs tokens [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub jwt_leeway: Option<String>,
    /// Whether a token must name its namespace: on or off [default: off, which is `default`]
    #[arg(long, value_name = "ON")]
    pub jwt_require_namespace: Option<String>,
    /// The port's certificate, in PEM, with those that lead to its authority; it has TLS then
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<String>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Authorities, in PEM, of whom clients need a certificate: mutual TLS
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<String>,
    /// A certificate with its private key, in PEM, for services that ask for one
    #[arg(long, value_name = "FILE")]
    pub outgoing_certificate: Option<String>,
    /// The services that get it: names, *.names, addresses and networks [default: *]
    #[arg(long, value_name = "HOSTS")]
    pub outgoing_certificate_hosts: Option<String>,
    /// Authorities, in PEM, that vouch for services beside those of the system
    #[arg(long, value_name = "FILE")]
    pub outgoing_ca: Option<String>,
    /// How often one address may ask: off, or such as 100/s or 6000/m, burst 500 [default: off]
    #[arg(long, value_name = "RATE")]
    pub rate_limit_address: Option<String>,
    /// How often one key or token's subject may ask: as for addresses [default: off]
    #[arg(long, value_name = "RATE")]
    pub rate_limit_caller: Option<String>,
    /// Whether private hosts that a run's data names are called: auto, allow, deny, or such as
    /// `deny except billing.internal, 10.1.0.0/16` [default: auto]
    #[arg(long, value_name = "RULE")]
    pub private_hosts: Option<String>,
    /// The secrets that callbacks are signed with: a file with one `whsec_...` a line
    #[arg(long, value_name = "FILE")]
    pub webhook_secrets: Option<String>,
    /// The secrets that steps refer to: a folder for each namespace, with a file for each secret
    #[arg(long, value_name = "DIR")]
    pub secrets_dir: Option<String>,
    /// Names, beside its own, that the server answers to, with commas between
    #[arg(long, value_name = "NAMES")]
    pub allowed_hosts: Option<String>,
    /// The name of this node, as /info shows it [default: local]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Open dead letters that are too many: off or a number [default: 1000]
    #[arg(long, value_name = "N")]
    pub dlq_alarm_letters: Option<String>,
    /// How old an open dead letter may be: off or a duration [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub dlq_alarm_age: Option<String>,
    /// Whether there is /metrics: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub metrics: Option<String>,
    /// Under which names /metrics prints: all, or only our own [default: all]
    #[arg(long, value_name = "NAMES")]
    pub metrics_names: Option<String>,
    /// Where spans are sent over OTLP/HTTP: off, or the URL of a collector [default: off]
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector, `name=value,name=value`: env:NAME or file:PATH
    #[arg(long, value_name = "WHERE")]
    pub otlp_headers: Option<String>,
    /// What this server is called there [default: backstitch]
    #[arg(long, value_name = "NAME")]
    pub otlp_service_name: Option<String>,
    /// How long runs are kept: a retention policy as JSON [default: for ever]
    #[arg(long, value_name = "POLICY")]
    pub retention: Option<String>,
    /// How far back the log and its archive reach: off (for ever) or a duration [default: off]
    #[arg(long, value_name = "DURATION")]
    pub archive_keep_for: Option<String>,
    /// How often the retention policy is applied: off or a duration [default: off]
    #[arg(long, value_name = "DURATION")]
    pub retention_interval: Option<String>,
    /// Where backups asked for by HTTP may go; without it they are off
    #[arg(long, value_name = "PATH")]
    pub backup_directory: Option<String>,
    /// The environment that holds here, such as staging: of `environments` in the configuration file,
    /// or of the API
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Environments by name, as JSON
    #[arg(long, value_name = "ENVIRONMENTS")]
    pub environments: Option<String>,
}

impl ServeFlags {
    /// The settings that these flags, the environment and the file make together.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::File`].
    pub fn settings(&self) -> Result<Settings, Error> {
        Settings::read(&self.sources()?)
    }

    /// Where the settings come from.
    ///
    /// # Errors
    /// As [`ServeFlags::settings`], for the file.
    pub(crate) fn sources(&self) -> Result<Sources, Error> {
        let flags = [
            ("data_dir", self.data_dir.clone()),
            ("listen", self.listen.clone()),
            ("fsync", self.fsync.clone()),
            ("partitions", self.partitions.clone()),
            ("archive", self.archive.clone()),
            ("archive_directory", self.archive_directory.clone()),
            ("log_segments_kept", self.log_segments_kept.clone()),
            ("drain", self.drain.clone()),
            ("max_workers", self.max_workers.clone()),
            ("max_parallel_workflows", self.max_parallel_workflows.clone()),
            ("queue_size", self.queue_size.clone()),
            ("result_cache_bytes", self.result_cache_bytes.clone()),
            ("breakers", self.breakers.clone()),
            ("fault_injection", self.fault_injection.then(|| "true".to_owned())),
            ("shutdown", self.shutdown.clone()),
            ("log_level", self.log_level.clone()),
            ("log_format", self.log_format.clone()),
            ("log_buffer_bytes", self.log_buffer_bytes.clone()),
            ("log_collector_url", self.log_collector_url.clone()),
            ("log_collector_headers", self.log_collector_headers.clone()),
            ("allow_unauthenticated", self.allow_unauthenticated.then(|| "true".to_owned())),
            ("authentication", self.authentication.clone()),
            ("api_key", self.api_key.clone()),
            ("jwt_secret", self.jwt_secret.clone()),
            ("jwt_jwks", self.jwt_jwks.clone()),
            ("jwt_jwks_refresh", self.jwt_jwks_refresh.clone()),
            ("jwt_issuer", self.jwt_issuer.clone()),
            ("jwt_audience", self.jwt_audience.clone()),
            ("jwt_leeway", self.jwt_leeway.clone()),
            ("jwt_require_namespace", self.jwt_require_namespace.clone()),
            ("tls_certificate", self.tls_certificate.clone()),
            ("tls_key", self.tls_key.clone()),
            ("tls_client_ca", self.tls_client_ca.clone()),
            ("outgoing_certificate", self.outgoing_certificate.clone()),
            ("outgoing_certificate_hosts", self.outgoing_certificate_hosts.clone()),
            ("outgoing_ca", self.outgoing_ca.clone()),
            ("rate_limit_address", self.rate_limit_address.clone()),
            ("rate_limit_caller", self.rate_limit_caller.clone()),
            ("private_hosts", self.private_hosts.clone()),
            ("webhook_secrets", self.webhook_secrets.clone()),
            ("secrets_dir", self.secrets_dir.clone()),
            ("allowed_hosts", self.allowed_hosts.clone()),
            ("node", self.node.clone()),
            ("dlq_alarm_letters", self.dlq_alarm_letters.clone()),
            ("dlq_alarm_age", self.dlq_alarm_age.clone()),
            ("metrics", self.metrics.clone()),
            ("metrics_names", self.metrics_names.clone()),
            ("otlp_endpoint", self.otlp_endpoint.clone()),
            ("otlp_headers", self.otlp_headers.clone()),
            ("otlp_service_name", self.otlp_service_name.clone()),
            ("retention", self.retention.clone()),
            ("archive_keep_for", self.archive_keep_for.clone()),
            ("retention_interval", self.retention_interval.clone()),
            ("backup_directory", self.backup_directory.clone()),
            ("environment", self.environment.clone()),
            ("environments", self.environments.clone()),
        ];
        let variable = |name: &str| std::env::var(name).ok();
        Sources::gather(&flags, variable, self.config.as_deref())
    }
}
