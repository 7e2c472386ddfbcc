//! Which part of a list a request asks for: by offset, by page, or behind a cursor. Every list of the API
//! is asked and told of in these words.

use std::fmt::Display;
use std::str::FromStr;

use backstitch_journal::{Cursor, Page};
use serde_json::{Value, json};

use super::query::{LIMIT_DEFAULT, LIMIT_MAX, Parameters};
use super::refusal::Refusal;

/// What every list can be asked.
pub(super) const PARAMETERS: [&str; 5] = ["limit", "offset", "page", "page_size", "cursor"];
/// How far a list can be read by offset.
pub(super) const OFFSET_MAX: usize = 10_000;

/// A part of a list.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) offset: usize,
    pub(super) limit: usize,
    /// The `next_cursor` of an earlier answer.
    pub(super) cursor: Option<String>,
    /// Whether it is asked for by offset or page: then the whole list is counted.
    is_counted: bool,
}

/// A part of a list as it was found.
#[derive(Debug)]
pub(super) struct Part<R> {
    pub(super) rows: Vec<R>,
    /// What leads behind them.
    pub(super) place: Option<String>,
    /// Whether there are more.
    pub(super) more: bool,
    /// Rows of the whole list, where they were counted.
    pub(super) total: usize,
}

impl<R> Part<R> {
    /// Where the list goes on, if it does.
    pub(super) fn next(&self) -> Option<String> {
        self.place.clone().filter(|_| self.more)
    }
}

/// Some rows of a list that is read bit by bit.
#[derive(Debug)]
pub(super) struct Pages<R, K> {
    pub(super) rows: Vec<R>,
    /// Where to go on.
    pub(super) next: Option<K>,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl<R> From<Page<R>> for Pages<R, Cursor> {
    fn from(Page { rows, next }: Page<R>) -> Self {
        Self { rows, more: next.is_some(), next }
    }
}

impl Window {
    /// What is asked for.
    ///
    /// # Errors
    /// 400 for a number out of range, and for two ways at once.
    pub(super) fn of(asked: &Parameters, limit_default: usize) -> Result<Self, Refusal> {
        let (limit, size) =
            (asked.number("limit", 1..=LIMIT_MAX)?, asked.number("page_size", 1..=LIMIT_MAX)?);
        let offset = asked.number("offset", 0..=usize::MAX)?;
        let page = asked.number("page", 1..=usize::MAX)?;
        let cursor = asked.owned("cursor");
        let ways = [offset.is_some(), page.is_some(), cursor.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 || (limit.is_some() && size.is_some()) {
            let message = "a list is read by `offset` and `limit`, by `page` and `page_size`, or \
                           by `cursor`: one of them at a time";
            return Err(Refusal::bad_request(message));
        }
        let limit = limit.or(size).unwrap_or(limit_default);
        let before = page.map(|page| (page - 1).saturating_mul(limit));
        let is_counted = offset.is_some() || page.is_some();
        let offset = offset.or(before).unwrap_or(0);
        if offset > OFFSET_MAX {
            let message = format!(
                "a list is read by offset to {OFFSET_MAX} only; go on with `cursor`, the \
                 `next_cursor` of the page before"
            );
            return Err(Refusal::bad_request(message));
        }
        Ok(Self { offset, limit, cursor, is_counted })
    }

    /// No rows, for whoever wants to count only.
    pub(super) fn nothing() -> Self {
        Self { offset: 0, limit: 0, cursor: None, is_counted: true }
    }

    /// The same of a short list, which is shown as a whole to whoever asks for no part of it.
    ///
    /// # Errors
    /// As [`Window::of`].
    pub(super) fn of_short(asked: &Parameters) -> Result<Self, Refusal> {
        let is_part = PARAMETERS.into_iter().any(|name| asked.text(name).is_some());
        Self::of(asked, if is_part { LIMIT_DEFAULT } else { usize::MAX })
    }

    /// The cursor as what it is made of.
    ///
    /// # Errors
    /// 400 for a text that no answer gave.
    pub(super) fn place<K: FromStr>(&self) -> Result<Option<K>, Refusal> {
        let bad = |_| Refusal::bad_request("`cursor` must be the `next_cursor` of an earlier page");
        self.cursor.as_ref().map(|text| text.parse().map_err(bad)).transpose()
    }

    /// The place of a list whose cursors have an older name, too.
    ///
    /// # Errors
    /// 400 for both at once, and as [`Window::place`].
    pub(super) fn place_or<K: FromStr>(
        &self,
        older: Option<K>,
        name: &str,
    ) -> Result<Option<K>, Refusal> {
        match (older, self.place()?) {
            (Some(_), Some(_)) => {
                let message = format!("`cursor` and `{name}` mean the same: say one of them");
                Err(Refusal::bad_request(message))
            }
            (older, place) => Ok(place.or(older)),
        }
    }

    /// What is said of a list: `next` leads behind the rows that are shown.
    pub(super) fn pagination(&self, total: usize, next: Option<String>) -> Value {
        json!({
            "total": total,
            "limit": self.limit,
            "offset": self.offset,
            "page": self.offset / self.limit + 1,
            "page_size": self.limit,
            "has_more": next.is_some(),
            "next_cursor": next,
        })
    }

    /// The window of a list that is in memory, in the order of its keys; a row's key is its cursor.
    pub(super) fn cut<R>(&self, rows: Vec<R>, key: impl Fn(&R) -> String) -> (Vec<R>, Value) {
        let part = self.behind(rows, self.cursor.clone(), key);
        let told = self.pagination(part.total, part.next());
        (part.rows, told)
    }

    /// The same with keys of any kind.
    ///
    /// # Errors
    /// 400 for a cursor that is no key.
    pub(super) fn part<R, K: Ord + Display + FromStr>(
        &self,
        rows: Vec<R>,
        key: impl Fn(&R) -> K,
    ) -> Result<Part<R>, Refusal> {
        Ok(self.behind(rows, self.place()?, key))
    }

    fn behind<R, K: Ord + Display>(
        &self,
        rows: Vec<R>,
        place: Option<K>,
        key: impl Fn(&R) -> K,
    ) -> Part<R> {
        let total = rows.len();
        let behind = |row: &R| place.as_ref().is_none_or(|place| key(row) > *place);
        let mut rows: Vec<_> = rows.into_iter().filter(behind).skip(self.offset).collect();
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let place = rows.last().map(|row| key(row).to_string());
        Part { rows, place, more, total }
    }

    /// The window of a list in memory that has no order of keys: its cursor says how many rows have gone by.
    ///
    /// # Errors
    /// 400 for a cursor that is no number.
    pub(super) fn counted_part<R>(&self, rows: Vec<R>) -> Result<Part<R>, Refusal> {
        let (begin, total) = (self.rows_before()?, rows.len());
        let rows = rows.into_iter().skip(begin).take(self.limit).collect();
        Ok(self.counted(begin, rows, total))
    }

    /// The same where only the rows of the window are there, which begins behind `begin` others.
    pub(super) fn counted<R>(&self, begin: usize, rows: Vec<R>, total: usize) -> Part<R> {
        let end = begin.saturating_add(self.limit);
        Part { rows, place: Some(end.to_string()), more: end < total, total }
    }

    /// How many rows stand before the window of such a list.
    ///
    /// # Errors
    /// 400 for a cursor that is no number.
    pub(super) fn rows_before(&self) -> Result<usize, Refusal> {
        Ok(self.place()?.unwrap_or(self.offset))
    }

    /// The window of a list that is read bit by bit, from `start` on; `read` gets the place and how many rows
    /// are wanted at most. The list is read to its end where it is to be counted, and no further than the
    /// window otherwise.
    ///
    /// # Errors
    /// As `read`.
    pub(super) async fn read<R, K, P, E, F>(
        &self,
        start: Option<K>,
        read: impl Fn(Option<K>, usize) -> F,
    ) -> Result<Part<R>, Refusal>
    where
        K: Clone + Display,
        F: Future<Output = Result<P, E>>,
        P: Into<Pages<R, K>>,
        Refusal: From<E>,
    {
        let place = |own: &Option<K>| own.as_ref().map(K::to_string);
        if !self.is_counted {
            let Pages { rows, next, more } = read(start, self.limit).await?.into();
            return Ok(Part { rows, place: place(&next), more, total: 0 });
        }
        let (begin, end) = (self.offset, self.offset + self.limit);
        let (mut rows, mut total, mut from, mut behind) = (Vec::new(), 0, start, None);
        loop {
            let wanted = end.saturating_sub(total);
            let most = if wanted == 0 { LIMIT_MAX } else { wanted.min(LIMIT_MAX) };
            let page: Pages<R, K> = read(from, most).await?.into();
            let (before, found) = (total, page.rows.len());
            total += found;
            // What is taken ends where a page does, so that its own place leads on from there.
            if wanted > 0 {
                rows.extend(page.rows.into_iter().skip(begin.saturating_sub(before)));
                behind = place(&page.next);
            }
            from = page.next;
            if !page.more {
                return Ok(Part { rows, place: behind, more: total > end, total });
            }
        }
    }

    /// Says in an answer where the list goes on and, where it was counted, which part this is.
    pub(super) fn tell(&self, answer: &mut Value, total: usize, next: Option<String>) {
        if self.is_counted {
            answer["pagination"] = self.pagination(total, next.clone());
        }
        answer["next_cursor"] = next.into();
    }

    /// An answer with the rows of a part.
    pub(super) fn told<R>(
        &self,
        mut answer: Value,
        name: &str,
        part: &Part<R>,
        shown: impl Fn(&R) -> Value,
    ) -> Value {
        answer[name] = part.rows.iter().map(shown).collect();
        self.tell(&mut answer, part.total, part.next());
        answer
    }
}

/// A key of a list with the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Newest<K>(std::cmp::Reverse<K>);

impl<K> Newest<K> {
    pub(super) fn of(key: K) -> Self {
        Self(std::cmp::Reverse(key))
    }
}

impl<K: Display> Display for Newest<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.0.fmt(f)
    }
}

impl<K: FromStr> FromStr for Newest<K> {
    type Err = K::Err;

    fn from_str(text: &str) -> Result<Self, K::Err> {
        text.parse().map(Self::of)
    }
}

#[cfg(test)]
mod tests;
