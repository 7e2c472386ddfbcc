//! Facts of a partition as a whole, part of the format.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ApiKeyEvent, BreakerOrder, CallbackEvent, ObjectEvent};
use crate::ids::{Digest, ExecutionId, RedriveId};

/// A setting that is another now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChanged {
    /// Its key in the configuration file.
    pub name: String,
    /// As it was written, clipped; nothing if it was not set.
    pub from: Option<String>,
    /// As it is written now, clipped; nothing if it is not set.
    pub to: Option<String>,
}

/// What happens to a partition as a whole: everything that leaves it leaves a trace here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionEvent {
    /// Closed runs left the store and the lists; their commits stay in the chain.
    RunsRemoved {
        /// Which runs, ascending.
        runs: Vec<ExecutionId>,
        /// The rule that said so, in words.
        rule: String,
        /// Who applied it.
        actor: String,
    },
    /// A payload kept by its digest is gone for good; the chain still covers its digest.
    PayloadErased {
        /// blake3 of the payload.
        digest: Digest,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// The log and its archive begin behind this commit of the partition: the anchor.
    LogCut {
        /// The last commit that is gone.
        sequence: u64,
        /// Its hash, which the first commit kept carries.
        hash: Digest,
        /// Who.
        actor: String,
    },
    /// The store was restored to an earlier point; the first record of its generation.
    Restored {
        /// The generation it was restored from.
        generation: u32,
        /// The last commit that was kept.
        sequence: u64,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Runs came from another store, as closed histories.
    RunsImported {
        /// Which runs, ascending.
        runs: Vec<ExecutionId>,
        /// The store they come from, in hex; `, redacted` follows if payloads were left out.
        source: String,
        /// Who.
        actor: String,
    },
    /// How long runs are kept was decided; the newest of partition 0 counts.
    RetentionPolicySet {
        /// The policy, as JSON.
        policy: String,
        /// Who.
        actor: String,
    },
    /// No answer given before counts in the result cache any more; the newest of partition 0
    /// counts.
    CacheEmptied {
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// An operator has a breaker do something; the newest of partition 0 counts for each.
    BreakerSet {
        /// Whose tenant's breaker.
        namespace: Arc<str>,
        /// Which.
        key: Arc<str>,
        /// What.
        order: BreakerOrder,
        /// In their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Redrives left the store that had come to rest; their commits stay in the chain.
    RedrivesRemoved {
        /// Which, ascending.
        redrives: Vec<RedriveId>,
        /// The rule that said so, in words.
        rule: String,
        /// Who applied it.
        actor: String,
    },
    /// An API key was made or revoked; in partition 0 only.
    ApiKey(ApiKeyEvent),
    /// Somebody has an example of a callback sent, to see whether it is received; in partition 0 only.
    CallbackTried {
        /// Whose tenant's.
        namespace: Arc<str>,
        /// To whom: scheme, host and port. The rest of a URL may be what lets one in.
        receiver: String,
        /// An example of what.
        event: CallbackEvent,
        /// Who.
        actor: String,
    },
    /// An object of configuration was set or removed; in partition 0 only.
    Object(ObjectEvent),
    /// Somebody sets how much a node logs; in partition 0 only.
    LogLevelsSet {
        /// Which node, by its name.
        node: String,
        /// Levels by component; none for those of its settings.
        levels: Vec<(String, String)>,
        /// After how long those of its settings count again; until it ends if unsaid.
        for_ms: Option<u64>,
        /// Who.
        actor: String,
    },
    /// Settings of a node were read again and take force; in partition 0 only.
    SettingsReloaded {
        /// Which node, by its name.
        node: String,
        /// Those that changed.
        changed: Vec<SettingChanged>,
        /// Who had them read.
        actor: String,
    },
}
