//! What makes a run go on from another's steps, and who undoes them then.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ids::{Digest, ExecutionId, StepIndex};
use crate::payload::Payload;

/// What makes a run go on from another's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForkEvent {
    /// The run is a fork. Comes behind `Submitted`, `Tagged` and `Origin`, in the same commit.
    Begun(Box<ForkOrigin>),
    /// A step keeps what came of it in the run it was forked from.
    StepKept(Box<KeptStep>),
    /// Everything kept is told: the run goes on from there.
    Started,
    /// A fork of this run was made.
    Forked {
        /// The fork.
        to: ExecutionId,
        /// The steps of this run that the fork undoes from now on, ascending.
        undoes: Vec<StepIndex>,
        /// Who had it so.
        actor: String,
    },
    /// A fork never started: what it would have undone is this run's to undo again.
    ForkDropped {
        /// The fork.
        fork: ExecutionId,
    },
    /// The run goes on with another revision of its workflow. Steps that were there keep their
    /// places, new ones come behind them.
    Migrated {
        /// The revision's number.
        revision: u32,
        /// Its content.
        digest: Digest,
        /// In their words.
        reason: String,
        /// Who had it so.
        actor: String,
    },
}

/// Where a fork comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkOrigin {
    /// The run it was forked from.
    pub run: ExecutionId,
    /// The version of that run whose steps are kept.
    pub version: u64,
    /// The step from which on all runs again, if one was named.
    pub from: Option<StepIndex>,
    /// How many steps are kept.
    pub kept: u32,
    /// Whether the fork undoes what it keeps.
    pub takes_over: bool,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// What came of a step in another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStep {
    /// Which step of this run.
    pub step: StepIndex,
    /// Where it stands.
    pub status: KeptStatus,
    /// The round it was in.
    pub round: u16,
    /// Attempts it had.
    pub attempt: u16,
    /// Its rendered input.
    pub input: Option<Payload>,
    /// What it answered.
    pub output: Option<Payload>,
    /// Its last failure.
    pub failure: Option<Failure>,
    /// Whether an attempt may have taken effect without anybody knowing.
    pub unsure: bool,
    /// Whether this run undoes it.
    pub undone_here: bool,
    /// Of a router that has chosen: the steps it led to, ascending.
    pub led_to: Option<Vec<StepIndex>>,
}

/// Where a kept step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeptStatus {
    /// It took effect.
    Succeeded,
    /// Its condition was false, or somebody skipped it.
    Skipped,
    /// Its branch was not taken.
    Pruned,
    /// It failed and is allowed to.
    Failed,
}

impl ForkEvent {
    /// Visits every payload.
    pub fn for_each_payload(&self, visit: &mut dyn FnMut(&Payload)) {
        if let Self::StepKept(own) = self {
            let KeptStep { input, output, failure, .. } = own.as_ref();
            let details = failure.as_ref().and_then(|failure| failure.details.as_ref());
            input.iter().chain(output).chain(details).for_each(visit);
        }
    }

    /// Visits every payload to change it.
    pub fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        if let Self::StepKept(own) = self {
            let KeptStep { input, output, failure, .. } = own.as_mut();
            let details = failure.as_mut().and_then(|failure| failure.details.as_mut());
            input.iter_mut().chain(output).chain(details).for_each(visit);
        }
    }

    /// The step it is about, if it is about one.
    #[must_use]
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepKept(own) => Some(own.step),
            Self::Begun(_)
            | Self::Started
            | Self::Forked { .. }
            | Self::ForkDropped { .. }
            | Self::Migrated { .. } => None,
        }
    }
}
