//! What stands between a run and the services it calls: breakers and budgets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::ids::StepIndex;
use crate::time::Timestamp;

/// What stands between a run and the services it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceEvent {
    /// A call is not made now and uses up no attempt: the step or its undo waits.
    CallHeld {
        /// Whose call.
        step: StepIndex,
        /// Whether it is the undo's.
        undo: bool,
        /// For what it waits.
        hold: Hold,
    },
    /// A call is not made now, and its step does not wait for it.
    CallRefused {
        /// Whose call.
        step: StepIndex,
        /// What it would have waited for.
        hold: Hold,
    },
    /// A callback is not sent now; that uses up no attempt.
    CallbackHeld {
        /// Which delivery.
        delivery: u32,
        /// For what it waits.
        hold: Hold,
        /// When it is due again.
        due_at: Timestamp,
    },
    /// What goes wrong with its attempts on purpose. The last of what stands behind `Submitted`,
    /// in the same commit, if there is anything.
    FaultsPlanned {
        /// In the order in which they were asked for; the first that names an attempt counts.
        faults: Vec<Fault>,
    },
}

/// Why a call is not made now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whose breaker: a name, or scheme, host and port of the service.
    pub key: Arc<str>,
    /// What the node saw or was told.
    pub why: HoldReason,
    /// Until when, as known then.
    pub until: Option<Timestamp>,
}

/// What keeps calls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HoldReason {
    /// The service failed too often.
    Open,
    /// It is being tried whether the service is back, by other calls.
    Probing,
    /// An operator keeps the circuit open.
    Forced,
    /// Too many of the calls were retries.
    RetryBudget,
}

/// What an operator has a breaker do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BreakerOrder {
    /// It is open, whatever is seen, until it is told otherwise.
    Open,
    /// It is closed, whatever is seen, until it is told otherwise.
    Close,
    /// It goes by what is seen again.
    Release,
    /// It forgets what was seen, is closed, and goes by what is seen from now on.
    Reset,
}

impl BreakerOrder {
    /// Every order and its word.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("open", Self::Open),
        ("close", Self::Close),
        ("release", Self::Release),
        ("reset", Self::Reset),
    ];

    /// The word of the order.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(word, _)| word)
    }

    /// The order of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(own, _)| *own == word).map(|(_, own)| *own)
    }
}

impl HoldReason {
    /// The word that is shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Probing => "half_open",
            Self::Forced => "forced_open",
            Self::RetryBudget => "retry_budget",
        }
    }
}

impl ServiceEvent {
    /// The step it is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::CallHeld { step, .. } | Self::CallRefused { step, .. } => Some(*step),
            Self::CallbackHeld { .. } | Self::FaultsPlanned { .. } => None,
        }
    }
}
