//! What can be asked about API keys.

use std::sync::Arc;

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::time::parse_duration_ms;
use clap::Args;

/// A key that somebody wants.
#[derive(Debug, Clone, Args)]
pub struct KeyWanted {
    /// What it is called.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What it allows, any number of times; `*` allows everything.
    #[arg(long = "permission", value_name = "WORD", required = true)]
    pub permissions: Vec<String>,
    /// The tenant that it is for.
    #[arg(long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    pub namespace: Arc<str>,
    /// How long it counts, such as 90d; until it is revoked if absent.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_ms)]
    pub expires: Option<u64>,
    /// Who has it made, for the record.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    pub actor: String,
}
