//! The replays of a partition: which there are, how far they came, and which go on.
//!
//! Records and lets out; the deliveries themselves are made elsewhere, from what is let out.

use std::collections::BTreeMap;

use backstitch_core::event::{Event, ReplayEvent};
use backstitch_core::ids::{ReplayId, StreamId};
use backstitch_core::replays::{
    self, RUNNING_MAX, ReplayCommand, ReplayRejection, ReplayState, ReplayStatus,
};
use backstitch_core::time::{Moment, Timestamp};
use backstitch_journal::record_fits;

use super::stage::{Release, StagedRecord};
use super::{Abandon, Answer, Partition};

/// Replays that one answer lists, newest first.
pub const REPLAYS_LISTED_MAX: usize = 1_000;

/// The fold of all replays' streams.
pub(super) type Replays = BTreeMap<ReplayId, ReplayState>;

impl<T: Abandon> Partition<T> {
    /// Takes in a replay that was found at start-up, oldest event first.
    ///
    /// # Errors
    /// A sentence, when the events don't fit.
    pub fn adopt_replay(
        &mut self,
        id: ReplayId,
        events: &[(Event, Timestamp)],
    ) -> Result<(), String> {
        let mut state = None;
        for (event, at) in events {
            let Event::Replay(event) = event else {
                return Err(format!("the stream of {id} holds an event of another kind"));
            };
            replays::evolve(&mut state, event, *at).map_err(|why| format!("{id}: {why}"))?;
        }
        self.replays.extend(state.map(|state| (id, state)));
        Ok(())
    }

    /// After a start every replay that was under way goes on.
    pub(super) fn resume_replays(&mut self) {
        let running = self.replays.iter().filter(|(_, own)| own.status == ReplayStatus::Running);
        let running: Vec<_> = running.map(|(id, own)| (*id, Box::new(own.clone()))).collect();
        self.releases.extend(running.into_iter().map(|(id, own)| Release::Replay(id, own)));
    }

    /// Carries a command out on a replay. While draining only progress is recorded.
    pub(super) fn replay(
        &mut self,
        id: ReplayId,
        command: ReplayCommand,
        ticket: Option<T>,
        moment: Moment,
    ) {
        let answer = if self.draining && ticket.is_some() {
            Answer::Draining
        } else {
            self.decide_replay(id, command, moment)
        };
        self.answer_maybe(ticket, answer);
    }

    fn decide_replay(&mut self, id: ReplayId, command: ReplayCommand, moment: Moment) -> Answer {
        let begins = matches!(command, ReplayCommand::Request(_) | ReplayCommand::Resume { .. });
        let event = match replays::decide(self.replays.get(&id), command) {
            Ok(event) => event,
            Err(rejection) => return Answer::ReplayRejected(rejection),
        };
        if let Some(event) = event {
            if begins && self.running_replays() >= RUNNING_MAX {
                return Answer::ReplayRejected(ReplayRejection::TooMany);
            }
            if let Err(answer) = self.record_replay(id, event, moment) {
                return answer;
            }
        }
        match self.replays.get(&id) {
            Some(state) => Answer::Replay(id, Box::new(state.clone())),
            None => Answer::ReplayRejected(ReplayRejection::Unknown),
        }
    }

    fn record_replay(
        &mut self,
        id: ReplayId,
        event: ReplayEvent,
        moment: Moment,
    ) -> Result<(), Answer> {
        let (stream, recorded) = (StreamId::Replay(id), Event::Replay(event.clone()));
        if !record_fits(&stream, &recorded) {
            return Err(Answer::TooLarge);
        }
        let mut state = self.replays.remove(&id);
        let known = state.clone();
        let folded = replays::evolve(&mut state, &event, moment.stamp);
        let moved = !matches!(event, ReplayEvent::Advanced { .. });
        let Some(state) = state.filter(|_| folded.is_ok()) else {
            self.replays.extend(known.map(|known| (id, known)));
            let why = folded.err().map(|why| why.to_string()).unwrap_or_default();
            return Err(Answer::Quarantined(why));
        };
        let (version, at, event) = (state.version, moment.stamp, recorded);
        self.open.records.push(StagedRecord::new(stream, version, at, event));
        if moved {
            self.releases.push(Release::Replay(id, Box::new(state.clone())));
        }
        self.replays.insert(id, state);
        Ok(())
    }

    fn running_replays(&self) -> usize {
        self.replays.values().filter(|own| own.status == ReplayStatus::Running).count()
    }

    /// Answers one replay, or the newest ones.
    pub(super) fn show_replays(&mut self, wanted: Option<ReplayId>, ticket: T) {
        let answer = match wanted {
            Some(id) => match self.replays.get(&id) {
                Some(state) => Answer::Replay(id, Box::new(state.clone())),
                None => Answer::ReplayRejected(ReplayRejection::Unknown),
            },
            None => {
                // Ids begin with the time they were drawn at.
                let newest = self.replays.iter().rev().take(REPLAYS_LISTED_MAX);
                Answer::Replays(newest.map(|(id, own)| (*id, own.clone())).collect())
            }
        };
        self.answer(ticket, answer);
    }
}
