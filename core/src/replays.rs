//! The small machine of a replay: recorded events delivered to somebody again.
//!
//! A replay runs no step and changes no run. Knows how far a replay is and whether it goes on;
//! not how anything is delivered, nor when the next attempt is due.

use serde::{Deserialize, Serialize};

use crate::event::{ReplayEvent, ReplayRequest};
use crate::history::EventFilter;
use crate::payload::Payload;
use crate::time::Timestamp;

/// Deliveries per second unless told otherwise.
pub const RATE_DEFAULT: u32 = 50;
/// The most deliveries per second.
pub const RATE_MAX: u32 = 1_000;
/// Attempts at one delivery before a replay stops, unless told otherwise.
pub const ATTEMPTS_DEFAULT: u16 = 5;
/// The most attempts at one delivery.
pub const ATTEMPTS_MAX: u16 = 20;
/// Replays under way at a time in a store.
pub const RUNNING_MAX: usize = 16;

/// What a replay was asked for beside its range and its rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Which events.
    pub filter: EventFilter,
    /// Attempts at one delivery before the replay stops.
    pub max_attempts: u16,
    /// The view that is made anew, if nothing is delivered to a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// Events up to this instant were asked for and could not be had: the log was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_until: Option<Timestamp>,
}

impl Terms {
    /// As canonical JSON.
    #[must_use]
    pub fn payload(&self) -> Payload {
        Payload::of(&serde_json::to_value(self).expect("terms are plain data"))
    }

    /// What [`Terms::payload`] wrote; every event and the default for anything else.
    #[must_use]
    pub fn of_payload(payload: &Payload) -> Self {
        let (filter, max_attempts) = (EventFilter::default(), ATTEMPTS_DEFAULT);
        let everything = Self { filter, max_attempts, view: None, cut_until: None };
        serde_json::from_str(payload.text()).unwrap_or(everything)
    }
}

/// One replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayState {
    /// What it delivers, where and how fast.
    pub request: Box<ReplayRequest>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub status: ReplayStatus,
    /// Last position delivered or passed over, of each partition.
    pub positions: Vec<u64>,
    /// Deliveries so far, as far as recorded.
    pub delivered: u64,
    /// Events folded so far.
    pub version: u64,
    /// When the last of them was recorded.
    pub updated_at: Timestamp,
}

impl ReplayState {
    /// The view that is made anew, if it is one.
    #[must_use]
    pub fn into_view(&self) -> Option<String> {
        Terms::of_payload(&self.request.filter).view
    }
}

/// Where a replay stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayStatus {
    /// It delivers.
    Running,
    /// It waits to be resumed.
    Stopped {
        /// The last failure, or somebody's reason.
        reason: String,
        /// Who stopped it, if somebody did.
        actor: Option<String>,
    },
    /// Everything was delivered.
    Completed,
}

impl ReplayStatus {
    /// The word the API prints.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped { .. } => "stopped",
            Self::Completed => "completed",
        }
    }
}

/// A wish concerning one replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayCommand {
    /// Begin it.
    Request(Box<ReplayRequest>),
    /// Everything up to here was delivered or passed over.
    Advance {
        /// Of each partition.
        positions: Vec<u64>,
        /// Deliveries in all.
        delivered: u64,
    },
    /// Stop it.
    Stop {
        /// Why.
        reason: String,
        /// Who, if somebody.
        actor: Option<String>,
    },
    /// Let it go on from where it stopped.
    Resume {
        /// Who.
        actor: String,
    },
    /// Everything was delivered.
    Complete {
        /// Deliveries in all.
        delivered: u64,
    },
}

/// Why a command was refused. Nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayRejection {
    /// No replay of that id.
    #[error("there is no such replay")]
    Unknown,
    /// Nothing is left to stop or to resume.
    #[error("the replay has completed; request another one")]
    AlreadyCompleted,
    /// A view that is being made anew comes into force when it is whole.
    #[error(
        "a view that is being made anew is not stopped: the old one serves until the new one is \
         whole"
    )]
    IntoView,
    /// The node's work is bounded.
    #[error("{RUNNING_MAX} replays are under way, which is the most; wait for one or stop one")]
    TooMany,
}

/// An event that does not fit the state: the journal is damaged, or of another stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {version} of a replay does not fit: {why}")]
pub struct IllegalReplayEvent {
    /// The version it would have had.
    pub version: u64,
    /// What is wrong.
    pub why: &'static str,
}

/// What a command means. A late or repeated command means nothing.
///
/// # Errors
/// [`ReplayRejection`]
pub fn decide(
    state: Option<&ReplayState>,
    command: ReplayCommand,
) -> Result<Option<ReplayEvent>, ReplayRejection> {
    let Some(state) = state else {
        return match command {
            ReplayCommand::Request(request) => Ok(Some(ReplayEvent::Requested(request))),
            _ => Err(ReplayRejection::Unknown),
        };
    };
    let running = state.status == ReplayStatus::Running;
    let completed = state.status == ReplayStatus::Completed;
    match command {
        ReplayCommand::Request(_) => Ok(None),
        ReplayCommand::Advance { positions, delivered } => {
            let forward = ahead(&state.positions, &positions) && positions != state.positions;
            Ok((running && forward).then_some(ReplayEvent::Advanced { positions, delivered }))
        }
        ReplayCommand::Complete { delivered } => {
            Ok(running.then_some(ReplayEvent::Completed { delivered }))
        }
        ReplayCommand::Stop { actor: Some(_), .. } if completed => {
            Err(ReplayRejection::AlreadyCompleted)
        }
        ReplayCommand::Stop { actor: Some(_), .. } if running && state.into_view().is_some() => {
            Err(ReplayRejection::IntoView)
        }
        ReplayCommand::Stop { reason, actor } => {
            Ok(running.then_some(ReplayEvent::Stopped { reason, actor }))
        }
        ReplayCommand::Resume { .. } if completed => Err(ReplayRejection::AlreadyCompleted),
        ReplayCommand::Resume { actor } => Ok((!running).then_some(ReplayEvent::Resumed { actor })),
    }
}

/// Whether no partition goes back.
fn ahead(from: &[u64], to: &[u64]) -> bool {
    from.len() == to.len() && from.iter().zip(to).all(|(from, to)| from <= to)
}

/// Folds one event.
///
/// # Errors
/// [`IllegalReplayEvent`]; the state is then as before.
pub fn evolve(
    state: &mut Option<ReplayState>,
    event: &ReplayEvent,
    at: Timestamp,
) -> Result<(), IllegalReplayEvent> {
    let version = state.as_ref().map_or(1, |own| own.version + 1);
    let illegal = |why| IllegalReplayEvent { version, why };
    let own = match (state.as_mut(), event) {
        (None, ReplayEvent::Requested(request)) => {
            *state = Some(ReplayState {
                positions: request.after.clone(),
                request: request.clone(),
                requested_at: at,
                status: ReplayStatus::Running,
                delivered: 0,
                version,
                updated_at: at,
            });
            return Ok(());
        }
        (None, _) => return Err(illegal("a replay begins with its request")),
        (Some(own), _) => own,
    };
    match (&own.status, event) {
        (_, ReplayEvent::Requested(_)) => return Err(illegal("a replay is requested once")),
        (ReplayStatus::Running, ReplayEvent::Advanced { positions, delivered }) => {
            if !ahead(&own.positions, positions) {
                return Err(illegal("it goes back"));
            }
            own.positions.clone_from(positions);
            own.delivered = *delivered;
        }
        (ReplayStatus::Running, ReplayEvent::Stopped { reason, actor }) => {
            own.status = ReplayStatus::Stopped { reason: reason.clone(), actor: actor.clone() };
        }
        (ReplayStatus::Running, ReplayEvent::Completed { delivered }) => {
            own.status = ReplayStatus::Completed;
            own.delivered = *delivered;
        }
        (ReplayStatus::Stopped { .. }, ReplayEvent::Resumed { .. }) => {
            own.status = ReplayStatus::Running;
        }
        _ => return Err(illegal("it has no arrow from where the replay stands")),
    }
    (own.version, own.updated_at) = (version, at);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> Box<ReplayRequest> {
        Box::new(ReplayRequest {
            namespace: "default".into(),
            url: "http://localhost/".to_owned(),
            after: vec![0, 0],
            until: vec![9, 9],
            filter: Payload::null(),
            rate_per_second: 1,
            actor: "ann".to_owned(),
        })
    }

    fn command() -> impl Strategy<Value = ReplayCommand> {
        let positions = prop::collection::vec(0..10_u64, 1..3);
        prop_oneof![
            Just(ReplayCommand::Request(request())),
            (positions, 0..10_u64)
                .prop_map(|(positions, delivered)| ReplayCommand::Advance { positions, delivered }),
            Just(ReplayCommand::Stop { reason: "r".to_owned(), actor: Some("ann".to_owned()) }),
            Just(ReplayCommand::Stop { reason: "r".to_owned(), actor: None }),
            Just(ReplayCommand::Resume { actor: "ann".to_owned() }),
            (0..10_u64).prop_map(|delivered| ReplayCommand::Complete { delivered }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_decided_folds_and_a_replay_never_goes_back(
            commands in prop::collection::vec(command(), 0..30),
        ) {
            let mut state = None;
            for (at, command) in (1..).zip(commands) {
                let before: Option<ReplayState> = state.clone();
                if let Ok(Some(event)) = decide(state.as_ref(), command) {
                    evolve(&mut state, &event, Timestamp(at)).expect("it was just decided");
                    let now = state.as_ref().expect("requested");
                    if let Some(before) = before {
                        prop_assert!(ahead(&before.positions, &now.positions));
                        prop_assert_eq!(now.version, before.version + 1);
                        prop_assert!(before.status != ReplayStatus::Completed);
                    }
                }
            }
        }
    }

    #[test]
    fn a_view_that_is_being_made_anew_is_not_stopped_by_hand() {
        let terms = Terms { view: Some("runs".to_owned()), ..Terms::of_payload(&Payload::null()) };
        assert_eq!(Terms::of_payload(&terms.payload()), terms);
        let request = Box::new(ReplayRequest { filter: terms.payload(), ..*request() });
        let mut state = None;
        evolve(&mut state, &ReplayEvent::Requested(request), Timestamp(1)).expect("the first");
        let stop = |actor| ReplayCommand::Stop { reason: "r".to_owned(), actor };
        let by_hand = decide(state.as_ref(), stop(Some("ann".to_owned())));
        assert_eq!(by_hand, Err(ReplayRejection::IntoView));
        assert!(decide(state.as_ref(), stop(None)).expect("it failed").is_some());
    }

    #[test]
    fn late_commands_mean_nothing_and_wrong_ones_are_rejected() {
        let mut state = None;
        let stop = ReplayCommand::Stop { reason: "r".to_owned(), actor: Some("ann".to_owned()) };
        assert_eq!(decide(None, stop.clone()), Err(ReplayRejection::Unknown));
        for command in [ReplayCommand::Request(request()), ReplayCommand::Complete { delivered: 3 }]
        {
            let event = decide(state.as_ref(), command).expect("right").expect("something");
            evolve(&mut state, &event, Timestamp(1)).expect("it fits");
        }
        let advance = ReplayCommand::Advance { positions: vec![1, 1], delivered: 1 };
        assert_eq!(decide(state.as_ref(), advance), Ok(None));
        assert_eq!(decide(state.as_ref(), stop), Err(ReplayRejection::AlreadyCompleted));
        let late = ReplayEvent::Resumed { actor: "ann".to_owned() };
        assert!(evolve(&mut state, &late, Timestamp(2)).is_err());
    }
}
