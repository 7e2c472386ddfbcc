//! The query of a URL: known parameters only, each once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{Query, Request};
use axum::http::Uri;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use backstitch_core::command::WORDS_BYTES_MAX;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Cursor, Order, Range};

use super::refusal::Refusal;
use crate::nearest::unknown;

/// Rows of a list unless told otherwise.
pub const LIMIT_DEFAULT: usize = 50;
/// The most rows of one answer.
pub const LIMIT_MAX: usize = 1_000;

/// Refuses every parameter: for paths that take none.
pub(super) async fn take_none(request: Request, next: Next) -> Response {
    match Parameters::of(request.uri(), &[]) {
        Ok(_) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The parameters of a request.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 for one that can't be decoded, a parameter nobody knows, or one given twice.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| Refusal::bad_request("the query of the URL can't be decoded"))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in pairs {
            if known.is_empty() {
                let shown: String = name.chars().take(64).collect();
                let message = format!("unknown query parameter `{shown}`; this path takes none");
                return Err(Refusal::bad_request(message));
            }
            if !known.contains(&name.as_str()) {
                return Err(Refusal::bad_request(unknown("query parameter", &name, known)));
            }
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Refusal::bad_request(format!("`{name}` is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    /// Why somebody asks for a change, in their words; empty if they do not say.
    ///
    /// # Errors
    /// 400 for one that is too long or has control characters.
    pub fn reason(&self) -> Result<String, Refusal> {
        let reason = self.owned("reason").unwrap_or_default();
        if reason.len() > WORDS_BYTES_MAX || reason.chars().any(char::is_control) {
            let message =
                format!("`reason` has at most {WORDS_BYTES_MAX} bytes, no control characters");
            return Err(Refusal::bad_request(message));
        }
        Ok(reason)
    }

    /// A parameter's text; an empty one counts as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A number in a range.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn number<N>(&self, name: &str, range: RangeInclusive<N>) -> Result<Option<N>, Refusal>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse::<N>().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (start, end) = (range.start(), range.end());
            Refusal::bad_request(format!("`{name}` must be a whole number from {start} to {end}"))
        })
    }

    /// How many rows a list is asked for.
    ///
    /// # Errors
    /// 400 for anything but 1 to [`LIMIT_MAX`].
    pub fn limit(&self) -> Result<usize, Refusal> {
        Ok(self.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT))
    }

    /// An instant, in RFC 3339.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn instant(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        Timestamp::parse(text).map(Some).ok_or_else(|| {
            let example = "2026-01-31T12:00:00Z; a `+` in it is written %2B";
            Refusal::bad_request(format!("`{name}` must be an instant such as {example}"))
        })
    }

    /// A range of instants, from one parameter on and before another.
    ///
    /// # Errors
    /// 400 as for [`Parameters::instant`].
    pub fn range(&self, after: &str, before: &str) -> Result<Range, Refusal> {
        Ok(Range { after: self.instant(after)?, before: self.instant(before)? })
    }

    /// Which end of a list comes first: `order`.
    ///
    /// # Errors
    /// 400 for anything but `desc` and `asc`.
    pub fn order(&self) -> Result<Order, Refusal> {
        let order = self.word("order", &["desc", "asc"], |word| match word {
            "desc" => Some(Order::NewestFirst),
            "asc" => Some(Order::OldestFirst),
            _ => None,
        })?;
        Ok(order.unwrap_or_default())
    }

    /// A cursor that an earlier page gave.
    ///
    /// # Errors
    /// 400 for anything else.
    pub fn cursor(&self) -> Result<Option<Cursor>, Refusal> {
        let Some(text) = self.text("cursor") else { return Ok(None) };
        let bad = |_| Refusal::bad_request("`cursor` must be the `next_cursor` of an earlier page");
        text.parse().map(Some).map_err(bad)
    }

    /// A parameter's text.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// One of some words.
    ///
    /// # Errors
    /// 400 for any other.
    pub fn word<T>(
        &self,
        name: &str,
        known: &[&str],
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        read(text).map(Some).ok_or_else(|| Refusal::bad_request(unknown(name, text, known)))
    }
}
