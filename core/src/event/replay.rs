//! Facts of a replay, part of the format.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::payload::Payload;

/// What happens to one replay. A replay delivers recorded events again and never runs a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplayEvent {
    /// Somebody asked for it.
    Requested(Box<ReplayRequest>),
    /// Everything up to here was delivered.
    Advanced {
        /// Last position delivered or passed over, of each partition.
        positions: Vec<u64>,
        /// Deliveries so far.
        delivered: u64,
    },
    /// It stopped; a resume goes on from the last `Advanced`.
    Stopped {
        /// Why: the last failure, or somebody's reason.
        reason: String,
        /// Who, if somebody did.
        actor: Option<String>,
    },
    /// It goes on.
    Resumed {
        /// Who.
        actor: String,
    },
    /// Everything was delivered.
    Completed {
        /// Deliveries in all.
        delivered: u64,
    },
}

/// What a replay delivers, where and how fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// Tenant.
    pub namespace: Arc<str>,
    /// An `http` or `https` URL.
    pub url: String,
    /// Positions to begin behind, of each partition.
    pub after: Vec<u64>,
    /// Last positions to deliver, of each partition.
    pub until: Vec<u64>,
    /// The filter and what else was agreed, as canonical JSON: see
    /// [`Terms`](crate::replays::Terms).
    pub filter: Payload,
    /// Deliveries per second.
    pub rate_per_second: u32,
    /// Who.
    pub actor: String,
}
