//! Objects of configuration: set and removed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What an object of configuration says something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObjectKind {
    /// What holds for many workflows.
    Policy,
    /// What holds where the server runs: staging, production.
    Environment,
    /// An endpoint that steps name.
    Adapter,
    /// Where alerts go.
    AlertChannel,
    /// When there is one.
    AlertRule,
}

/// What becomes of an object of configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectEvent {
    /// It is there, or says something else from now on.
    Set {
        /// Whose tenant's.
        namespace: Arc<str>,
        /// What sort.
        kind: ObjectKind,
        /// What it is called, among those of its kind.
        name: Arc<str>,
        /// Counted from 1 since it is there.
        revision: u32,
        /// What it says, as canonical JSON.
        text: String,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// It is gone.
    Removed {
        /// Whose tenant's.
        namespace: Arc<str>,
        /// What sort.
        kind: ObjectKind,
        /// Which.
        name: Arc<str>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}
