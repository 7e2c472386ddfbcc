//! The redrives of a partition: which there are, what they claimed, and which go on.
//!
//! Records and lets out; letters are found and retried elsewhere, from what is let out.

use std::collections::BTreeMap;

use backstitch_core::event::{Event, PartitionEvent, RedriveEvent};
use backstitch_core::ids::{RedriveId, StreamId};
use backstitch_core::redrives::{
    self, KEPT_MAX, KEPT_MS, RUNNING_MAX, RUNNING_PER_NAMESPACE_MAX, RedriveCommand,
    RedriveRejection, RedriveState, RedriveStatus,
};
use backstitch_core::time::{Moment, Timestamp};
use backstitch_journal::record_fits;

use super::stage::{Release, StagedRecord};
use super::{Abandon, Answer, Partition};

/// Redrives that one answer lists, newest first.
pub const REDRIVES_LISTED_MAX: usize = 1_000;
/// Who lets redrives go.
const RETENTION_ACTOR: &str = "retention";
const DAY_MS: u64 = 24 * 3_600_000;

/// The fold of all redrives' streams.
pub(super) type Redrives = BTreeMap<RedriveId, RedriveState>;

impl<T: Abandon> Partition<T> {
    /// Takes in a redrive that was found at start-up, oldest event first.
    ///
    /// # Errors
    /// A sentence, when the events don't fit.
    pub fn adopt_redrive(
        &mut self,
        id: RedriveId,
        events: &[(Event, Timestamp)],
    ) -> Result<(), String> {
        let mut state = None;
        for (event, at) in events {
            let Event::Redrive(event) = event else {
                return Err(format!("the stream of {id} holds an event of another kind"));
            };
            redrives::evolve(&mut state, event, *at).map_err(|why| format!("{id}: {why}"))?;
        }
        self.redrives.extend(state.map(|state| (id, state)));
        Ok(())
    }

    /// After a start every redrive goes on that was under way, or whose letters are.
    pub(super) fn resume_redrives(&mut self) {
        let own = self.redrives.iter().filter(|(_, own)| own.is_under_way());
        let own: Vec<_> = own.map(|(id, own)| (*id, Box::new(own.clone()))).collect();
        self.releases.extend(own.into_iter().map(|(id, own)| Release::Redrive(id, own)));
    }

    /// Carries a command out on a redrive. While draining only what was observed is recorded.
    pub(super) fn redrive(
        &mut self,
        id: RedriveId,
        command: RedriveCommand,
        ticket: Option<T>,
        moment: Moment,
    ) {
        let answer = if self.draining && ticket.is_some() {
            Answer::Draining
        } else {
            self.decide_redrive(id, command, moment)
        };
        self.answer_maybe(ticket, answer);
    }

    fn decide_redrive(&mut self, id: RedriveId, command: RedriveCommand, moment: Moment) -> Answer {
        let begins = matches!(command, RedriveCommand::Request(_) | RedriveCommand::Resume { .. });
        let event = match redrives::decide(self.redrives.get(&id), command) {
            Ok(event) => event,
            Err(rejection) => return Answer::RedriveRejected(rejection),
        };
        if let Some(event) = event {
            let full = if begins { self.full_of_redrives(id, &event) } else { None };
            if let Some(max) = full {
                return Answer::RedriveRejected(RedriveRejection::TooMany { max });
            }
            let requested = matches!(event, RedriveEvent::Requested(_));
            if let Err(answer) = self.record_redrive(id, event, moment) {
                return answer;
            }
            if requested {
                self.forget_redrives(moment);
            }
        }
        match self.redrives.get(&id) {
            Some(state) => Answer::Redrive(id, Box::new(state.clone())),
            None => Answer::RedriveRejected(RedriveRejection::Unknown),
        }
    }

    /// The bound that keeps a redrive from going on now: that of its tenant, or of all.
    fn full_of_redrives(&self, id: RedriveId, event: &RedriveEvent) -> Option<usize> {
        let namespace = match (event, self.redrives.get(&id)) {
            (RedriveEvent::Requested(request), _) => &request.namespace,
            (_, known) => &known?.request.namespace,
        };
        let running = || {
            let all = self.redrives.values();
            all.filter(|own| own.status == RedriveStatus::Running)
        };
        let own = running().filter(|own| own.request.namespace == *namespace).count();
        let of_all = (running().count() >= RUNNING_MAX).then_some(RUNNING_MAX);
        let of_tenant = own >= RUNNING_PER_NAMESPACE_MAX;
        of_tenant.then_some(RUNNING_PER_NAMESPACE_MAX).or(of_all)
    }

    fn record_redrive(
        &mut self,
        id: RedriveId,
        event: RedriveEvent,
        moment: Moment,
    ) -> Result<(), Answer> {
        let (stream, recorded) = (StreamId::Redrive(id), Event::Redrive(event.clone()));
        if !record_fits(&stream, &recorded) {
            return Err(Answer::TooLarge);
        }
        let mut state = self.redrives.remove(&id);
        let known = state.clone();
        let folded = redrives::evolve(&mut state, &event, moment.stamp);
        let progress =
            matches!(event, RedriveEvent::Claimed { .. } | RedriveEvent::Observed { .. });
        let Some(state) = state.filter(|_| folded.is_ok()) else {
            self.redrives.extend(known.map(|known| (id, known)));
            let why = folded.err().map(|why| why.to_string()).unwrap_or_default();
            return Err(Answer::Quarantined(why));
        };
        let (version, at, event) = (state.version, moment.stamp, recorded);
        self.open.records.push(StagedRecord::new(stream, version, at, event));
        if !progress {
            self.releases.push(Release::Redrive(id, Box::new(state.clone())));
        }
        self.redrives.insert(id, state);
        Ok(())
    }

    /// Whenever another one begins, those leave that came to rest long ago, or are too many.
    fn forget_redrives(&mut self, moment: Moment) {
        let redrives = redrives::outdated(&self.redrives, moment.now);
        if redrives.is_empty() {
            return;
        }
        redrives.iter().for_each(|id| drop(self.redrives.remove(id)));
        let rule =
            format!("at rest for {} days, or not among the newest {KEPT_MAX}", KEPT_MS / DAY_MS);
        let actor = RETENTION_ACTOR.to_owned();
        self.stage_own(PartitionEvent::RedrivesRemoved { redrives, rule, actor }, moment);
    }

    /// Answers one redrive, or the newest ones.
    pub(super) fn show_redrives(&mut self, wanted: Option<RedriveId>, ticket: T) {
        let answer = match wanted {
            Some(id) => match self.redrives.get(&id) {
                Some(state) => Answer::Redrive(id, Box::new(state.clone())),
                None => Answer::RedriveRejected(RedriveRejection::Unknown),
            },
            None => {
                // Ids begin with the time they were drawn at.
                let newest = self.redrives.iter().rev().take(REDRIVES_LISTED_MAX);
                Answer::Redrives(newest.map(|(id, own)| (*id, own.clone())).collect())
            }
        };
        self.answer(ticket, answer);
    }
}
