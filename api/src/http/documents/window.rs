//! Which part of a list a request asks for: by offset, by page, or behind a cursor.

use serde_json::{Value, json};

use crate::http::query::{LIMIT_MAX, Parameters};
use crate::http::refusal::Refusal;

/// What every list of the documents can be asked.
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
        let offset = offset.or(before).unwrap_or(0);
        if offset > OFFSET_MAX {
            let message = format!(
                "a list is read by offset to {OFFSET_MAX} only; go on with `cursor`, the \
                 `next_cursor` of the page before"
            );
            return Err(Refusal::bad_request(message));
        }
        Ok(Self { offset, limit, cursor })
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
        let total = rows.len();
        let behind = |row: &R| self.cursor.as_ref().is_none_or(|cursor| key(row) > *cursor);
        let mut shown: Vec<_> =
            rows.into_iter().filter(behind).skip(self.offset).take(self.limit + 1).collect();
        let more = shown.len() > self.limit;
        shown.truncate(self.limit);
        let next = shown.last().filter(|_| more).map(&key);
        (shown, self.pagination(total, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(query: &str) -> Result<Window, Refusal> {
        let uri = format!("/x?{query}").parse().expect("a URI");
        Window::of(&Parameters::of(&uri, &PARAMETERS).expect("known parameters"), 50)
    }

    fn place(query: &str) -> Option<(usize, usize)> {
        window(query).ok().map(|own| (own.offset, own.limit))
    }

    #[test]
    fn offsets_and_pages_lead_to_the_same_place() {
        assert_eq!(place(""), Some((0, 50)));
        assert_eq!(place("offset=20&limit=10"), Some((20, 10)));
        assert_eq!(place("page=3&page_size=10"), Some((20, 10)));
        assert_eq!(place("offset=10000"), Some((10_000, 50)));
        for wrong in [
            "offset=10001",
            "limit=1001",
            "limit=0",
            "page=0",
            "page=1&offset=0",
            "limit=1&page_size=1",
            "cursor=a&offset=1",
            "page=18446744073709551615&page_size=1000",
        ] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        let deep = window("offset=10001").expect_err("too deep");
        assert!(deep.message.contains("cursor"), "{}", deep.message);
    }

    #[test]
    fn pages_of_a_list_are_told_apart_and_a_cursor_goes_on() {
        let rows = || (10..35).collect::<Vec<u32>>();
        let mut query = "limit=10".to_owned();
        let mut seen = Vec::new();
        for (shown, more) in [(10, true), (10, true), (5, false)] {
            let (own, told) = window(&query).expect("a window").cut(rows(), u32::to_string);
            assert_eq!(
                (own.len(), &told["has_more"], &told["total"]),
                (shown, &json!(more), &json!(25))
            );
            seen.extend(own);
            query = format!("limit=10&cursor={}", told["next_cursor"].as_str().unwrap_or_default());
        }
        assert_eq!(seen, rows());
    }
}
