//! Events as they happen: server-sent events, or a WebSocket, at the paths of their lists.
//!
//! [`Wanted`] tells from a request's headers whether it wants a list or a stream, and of which kind;
//! [`pump`] carries events from their source to whichever outlet that is, with heartbeats between
//! them. A reader that does not read is cut off, and may go on behind the last event that it saw.

mod pump;
mod socket;
mod sse;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::header::{ACCEPT, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use axum::response::Response;
use backstitch_core::history::EventFilter;
use backstitch_core::ids::ExecutionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Caller;
use super::query::Parameters;
use super::refusal::Refusal;
use super::{codes, history, logs};
use crate::log::Tail;
use crate::server::connections_max;
use pump::Source;

/// Where a client that was cut off goes on, as browsers say it.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The media type of server-sent events.
const EVENT_STREAM: &str = "text/event-stream";
/// Seconds between heartbeats: unless told otherwise, and the most.
const HEARTBEAT_SECONDS: u64 = 15;
const HEARTBEAT_SECONDS_MAX: u64 = 60;

/// What streams take beside filters.
const OF_STREAMS: [&str; 2] = ["after", "heartbeat_seconds"];
/// Filters of the whole history.
const FILTERS: [&str; 4] = ["type", "workflow_id", "execution_id", "namespace"];

/// Connections that streams leave for requests, where those are not more than half.
const LEFT_FOR_REQUESTS: usize = 2_048;

fn streams_max(connections: usize) -> usize {
    connections.saturating_sub(LEFT_FOR_REQUESTS).max(connections / 2)
}

/// How many streams a server has at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    left: Arc<Semaphore>,
    max: usize,
}

impl Streams {
    /// As many as there are connections, but for those that stay for requests.
    pub(super) fn new() -> Self {
        let max = streams_max(connections_max());
        Self { left: Arc::new(Semaphore::new(max)), max }
    }

    /// Completes when all of them are over; no more are taken.
    pub(super) async fn over(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        // Nobody closes it.
        drop(self.left.acquire_many(all).await);
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let message = "as many streams as this server has are open; try again later";
        self.left.clone().try_acquire_owned().map_err(|_| Refusal::unavailable(message))
    }
}

/// The stream that a request wants in place of a list.
pub(super) struct Wanted {
    kind: Kind,
    headers: HeaderMap,
}

enum Kind {
    ServerSentEvents,
    Socket(Box<WebSocketUpgrade>),
}

/// As an extractor: `None` if the request wants a list.
pub(super) struct Form(pub(super) Option<Wanted>);

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let says = |name: HeaderName, word: &str| {
            let mut given = parts.headers.get_all(name).iter().filter_map(|own| own.to_str().ok());
            given.any(|own| own.split([',', ';']).any(|own| own.trim().eq_ignore_ascii_case(word)))
        };
        let kind = if says(UPGRADE, "websocket") {
            let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
            let upgrade = upgrade.map_err(|bad| Refusal::bad_request(bad.body_text()))?;
            Kind::Socket(Box::new(upgrade))
        } else if says(ACCEPT, EVENT_STREAM) {
            Kind::ServerSentEvents
        } else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Wanted { kind, headers: parts.headers.clone() })))
    }
}

/// What a stream goes by, beside what it follows.
struct Terms {
    caller: Caller,
    /// The request's. Whether they still let its caller read is asked at every heartbeat.
    headers: HeaderMap,
    heartbeat: Duration,
    /// The run whose end ends the stream, if one's does.
    until_end_of: Option<ExecutionId>,
    _permit: OwnedSemaphorePermit,
}

impl Wanted {
    /// The events of a run: from its first one, or behind one that was seen.
    ///
    /// # Errors
    /// 400 for a query that can't be read, and as [`backstitch_saga::Handle::follow_run`].
    pub(super) async fn of_run(
        self,
        caller: Caller,
        run: ExecutionId,
        uri: &Uri,
    ) -> Result<Response, Refusal> {
        let asked = Parameters::of(uri, &[&OF_STREAMS[..], &["type", "until"]].concat())?;
        let after = self.after(&asked)?.map(|text| event_id(&text)).transpose()?;
        let is_ending = |word: &str| (word == "end").then_some(run);
        let until_end_of = asked.word("until", &["end"], is_ending)?;
        let filter = history::filter(&asked)?;
        if until_end_of.is_some() && !filter.types.is_empty() {
            let message = "`until=end` needs every type of event: it does not go with `type`";
            return Err(Refusal::bad_request(message));
        }
        let follower = caller.engine()?.follow_run(run, filter, after).await?;
        self.begin(caller, &asked, follower, until_end_of)
    }

    /// The events of all runs of a workflow of the caller's namespace, from now on or behind a place.
    ///
    /// # Errors
    /// 400 for a query that can't be read, and as [`backstitch_saga::Handle::follow`].
    pub(super) fn of_workflow(
        self,
        caller: Caller,
        workflow: String,
        uri: &Uri,
    ) -> Result<Response, Refusal> {
        let asked = Parameters::of(uri, &[&OF_STREAMS[..], &["type"]].concat())?;
        let filter = EventFilter {
            workflow: Some(workflow),
            namespace: Some(caller.namespace().to_string()),
            ..history::filter(&asked)?
        };
        self.of_filter(caller, &asked, filter)
    }

    /// All events, through a filter, from now on or behind a place.
    ///
    /// # Errors
    /// 400 for a query that can't be read, and as [`backstitch_saga::Handle::follow`].
    pub(super) fn of_all(self, caller: Caller, uri: &Uri) -> Result<Response, Refusal> {
        let asked = Parameters::of(uri, &[&OF_STREAMS[..], &FILTERS[..]].concat())?;
        let filter = history::filter(&asked)?;
        self.of_filter(caller, &asked, filter)
    }

    /// The log: its newest lines that are wanted and those that come, or those behind a place.
    ///
    /// # Errors
    /// 400 for a query that can't be read.
    pub(super) fn of_logs(self, caller: Caller, uri: &Uri) -> Result<Response, Refusal> {
        let asked = Parameters::of(uri, &[&OF_STREAMS[..], &logs::PARAMETERS[..]].concat())?;
        let (pick, limit) = logs::wanted(&asked)?;
        let behind = match self.after(&asked)? {
            Some(text) => caller.logs().lines().number(logs::place(&text)?),
            None => logs::before_the_newest(caller.logs(), &pick, limit),
        };
        let tail = Tail::new(caller.logs(), pick, behind);
        self.begin(caller, &asked, tail, None)
    }

    fn of_filter(
        self,
        caller: Caller,
        asked: &Parameters,
        filter: EventFilter,
    ) -> Result<Response, Refusal> {
        let after = self.after(asked)?;
        let after = history::cursor(after.as_deref(), "after")?;
        let follower = caller.engine()?.follow(filter, after)?;
        self.begin(caller, asked, follower, None)
    }

    fn begin(
        self,
        caller: Caller,
        asked: &Parameters,
        source: impl Source,
        until_end_of: Option<ExecutionId>,
    ) -> Result<Response, Refusal> {
        let Self { kind, headers } = self;
        let seconds = asked.number("heartbeat_seconds", 1..=HEARTBEAT_SECONDS_MAX)?;
        let heartbeat = Duration::from_secs(seconds.unwrap_or(HEARTBEAT_SECONDS));
        let permit = caller.streams().begin()?;
        let terms = Terms { caller, headers, heartbeat, until_end_of, _permit: permit };
        Ok(match kind {
            Kind::ServerSentEvents => sse::answer(terms, source),
            Kind::Socket(upgrade) => socket::answer(*upgrade, terms, source),
        })
    }

    /// The place to go on behind: what a browser says of itself counts before what its page said.
    fn after(&self, asked: &Parameters) -> Result<Option<String>, Refusal> {
        let Some(last) = self.headers.get(LAST_EVENT_ID) else { return Ok(asked.owned("after")) };
        let last = last.to_str().map_err(|_| Refusal::bad_request("`Last-Event-ID` is no text"))?;
        Ok(Some(last.to_owned()).filter(|last| !last.is_empty()))
    }
}

/// Generation and position of an event's id.
fn event_id(text: &str) -> Result<(u32, u64), Refusal> {
    let mut parts = text.split(':');
    let (generation, _, position) = (parts.next(), parts.next(), parts.next());
    let read =
        generation.and_then(|own| own.parse().ok()).zip(position.and_then(|own| own.parse().ok()));
    read.filter(|_| parts.next().is_none()).ok_or_else(|| {
        let message = "`after` must be the `position` of an event of this run, such as 1:4:207";
        Refusal::new(codes::INVALID_REQUEST, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_keep_half_of_few_connections_and_enough_of_many() {
        assert_eq!([16, 512, 4_096, 10_000].map(streams_max), [8, 256, 2_048, 7_952]);
    }
}
