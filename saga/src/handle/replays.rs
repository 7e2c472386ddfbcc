//! Asking for replays, watching them, stopping them and letting them go on.

use std::sync::Arc;

use backstitch_core::command::is_callback_url;
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::ReplayRequest;
use backstitch_core::history::EventFilter;
use backstitch_core::ids::ReplayId;
use backstitch_core::replays::{
    ATTEMPTS_MAX, RATE_MAX, ReplayCommand, ReplayRejection, ReplayState, Terms,
};
use backstitch_journal::{ChainCursor, ViewName};

use super::events::{Range, beginning};
use super::{Handle, blocking, unexpected};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Input};

/// Where a replay's events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayTarget {
    /// To a URL, `http` or `https`, without user or password.
    Webhook(String),
    /// Into a view, which is made anew of the whole history: range, filter, rate and attempts
    /// mean nothing then.
    View(ViewName),
}

/// A wish for a replay, as a client puts it.
#[derive(Debug, Clone)]
pub struct ReplayWish {
    /// Tenant.
    pub namespace: Arc<str>,
    /// Where the events go.
    pub target: ReplayTarget,
    /// Begin behind this place; with the first event that is left if unsaid.
    pub after: Option<ChainCursor>,
    /// End with this place; with the newest event there is now if unsaid.
    pub until: Option<ChainCursor>,
    /// Which of the events between.
    pub filter: EventFilter,
    /// Deliveries per second, 1 to [`RATE_MAX`].
    pub rate_per_second: u32,
    /// Attempts at one delivery, 1 to [`ATTEMPTS_MAX`].
    pub attempts_max: u16,
    /// Who asks.
    pub actor: String,
}

impl Handle {
    /// Begins a replay. When this answers, it is durable.
    ///
    /// # Errors
    /// [`Error::InvalidSubmission`], [`Error::CursorOutdated`], [`Error::HistoryCut`],
    /// [`Error::ReplayRejected`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn request_replay(&self, wish: ReplayWish) -> Result<(ReplayId, ReplayState), Error> {
        let problems = check(&wish);
        if !problems.is_empty() {
            return Err(Error::InvalidSubmission(problems));
        }
        let newest = self.newest_cursor().positions;
        let until = match wish.until {
            Some(cursor) => self.positions(cursor)?,
            None => newest.clone(),
        };
        // What is still to come is no part of a replay: it would follow its own records.
        let until = until.into_iter().zip(newest).map(|(until, newest)| until.min(newest));
        let until: Vec<u64> = until.collect();
        let after = self.begun(wish.after)?;
        let asks_for_the_first = after.is_none();
        let range = Range { after, until: Some(until.clone()), rows_max: 0 };
        let (journal, filter) = (self.shared.journal.clone(), wish.filter.clone());
        let (after, cut) = blocking(move || beginning(&journal, &filter, range)).await??;
        let from = wish.filter.from;
        let cut = cut.filter(|cut| asks_for_the_first && from.is_none_or(|from| from <= cut.until));
        let (url, view) = match wish.target {
            ReplayTarget::Webhook(url) => (url, None),
            ReplayTarget::View(view) => (String::new(), Some(view.word().to_owned())),
        };
        let request = Box::new(ReplayRequest {
            namespace: wish.namespace,
            url,
            after,
            until,
            filter: Terms {
                filter: wish.filter,
                max_attempts: wish.attempts_max,
                cut_until: cut.filter(|_| view.is_none()).map(|cut| cut.until),
                view,
            }
            .payload(),
            rate_per_second: wish.rate_per_second,
            actor: wish.actor,
        });
        let id = ReplayId(clock::draw_digits(clock::now()));
        self.replay_command(id, ReplayCommand::Request(request)).await
    }

    /// A replay as it stands.
    ///
    /// # Errors
    /// [`Error::ReplayNotFound`], [`Error::Stopped`].
    pub async fn replay(&self, id: ReplayId) -> Result<ReplayState, Error> {
        let ask = |ticket| Input::ShowReplays(Some(id), ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Replay(_, state) => Ok(*state),
            answer => Err(refused(id, answer)),
        }
    }

    /// The newest replays.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn replays(&self) -> Result<Vec<(ReplayId, ReplayState)>, Error> {
        let ask = |ticket| Input::ShowReplays(None, ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Replays(replays) => Ok(replays),
            answer => Err(unexpected(answer, None)),
        }
    }

    /// Stops a replay; it can be resumed.
    ///
    /// # Errors
    /// [`Error::ReplayNotFound`], [`Error::ReplayRejected`] once it has completed.
    pub async fn stop_replay(
        &self,
        id: ReplayId,
        reason: String,
        actor: String,
    ) -> Result<ReplayState, Error> {
        let command = ReplayCommand::Stop { reason, actor: Some(actor) };
        Ok(self.replay_command(id, command).await?.1)
    }

    /// Lets a stopped replay go on from the last place recorded.
    ///
    /// # Errors
    /// As [`Handle::stop_replay`], and when too many are under way.
    pub async fn resume_replay(&self, id: ReplayId, actor: String) -> Result<ReplayState, Error> {
        Ok(self.replay_command(id, ReplayCommand::Resume { actor }).await?.1)
    }

    async fn replay_command(
        &self,
        id: ReplayId,
        command: ReplayCommand,
    ) -> Result<(ReplayId, ReplayState), Error> {
        let ask = |ticket| Input::Replay(id, command, Some(ticket));
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Replay(id, state) => Ok((id, *state)),
            answer => Err(refused(id, answer)),
        }
    }
}

fn refused(id: ReplayId, answer: Answer) -> Error {
    match answer {
        Answer::ReplayRejected(ReplayRejection::Unknown) => Error::ReplayNotFound(id),
        Answer::ReplayRejected(rejection) => Error::ReplayRejected(rejection),
        answer => unexpected(answer, None),
    }
}

fn check(wish: &ReplayWish) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bad = |path: &str, code: &'static str, message: String| {
        problems.push(Problem { path: path.to_owned(), code, message });
    };
    if let ReplayTarget::Webhook(url) = &wish.target
        && !is_callback_url(url)
    {
        let message = "must be an http or https URL without user or password".to_owned();
        bad("url", codes::BAD_URL, message);
    }
    if !(1..=RATE_MAX).contains(&wish.rate_per_second) {
        bad("rate_per_second", codes::OUT_OF_RANGE, format!("must be 1 to {RATE_MAX}"));
    }
    if !(1..=ATTEMPTS_MAX).contains(&wish.attempts_max) {
        bad("max_attempts", codes::OUT_OF_RANGE, format!("must be 1 to {ATTEMPTS_MAX}"));
    }
    problems
}
