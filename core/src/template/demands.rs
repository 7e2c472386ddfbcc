//! Demands on operands, put into a template before the engine reads it: that they are numbers
//! around a `*`, and that they pay for what is in them around whatever goes through them.
//!
//! Works on tokens: an operand ends where the next operator of its depth begins, and a filter
//! binds tighter than every operator.

use super::marks::{KEYWORDS, NUMBER_FILTER, SLICED_FILTER, WEIGHED_FILTER};
use super::tokens::{Spanned, Token};

/// Operators that go through their operands.
const WEIGHED: [&str; 8] = ["==", "!=", "<", ">", "<=", ">=", "~", "+"];
/// Words that end an operand.
const ENDING: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];

/// What is to be put into a text, and where.
#[derive(Debug, Default)]
pub(super) struct Demands(Vec<(usize, Demand)>);

/// In the order they stand in, if they stand at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Demand {
    /// `|__sliced)`
    Sliced,
    /// `|__number`
    Number,
    /// `|__weighed`
    Weighed,
    /// `(`, before what is sliced.
    Open,
}

impl Demands {
    /// Notes what the operators of one expression demand.
    pub(super) fn note(&mut self, tokens: &[Spanned<'_>]) {
        for at in 0..tokens.len() {
            match &tokens[at].token {
                Token::Symbol("*") => self.operands(tokens, at, at, Demand::Number),
                Token::Symbol(symbol) if WEIGHED.contains(symbol) => {
                    self.operands(tokens, at, at, Demand::Weighed);
                }
                Token::Symbol("[") if is_slice(tokens, at) => self.slice(tokens, at),
                Token::Name("in") if is_operator(tokens, at) => {
                    let negated = at > 0 && tokens[at - 1].token == Token::Name("not");
                    let negated = negated && is_operator(tokens, at - 1);
                    self.operands(tokens, at - usize::from(negated), at, Demand::Weighed);
                }
                _ => {}
            }
        }
    }

    /// Both operands of the operator that reaches from `first` to `last`.
    fn operands(&mut self, tokens: &[Spanned<'_>], first: usize, last: usize, demand: Demand) {
        if let Some(left) = first.checked_sub(1) {
            self.0.push((tokens[left].end, demand));
        }
        let mut depth = 0_usize;
        let mut end = None;
        let mut signs = true;
        for (at, spanned) in tokens.iter().enumerate().skip(last + 1) {
            signs &= spanned.token == Token::Symbol("-");
            match &spanned.token {
                Token::Symbol("-") if signs => continue,
                Token::Symbol("(" | "[" | "{") => depth += 1,
                Token::Symbol(")" | "]" | "}") if depth > 0 => depth -= 1,
                Token::Symbol("." | "|") => {}
                Token::Symbol(_) if depth == 0 => break,
                Token::Name(word)
                    if depth == 0 && ENDING.contains(word) && is_operator(tokens, at) =>
                {
                    break;
                }
                _ => {}
            }
            end = Some(spanned.end);
        }
        self.0.extend(end.map(|end| (end, demand)));
    }

    /// What a slice is taken of: the name, text or bracket before it with all that follows it.
    fn slice(&mut self, tokens: &[Spanned<'_>], bracket: usize) {
        let mut first = bracket - 1;
        loop {
            if matches!(tokens[first].token, Token::Symbol(")" | "]" | "}")) {
                let Some(opened) = opening(tokens, first) else { return };
                first = opened;
                let Some(before) = first.checked_sub(1) else { break };
                if tokens[first].token == Token::Symbol("[") && ends_value(tokens, before) {
                    first = before;
                    continue;
                }
                break;
            }
            if first < 2 || tokens[first - 1].token != Token::Symbol(".") {
                break;
            }
            first -= 2;
        }
        self.0.push((tokens[first].start, Demand::Open));
        self.0.push((tokens[bracket - 1].end, Demand::Sliced));
    }

    /// The text between two places, with the demands put in.
    pub(super) fn rewritten(&mut self, source: &str, start: usize, end: usize) -> String {
        // One opening bracket may be wanted for each of several slices of one value.
        self.0.sort_unstable();
        let mut rewritten = String::with_capacity(end - start);
        let mut from = start;
        let mut last = None;
        for &(at, demand) in self.0.iter().filter(|&&(at, _)| at >= start && at <= end) {
            if last == Some((at, demand)) && demand != Demand::Open {
                continue;
            }
            last = Some((at, demand));
            rewritten.push_str(&source[from..at]);
            from = at;
            let filter = match demand {
                Demand::Open => {
                    rewritten.push('(');
                    continue;
                }
                Demand::Number => NUMBER_FILTER,
                Demand::Weighed => WEIGHED_FILTER,
                Demand::Sliced => SLICED_FILTER,
            };
            rewritten.push('|');
            rewritten.push_str(filter);
            if demand == Demand::Sliced {
                rewritten.push(')');
            }
        }
        rewritten + &source[from..end]
    }
}

/// Whether a word is itself, not a field's or a test's name.
fn is_operator(tokens: &[Spanned<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|before| &tokens[before].token);
    match before(1) {
        Some(Token::Symbol("." | "|") | Token::Name("is")) => false,
        Some(Token::Name("not")) => before(2) != Some(&Token::Name("is")),
        _ => true,
    }
}

/// Whether a bracket takes a slice of the value before it.
fn is_slice(tokens: &[Spanned<'_>], at: usize) -> bool {
    if at == 0 || !ends_value(tokens, at - 1) {
        return false;
    }
    let mut depth = 0_usize;
    for spanned in &tokens[at + 1..] {
        match &spanned.token {
            Token::Symbol(":") if depth == 0 => return true,
            Token::Symbol("(" | "[" | "{") => depth += 1,
            Token::Symbol(")" | "]" | "}") if depth == 0 => return false,
            Token::Symbol(")" | "]" | "}") => depth -= 1,
            _ => {}
        }
    }
    false
}

fn ends_value(tokens: &[Spanned<'_>], at: usize) -> bool {
    match &tokens[at].token {
        Token::Name(name) => !KEYWORDS.contains(name) || !is_operator(tokens, at),
        Token::Text(_) | Token::Number(_) => true,
        Token::Symbol(symbol) => [")", "]", "}"].contains(symbol),
    }
}

/// Where the bracket was opened that closes here.
fn opening(tokens: &[Spanned<'_>], closing: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=closing).rev() {
        match &tokens[at].token {
            Token::Symbol(")" | "]" | "}") => depth += 1,
            Token::Symbol("(" | "[" | "{") => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
