//! The small machine of a partition's own stream: what left it, and what was decided about it.
//!
//! Knows nothing of the runs that left: whether one may leave is decided where its state is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api_keys::{self, ApiKey};
use crate::event::{BreakerOrder, PartitionEvent};
use crate::ids::Digest;
use crate::objects::{self, Objects};
use crate::time::Timestamp;

/// The most runs that one `RunsRemoved` names.
pub const RUNS_PER_REMOVAL_MAX: usize = 256;

/// The longest reason, rule or name in an event of a partition, in bytes.
pub const PARTITION_WORDS_BYTES_MAX: usize = 1_024;

/// The most breakers that operators have be open or closed at a time.
pub const BREAKERS_SET_MAX: usize = 1_000;

/// The most of them of one tenant.
pub const BREAKERS_SET_PER_NAMESPACE_MAX: usize = 250;

/// The most bytes of a retention policy.
pub const POLICY_BYTES_MAX: usize = 32 * 1024;

/// A partition as its own stream tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionState {
    /// Events folded so far: the stream's last version.
    pub version: u64,
    /// The newest retention policy.
    pub policy: Option<PolicySet>,
    /// The newest cut of log and archive.
    pub cut: Option<LogCut>,
    /// When the result cache was last emptied.
    pub cache_emptied_at: Option<Timestamp>,
    /// Breakers that an operator has be open or closed, by namespace and key.
    pub breakers: BTreeMap<(Arc<str>, Arc<str>), BreakerSet>,
    /// API keys that were not revoked, by id.
    pub api_keys: BTreeMap<Arc<str>, Arc<ApiKey>>,
    /// Objects of configuration that are there.
    pub objects: Objects,
    /// Runs that were removed.
    pub runs_removed: u64,
    /// Payloads that were erased.
    pub payloads_erased: u64,
}

/// A retention policy that somebody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySet {
    /// As JSON.
    pub text: String,
    /// Who set it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// What an operator has a breaker be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSet {
    /// Open or closed.
    pub order: BreakerOrder,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

/// Where the log begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCut {
    /// The last commit that is gone.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was cut.
    pub at: Timestamp,
}

/// Folds the stream's next event.
pub fn evolve(state: &mut PartitionState, event: &PartitionEvent, at: Timestamp) {
    state.version += 1;
    match event {
        PartitionEvent::RunsRemoved { runs, .. } => state.runs_removed += runs.len() as u64,
        PartitionEvent::PayloadErased { .. } => state.payloads_erased += 1,
        PartitionEvent::LogCut { sequence, hash, .. } => {
            state.cut = Some(LogCut { sequence: *sequence, hash: *hash, at });
        }
        PartitionEvent::RetentionPolicySet { policy, actor } => {
            let (text, actor) = (policy.clone(), actor.clone());
            state.policy = Some(PolicySet { text, actor, at });
        }
        PartitionEvent::CacheEmptied { .. } => state.cache_emptied_at = Some(at),
        PartitionEvent::BreakerSet { namespace, key, order, reason, actor } => {
            let name = (namespace.clone(), key.clone());
            match order {
                BreakerOrder::Open | BreakerOrder::Close => {
                    let (reason, actor) = (reason.clone(), actor.clone());
                    state.breakers.insert(name, BreakerSet { order: *order, reason, actor, at });
                }
                BreakerOrder::Release | BreakerOrder::Reset => drop(state.breakers.remove(&name)),
            }
        }
        PartitionEvent::ApiKey(event) => api_keys::evolve(&mut state.api_keys, event, at),
        PartitionEvent::Object(event) => objects::evolve(&mut state.objects, event, at),
        PartitionEvent::Restored { .. }
        | PartitionEvent::RunsImported { .. }
        | PartitionEvent::RedrivesRemoved { .. }
        | PartitionEvent::CallbackTried { .. }
        | PartitionEvent::LogLevelsSet { .. }
        | PartitionEvent::SettingsReloaded { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ExecutionId, PartitionId};

    #[test]
    fn the_newest_policy_and_cut_count() {
        let mut state = PartitionState::default();
        let run = ExecutionId { partition: PartitionId(1), digits: 7 };
        let (rule, actor) = ("old".to_owned(), "op".to_owned());
        let set = |text: &str| PartitionEvent::RetentionPolicySet {
            policy: text.to_owned(),
            actor: actor.clone(),
        };
        let cut = |sequence| PartitionEvent::LogCut {
            sequence,
            hash: Digest::of(&[1]),
            actor: actor.clone(),
        };
        let removed = PartitionEvent::RunsRemoved {
            runs: vec![run, run],
            rule: rule.clone(),
            actor: actor.clone(),
        };
        for (at, event) in [set("1"), cut(3), removed, set("2"), cut(9)].iter().enumerate() {
            evolve(&mut state, event, Timestamp(i64::try_from(at).expect("small")));
        }
        assert_eq!((state.version, state.runs_removed), (5, 2));
        assert_eq!(state.policy.map(|set| (set.text, set.at)), Some(("2".into(), Timestamp(3))));
        assert_eq!(state.cut.map(|cut| (cut.sequence, cut.at)), Some((9, Timestamp(4))));
    }
}
