//! What the shop has done, and what it answered to which key.
//!
//! Knows nothing of HTTP beyond the number of a status, and nothing of time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::books::{Books, Entry, Service, Turn};

/// The most keys one shop remembers: it lives in memory and for one show.
const KEYS_MAX: usize = 1_000_000;

/// An answer: a status and a body.
pub(super) type Answer = (u16, Value);

/// What a request asks of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// To do its work for an order.
    Do,
    /// To take it back.
    Undo,
}

/// A request for one order, under its key.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub service: Service,
    pub wish: Wish,
    pub key: &'a str,
    pub order_id: &'a str,
    /// Why the service will not do it, with the status it says so by.
    pub refusal: Option<(u16, &'static str)>,
    /// How many attempts under this key find the service busy, before any takes effect.
    pub flaky: u32,
    /// How many attempts under this key take effect and lose their answer.
    pub lost: u32,
}

/// What a key was first used for, its attempts and its lasting answer.
#[derive(Debug)]
struct Key {
    service: Service,
    wish: Wish,
    order_id: String,
    attempts: u32,
    answer: Option<Answer>,
}

/// The shop's memory.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    books: Books,
    keys: BTreeMap<String, Key>,
}

impl Ledger {
    /// A copy of the books.
    pub fn books(&self) -> Books {
        self.books.clone()
    }

    /// Does what is asked, once for each key, and answers the same to the same key ever after.
    pub fn apply(&mut self, ask: &Ask<'_>) -> Answer {
        if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(ask.key) {
            return (507, json!({ "error": format!("the shop remembers {KEYS_MAX} keys") }));
        }
        let holdings = self.books.orders.entry(ask.order_id.to_owned()).or_default();
        holdings.entry(ask.service).or_default();
        let key = self.keys.entry(ask.key.to_owned()).or_insert_with(|| Key {
            service: ask.service,
            wish: ask.wish,
            order_id: ask.order_id.to_owned(),
            attempts: 0,
            answer: None,
        });
        if (key.service, key.wish, key.order_id.as_str()) != (ask.service, ask.wish, ask.order_id) {
            self.enter(ask, Turn::KeyMisused);
            return (409, json!({ "error": "the key was used for something else" }));
        }
        key.attempts = key.attempts.saturating_add(1);
        let attempts = key.attempts;
        if attempts <= ask.flaky {
            return (503, json!({ "error": format!("{} is busy", ask.service) }));
        }
        let answer = match key.answer.clone() {
            Some(answer) => {
                self.books.repeats += 1;
                answer
            }
            None => {
                let answer = self.take_place(ask);
                if let Some(key) = self.keys.get_mut(ask.key) {
                    key.answer = Some(answer.clone());
                }
                answer
            }
        };
        if attempts - ask.flaky <= ask.lost {
            return (504, json!({ "error": format!("no answer from {}", ask.service) }));
        }
        answer
    }

    /// Enters one request that was not there before.
    fn take_place(&mut self, ask: &Ask<'_>) -> Answer {
        let holdings = self.books.orders.entry(ask.order_id.to_owned()).or_default();
        let holding = holdings.entry(ask.service).or_default();
        let turn = match (ask.wish, ask.refusal) {
            (Wish::Do, Some(_)) => Turn::Refused,
            (Wish::Do, None) if holding.done > 0 => Turn::Doubled,
            (Wish::Do, None) => Turn::Done,
            (Wish::Undo, _) if holding.holds() => Turn::Undone,
            (Wish::Undo, _) if holding.undone > 0 => Turn::UndoneAgain,
            (Wish::Undo, _) => Turn::NothingToUndo,
        };
        match turn {
            Turn::Done | Turn::Doubled => holding.done += 1,
            Turn::Undone => holding.undone += 1,
            Turn::NothingToUndo | Turn::UndoneAgain | Turn::Refused | Turn::KeyMisused => {}
        }
        let sequence = self.enter(ask, turn);
        match (ask.wish, ask.refusal) {
            (Wish::Do, Some((status, why))) => (status, json!({ "error": why })),
            (Wish::Do, None) => {
                let id = format!("{}-{sequence}", ask.service);
                (200, json!({ "order_id": ask.order_id, "id": id }))
            }
            (Wish::Undo, _) => {
                let undone = turn == Turn::Undone;
                (200, json!({ "order_id": ask.order_id, "undone": undone }))
            }
        }
    }

    /// Adds a line to the day-book and answers its number.
    fn enter(&mut self, ask: &Ask<'_>, turn: Turn) -> u64 {
        let sequence = self.books.entries.len() as u64 + 1;
        self.books.entries.push(Entry {
            sequence,
            order_id: ask.order_id.to_owned(),
            service: ask.service,
            turn,
            key: ask.key.to_owned(),
        });
        sequence
    }
}
