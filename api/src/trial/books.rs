//! The books of mocked services: what took effect under which idempotency key, and what was taken
//! back.
//!
//! A trusted service does once what it is asked for under one key, and takes it back once. It
//! knows nothing of runs: it sees calls and their keys.

use std::collections::BTreeMap;

use serde_json::Value;

/// The most keys that books have: they are of one test.
const ACTS_MAX: usize = 1_000_000;

/// What one effect is called by: the parts of its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ActId {
    /// The run, or that of the loop.
    pub(super) run: String,
    /// The step, or the loop.
    pub(super) step: String,
    /// The number of the item, of a loop.
    pub(super) item: Option<String>,
    /// Which deliberate running of the step it is.
    pub(super) round: String,
}

/// Whether an effect is wanted, or is to be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It is wanted.
    Do,
    /// It is to be taken back.
    Undo,
    /// Whether it took place is asked.
    Ask,
}

impl ActId {
    /// Reads `run/step[/item]/round[/undo or /check]`.
    pub(super) fn read(key: &str) -> Option<(Self, Wish)> {
        let asked = || key.strip_suffix("/check").map(|key| (key, Wish::Ask));
        let undone = key.strip_suffix("/undo").map(|key| (key, Wish::Undo));
        let (key, wish) = undone.or_else(asked).unwrap_or((key, Wish::Do));
        let parts: Vec<&str> = key.split('/').collect();
        let (run, step, item, round) = match parts.as_slice() {
            [run, step, round] => (run, step, None, round),
            [run, step, item, round] => (run, step, Some((*item).to_owned()), round),
            _ => return None,
        };
        let own = |part: &&str| (*part).to_owned();
        Some((Self { run: own(run), step: own(step), item, round: own(round) }, wish))
    }
}

/// What became of one effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Act {
    /// How often it took effect.
    pub(super) done: u32,
    /// How often it was taken back.
    pub(super) undone: u32,
    /// What the first success answered.
    answered: Option<Value>,
    /// What the first undo answered.
    undo_answered: Option<Value>,
}

/// How a call took effect, if it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Took {
    /// It did, and answers so.
    Effect(Value),
    /// It may have, and the answer is a failure: here it did.
    EffectUnheard,
    /// It did not.
    Nothing,
}

/// All effects of a test.
#[derive(Debug, Default)]
pub(super) struct Books {
    acts: BTreeMap<ActId, Act>,
}

impl Books {
    /// Enters a call, and answers what the service says in place of the answer at hand: a
    /// trusted one that was asked before says what it said then.
    pub(super) fn enter(
        &mut self,
        id: &ActId,
        wish: Wish,
        is_idempotent: bool,
        took: Took,
    ) -> Option<Value> {
        if wish == Wish::Ask {
            return None;
        }
        if self.acts.len() >= ACTS_MAX && !self.acts.contains_key(id) {
            return None;
        }
        let act = self.acts.entry(id.clone()).or_default();
        // There is nothing to take back of what was never done.
        let counts = wish == Wish::Do || act.done > 0;
        let (times, answered) = match wish {
            Wish::Undo => (&mut act.undone, &mut act.undo_answered),
            Wish::Do | Wish::Ask => (&mut act.done, &mut act.answered),
        };
        if is_idempotent && answered.is_some() {
            return answered.clone();
        }
        let repeats = is_idempotent && *times > 0;
        let effective = took != Took::Nothing;
        *times += u32::from(effective && counts && !repeats);
        if let Took::Effect(value) = took {
            answered.get_or_insert(value);
        }
        None
    }

    /// Whether the effect took place.
    pub(super) fn took_effect(&self, id: &ActId) -> bool {
        self.acts.get(id).is_some_and(|act| act.done > 0)
    }

    /// What became of each effect that runs asked for.
    pub(super) fn acts_of<'a>(
        &'a self,
        runs: &'a dyn Fn(&str) -> bool,
    ) -> impl Iterator<Item = (&'a ActId, &'a Act)> {
        self.acts.iter().filter(|(id, _)| runs(&id.run))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entered(is_idempotent: bool, calls: &[(&str, Took)]) -> (u32, u32) {
        let mut books = Books::default();
        for (key, took) in calls {
            let (id, wish) = ActId::read(key).expect("a key");
            books.enter(&id, wish, is_idempotent, took.clone());
        }
        let all = |_: &str| true;
        let act = books.acts_of(&all).next().map(|(_, act)| act.clone()).unwrap_or_default();
        (act.done, act.undone)
    }

    fn effect() -> Took {
        Took::Effect(json!({}))
    }

    #[test]
    fn keys_are_read() {
        let read = |key: &str| {
            ActId::read(key).map(|(id, wish)| (id.run, id.step, id.item, id.round, wish))
        };
        let own = |text: &str| text.to_owned();
        assert_eq!(read("e/s/0"), Some((own("e"), own("s"), None, own("0"), Wish::Do)));
        let item = Some(own("17"));
        assert_eq!(read("e/s/17/1/undo"), Some((own("e"), own("s"), item, own("1"), Wish::Undo)));
        assert_eq!(read("e/s/0/check"), Some((own("e"), own("s"), None, own("0"), Wish::Ask)));
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn a_trusted_service_does_everything_once() {
        let calls = [("e/s/0", effect()), ("e/s/0", effect())];
        assert_eq!(entered(true, &calls), (1, 0));
        assert_eq!(entered(false, &calls), (2, 0));
        let undone = [calls[0].clone(), ("e/s/0/undo", effect()), ("e/s/0/undo", effect())];
        assert_eq!(entered(true, &undone), (1, 1));
        assert_eq!(entered(false, &undone), (1, 2));
    }

    #[test]
    fn what_is_unheard_of_takes_effect_once_and_what_failed_never() {
        let calls = [("e/s/0", Took::EffectUnheard), ("e/s/0", effect())];
        assert_eq!(entered(true, &calls), (1, 0));
        assert_eq!(entered(true, &[("e/s/0", Took::Nothing)]), (0, 0));
        let early = [("e/s/0/undo", effect())];
        assert_eq!(entered(false, &early), (0, 0), "there was nothing to take back");
    }

    #[test]
    fn a_question_changes_nothing_and_is_answered_by_the_books() {
        let asked = [("e/s/0/check", effect())];
        assert_eq!(entered(true, &asked), (0, 0));
        let mut books = Books::default();
        let (id, wish) = ActId::read("e/s/0").expect("a key");
        assert!(!books.took_effect(&id));
        books.enter(&id, wish, true, Took::EffectUnheard);
        assert!(books.took_effect(&id), "nobody heard of it");
    }

    #[test]
    fn a_repeated_call_is_answered_as_the_first_one_was() {
        let mut books = Books::default();
        let (id, wish) = ActId::read("e/s/0").expect("a key");
        let said =
            |books: &mut Books, value: Value| books.enter(&id, wish, true, Took::Effect(value));
        assert_eq!(said(&mut books, json!(1)), None);
        assert_eq!(said(&mut books, json!(2)), Some(json!(1)));
    }
}
