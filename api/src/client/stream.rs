//! Live events of a server, followed over restarts of it.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client as Http, Response};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::sse::{Event, Parser};
use super::tls::Trust;
use super::{ATTEMPT_PAUSE, Client, builder};
use crate::error::Error;

/// How long a server may be gone before following it is given up.
const RETURN_PATIENCE: Duration = Duration::from_secs(60);
/// Heartbeats come four times as often as this.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// No event is nearly as large.
const EVENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Events as they happen, each once, in the order of their partitions.
pub struct Stream {
    client: Client,
    path: String,
    answer: Option<Response>,
    parser: Parser,
    heard: VecDeque<Event>,
    last_id: Option<String>,
    /// When the server was there last.
    seen: Instant,
}

impl Client {
    /// Follows the events at a path.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`], [`Error::Foreign`].
    pub async fn follow(&self, path: &str) -> Result<Stream, Error> {
        let url = self.url.clone();
        let http = streaming(&self.trust).map_err(|source| Error::Unreachable { url, source })?;
        let mut stream = Stream {
            client: Self { http, ..self.clone() },
            path: path.to_owned(),
            answer: None,
            parser: Parser::default(),
            heard: VecDeque::new(),
            last_id: None,
            seen: Instant::now(),
        };
        stream.connect().await?;
        stream.client.patience = RETURN_PATIENCE;
        Ok(stream)
    }
}

impl Stream {
    /// The next event; none once the server says that no other will come.
    ///
    /// # Errors
    /// [`Error::Failed`] with the server's reason when it can't go on, [`Error::Refused`],
    /// [`Error::Foreign`], and [`Error::Unreachable`] when it does not come back for a minute.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            match self.heard.pop_front() {
                Some(event) if event.kind == "end" => return Ok(None),
                Some(event) => return self.value(&event).map(Some),
                None => self.listen().await?,
            }
        }
    }

    fn value(&self, event: &Event) -> Result<Value, Error> {
        let said: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match event.kind.as_str() {
            "error" => {
                let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
                Err(Error::Failed(format!("{}: {}", text("error_code"), text("message"))))
            }
            _ if said.is_object() => Ok(said),
            _ => Err(self.foreign()),
        }
    }

    async fn listen(&mut self) -> Result<(), Error> {
        let piece = match &mut self.answer {
            Some(answer) => answer.chunk().await.ok().flatten(),
            None => return self.connect().await,
        };
        let Some(piece) = piece else {
            self.answer = None;
            if self.seen.elapsed() > RETURN_PATIENCE {
                // It answers, and each time ends before it has said anything.
                return Err(self.foreign());
            }
            sleep(ATTEMPT_PAUSE).await;
            return Ok(());
        };
        self.seen = Instant::now();
        self.heard.extend(self.parser.read(&piece));
        if self.parser.held_bytes() > EVENT_BYTES_MAX {
            return Err(self.foreign());
        }
        Ok(())
    }

    /// Asks for what is behind the last event that was heard.
    async fn connect(&mut self) -> Result<(), Error> {
        self.last_id = self.parser.last_id().map(str::to_owned).or(self.last_id.take());
        self.parser = Parser::default();
        let mut request = self.client.http.get(format!("{}{}", self.client.url, self.path));
        request = request.header(ACCEPT, "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        match self.client.answer(request).await {
            Ok(answer) if is_stream(&answer) => self.answer = Some(answer),
            Ok(_) => return Err(self.foreign()),
            // A server that is being started anew ends some connections without an answer.
            Err(Error::Unreachable { .. }) if self.seen.elapsed() < self.client.patience => {
                sleep(ATTEMPT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn foreign(&self) -> Error {
        Error::Foreign { url: self.client.url.clone(), status: reqwest::StatusCode::OK }
    }
}

/// An answer may take for ever as long as something comes.
fn streaming(trust: &Trust) -> Result<Http, reqwest::Error> {
    builder(Policy::default(), trust).read_timeout(SILENCE_MAX).connect_timeout(SILENCE_MAX).build()
}

fn is_stream(answer: &Response) -> bool {
    let media_type = answer.headers().get(CONTENT_TYPE).and_then(|own| own.to_str().ok());
    media_type.is_some_and(|own| own.starts_with("text/event-stream"))
}
