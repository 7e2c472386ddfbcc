//! Who answers in a rehearsal: what each attempt of each step and undo comes to.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::payload::Payload;

/// What attempts come to, by the step's id, `<step>/undo` or `<step>/check`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    parts: BTreeMap<String, Part>,
}

/// What the attempts of one step or undo come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// By the attempt's number, from 1.
    pub attempts: BTreeMap<u16, Answer>,
    /// Every other attempt; the last one named if unsaid.
    pub then: Option<Answer>,
    /// The only rendered input for which any of this holds; any if unsaid.
    pub only_for: Option<Payload>,
}

/// What one attempt comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What.
    pub reply: Reply,
    /// After how long.
    pub delay_ms: u64,
    /// The wait before the next attempt; as the step's policy says if unsaid.
    pub retry_delay_ms: Option<u64>,
}

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It answers; of a wait for a signal: the signal comes and carries this.
    Output(Payload),
    /// It fails; of a wait for a signal: none comes.
    Failure(Failure),
    /// It ends with its timeout.
    TimedOut,
    /// The process that made it went away.
    Lost,
}

/// What a script has for an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// This.
    Answer(&'a Answer),
    /// Something, but for another input.
    OtherInput,
    /// Nothing.
    Nothing,
}

impl Script {
    /// The name of an undo's part.
    #[must_use]
    pub fn undo_of(step: &str) -> String {
        format!("{step}/undo")
    }

    /// The name of a check's part.
    #[must_use]
    pub fn check_of(step: &str) -> String {
        format!("{step}/check")
    }

    /// Lays another script over this one: what it says counts.
    #[must_use]
    pub fn overlaid(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// The part of a name, made if there is none.
    pub(super) fn part_mut(&mut self, name: &str) -> &mut Part {
        self.parts.entry(name.to_owned()).or_default()
    }

    /// The names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.keys().map(String::as_str)
    }

    pub(super) fn put(&mut self, name: &str, part: Part) {
        self.parts.insert(name.to_owned(), part);
    }

    /// Lets everything hold for any input.
    #[must_use]
    pub fn for_any_input(mut self) -> Self {
        self.parts.values_mut().for_each(|part| part.only_for = None);
        self
    }

    /// Leaves out the parts that name nothing in a plan, or nothing that is answered for.
    #[must_use]
    pub fn of_plan(mut self, plan: &crate::plan::Plan) -> Self {
        self.parts.retain(|name, _| super::script_read::problem(plan, name).is_none());
        self
    }

    /// What an attempt comes to; nothing if the script does not say, or says it of another input.
    #[must_use]
    pub fn answer(&self, name: &str, attempt: u16, input: &Payload) -> Option<&Answer> {
        match self.find(name, attempt, input) {
            Found::Answer(answer) => Some(answer),
            Found::OtherInput | Found::Nothing => None,
        }
    }

    pub(super) fn find(&self, name: &str, attempt: u16, input: &Payload) -> Found<'_> {
        let Some(part) = self.parts.get(name) else { return Found::Nothing };
        if part.only_for.as_ref().is_some_and(|only| only.text() != input.text()) {
            return Found::OtherInput;
        }
        let own = part.attempts.get(&attempt).or(part.then.as_ref());
        let last = || part.attempts.last_key_value().map(|(_, last)| last);
        own.or_else(last).map_or(Found::Nothing, Found::Answer)
    }
}

impl Answer {
    /// An answer at once.
    #[must_use]
    pub fn at_once(reply: Reply) -> Self {
        Self { reply, delay_ms: 0, retry_delay_ms: None }
    }
}
