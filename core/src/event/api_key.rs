//! API keys: made and revoked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;
use crate::time::Timestamp;

/// What becomes of an API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiKeyEvent {
    /// It is there. Its text is told once to whoever had it made, and is nowhere.
    Created {
        /// Its id, a part of its text.
        id: Arc<str>,
        /// What it is called.
        name: String,
        /// The tenant that whoever has it belongs to.
        namespace: Arc<str>,
        /// blake3 of its text, of which 256 bits were drawn.
        digest: Digest,
        /// Words of what it allows. One that a version does not know allows nothing there.
        permissions: Vec<String>,
        /// From when on it counts no more; never, if unsaid.
        expires_at: Option<Timestamp>,
        /// Who had it made.
        actor: String,
    },
    /// It counts no more.
    Revoked {
        /// Which.
        id: Arc<str>,
        /// The tenant it belonged to.
        namespace: Arc<str>,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
}
