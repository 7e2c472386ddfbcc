//! The small machine of a redrive: dead letters retried by a filter, at a rate, with canaries
//! and rules that stop it.
//!
//! Knows which letters were claimed and what came of them, and says when to stop; not how one
//! is retried, nor how letters are found. A letter is claimed before it is retried, so that a
//! crash leaves no doubt about which may have been.

mod kept;
mod progress;
mod terms;

use crate::event::{ClaimedLetter, RedriveEvent, RedriveOutcome, RedriveRequest};
use crate::ids::LetterId;
use crate::time::Timestamp;

pub use kept::{KEPT_MAX, KEPT_MS, REMOVED_AT_ONCE_MAX, outdated};
pub use progress::{Counts, Group, Pending, Place, RedriveState, RedriveStatus, place_of};
pub use terms::{
    CANARIES_MAX, CANARY_WAIT_MS_DEFAULT, CANARY_WAIT_MS_MAX, Canary, EDIT_BYTES_MAX, LetterChoice,
    OUTCOMES_BEFORE_RATIO_DEFAULT, RATE_DEFAULT, RATE_MAX, StopWhen, Terms,
};

/// Redrives under way at a time in a store.
pub const RUNNING_MAX: usize = 16;
/// Redrives of one tenant under way at a time.
pub const RUNNING_PER_NAMESPACE_MAX: usize = 4;
/// Letters that one claim names.
pub const LETTERS_PER_CLAIM_MAX: usize = 256;
/// Causes that canaries tell apart; a redrive of more has to be cut into several.
pub const GROUPS_MAX: usize = 1_000;

/// A wish concerning one redrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedriveCommand {
    /// Begin it.
    Request(Box<RedriveRequest>),
    /// These letters are retried next.
    Claim {
        /// In the order of the list.
        letters: Vec<ClaimedLetter>,
        /// Whether the rest of their groups waits for them.
        canary: bool,
    },
    /// What came of letters that were claimed.
    Observe {
        /// Those that are known already change nothing.
        outcomes: Vec<(LetterId, RedriveOutcome)>,
    },
    /// Stop it; it can be resumed.
    Halt {
        /// Why.
        reason: String,
        /// Who, if somebody.
        actor: Option<String>,
    },
    /// Let it go on.
    Resume {
        /// Why, in their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Give it up for good.
    Cancel {
        /// Why, in their words.
        reason: String,
        /// Who.
        actor: String,
    },
    /// Nothing is left.
    Complete,
}

/// Why a command was refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedriveRejection {
    /// No redrive of that id.
    #[error("there is no such redrive")]
    Unknown,
    /// Nothing is left to stop or to resume.
    #[error("the redrive is {status}; request another one")]
    Over {
        /// The final word.
        status: &'static str,
    },
    /// The node's work is bounded.
    #[error("{max} redrives are under way, which is the most; wait for one or pause one")]
    TooMany {
        /// So many there may be, of a tenant or in all.
        max: usize,
    },
}

/// An event that does not fit the state: the journal is damaged, or of another stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {version} of a redrive does not fit: {why}")]
pub struct IllegalRedriveEvent {
    /// The version it would have had.
    pub version: u64,
    /// What is wrong.
    pub why: &'static str,
}

/// What a command means. A late or repeated command means nothing.
///
/// # Errors
/// [`RedriveRejection`]
pub fn decide(
    state: Option<&RedriveState>,
    command: RedriveCommand,
) -> Result<Option<RedriveEvent>, RedriveRejection> {
    let Some(state) = state else {
        return match command {
            RedriveCommand::Request(request) => Ok(Some(RedriveEvent::Requested(request))),
            _ => Err(RedriveRejection::Unknown),
        };
    };
    let running = state.status == RedriveStatus::Running;
    let over = |()| RedriveRejection::Over { status: state.status.word() };
    let not_over = if state.status.is_over() { Err(over(())) } else { Ok(()) };
    Ok(match command {
        RedriveCommand::Request(_) => None,
        RedriveCommand::Claim { letters, canary } => {
            let fresh: Vec<_> = letters.into_iter().filter(|own| !state.was_claimed(own)).collect();
            let claims = running && !fresh.is_empty();
            claims.then_some(RedriveEvent::Claimed { letters: fresh, canary })
        }
        // What a pause leaves under way is observed all the same.
        RedriveCommand::Observe { outcomes } => {
            let pending = |(letter, _): &(LetterId, _)| state.pending.contains_key(letter);
            let fresh: Vec<_> = outcomes.into_iter().filter(pending).collect();
            (!fresh.is_empty()).then_some(RedriveEvent::Observed { outcomes: fresh })
        }
        RedriveCommand::Halt { reason, actor } => {
            if actor.is_some() {
                not_over?;
            }
            running.then_some(RedriveEvent::Halted { reason, actor })
        }
        RedriveCommand::Resume { reason, actor } => {
            not_over?;
            (!running).then_some(RedriveEvent::Resumed { reason, actor })
        }
        RedriveCommand::Cancel { reason, actor } => match state.status {
            RedriveStatus::Cancelled { .. } => None,
            _ => {
                not_over?;
                Some(RedriveEvent::Cancelled { reason, actor })
            }
        },
        RedriveCommand::Complete => running.then_some(RedriveEvent::Completed),
    })
}

impl RedriveState {
    /// The state that a command leads to, for whoever has had it recorded.
    pub fn follow(&mut self, command: RedriveCommand, at: Timestamp) {
        if let Ok(Some(event)) = decide(Some(self), command)
            && apply(self, &event).is_ok()
        {
            (self.version, self.updated_at) = (self.version + 1, at);
        }
    }
}

/// Folds one event.
///
/// # Errors
/// [`IllegalRedriveEvent`]; the state is then as before.
pub fn evolve(
    state: &mut Option<RedriveState>,
    event: &RedriveEvent,
    at: Timestamp,
) -> Result<(), IllegalRedriveEvent> {
    let version = state.as_ref().map_or(1, |own| own.version + 1);
    let illegal = |why| IllegalRedriveEvent { version, why };
    let own = match (state.as_mut(), event) {
        (None, RedriveEvent::Requested(request)) => {
            *state = Some(RedriveState::begin(request.clone(), at));
            return Ok(());
        }
        (None, _) => return Err(illegal("a redrive begins with its request")),
        (Some(own), _) => own,
    };
    apply(own, event).map_err(illegal)?;
    (own.version, own.updated_at) = (version, at);
    Ok(())
}

fn apply(own: &mut RedriveState, event: &RedriveEvent) -> Result<(), &'static str> {
    match (&own.status, event) {
        (_, RedriveEvent::Requested(_)) => return Err("a redrive is requested once"),
        (RedriveStatus::Running, RedriveEvent::Claimed { letters, canary }) => {
            own.claim(letters, *canary);
        }
        (_, RedriveEvent::Observed { outcomes }) => {
            if !outcomes.iter().all(|(letter, _)| own.pending.contains_key(letter)) {
                return Err("a letter was not claimed, or is known already");
            }
            outcomes.iter().for_each(|(letter, outcome)| own.observe(*letter, *outcome));
        }
        (RedriveStatus::Running, RedriveEvent::Halted { reason, actor }) => {
            own.status = RedriveStatus::Halted { reason: reason.clone(), actor: actor.clone() };
        }
        (RedriveStatus::Halted { .. }, RedriveEvent::Resumed { .. }) => own.resume(),
        (status, RedriveEvent::Cancelled { reason, actor }) if !status.is_over() => {
            let (reason, actor) = (reason.clone(), actor.clone());
            own.status = RedriveStatus::Cancelled { reason, actor };
        }
        (RedriveStatus::Running, RedriveEvent::Completed) => own.status = RedriveStatus::Completed,
        _ => return Err("it has no arrow from where the redrive stands"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
