//! The checks of a template before the engine reads it: what may stand in it, what it reads,
//! how large and deep it is.
//!
//! The engine's fuel counts instructions, its parser recurses over long chains, and one of its
//! operators can make a list of a hundred million items. What bounds those is here: few tokens
//! an expression, no calls, loops over data only, `*` between numbers only, and operands that
//! pay for what is in them where an operator goes through them (`demands.rs`).

use super::demands::Demands;
use super::marks::{FILTERS, KEYWORDS, TESTS};
use super::names::{Names, SECRET_ALONE, secret};
use super::paths::{Path, Piece};
use super::statements::Block;
use super::tokens::{Close, Spanned, Token, tokens};
use super::{EXPRESSION_TOKENS_MAX, JOINS_MAX, ROOTS, Reads, SyntaxError, TEMPLATE_BYTES_MAX};
use crate::definition::nearest::nearest;
use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};

/// Whether a text holds any template.
pub(crate) fn has_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

/// A text that passed.
pub(super) struct Scanned {
    /// What the engine is to read: the same text, with its demands put in.
    pub source: String,
    /// Whether the text is one `{{ }}` and nothing else; `source` is then the expression.
    pub lone: bool,
    /// What the text is made of, if it holds nothing but paths and constant text.
    pub paths: Option<Vec<Piece>>,
    pub reads: Reads,
    /// Whether it is rendered for an executor.
    pub of_effect: bool,
}

/// Checks a bare expression.
pub(super) fn expression(source: &str, names: &dyn Names) -> Result<Scanned, SyntaxError> {
    check_length(source)?;
    let mut scanner = Scanner::new(names);
    let read = tokens(source, 0, Close::EndOfText)?;
    scanner.expression(&read.list, 0)?;
    let paths = Path::of(&read.list).map(|path| vec![Piece::Path(path)]);
    let source = scanner.demands.rewritten(source, 0, source.len());
    let of_effect = names.of_effect();
    Ok(Scanned { source, lone: true, paths, reads: scanner.reads, of_effect })
}

/// Checks a text with templates in it.
pub(super) fn text(source: &str, names: &dyn Names) -> Result<Scanned, SyntaxError> {
    check_length(source)?;
    let mut scanner = Scanner::new(names);
    let mut at = 0;
    let mut lone = None;
    let mut paths = Some(Vec::new());
    while let Some((offset, mark)) = next_mark(source, at) {
        let literal = &source[at..offset];
        let mut start = offset + 2;
        if mark == "{#" {
            paths = None;
            let length = source[start..].find("#}");
            at = start + length.ok_or_else(|| error(offset, "`#}` is missing"))? + 2;
            continue;
        }
        start += usize::from(source[start..].starts_with('-'));
        if mark == "{{" {
            let read = tokens(source, start, Close::Emit)?;
            scanner.expression(&read.list, offset)?;
            let ends = (read.list.first(), read.list.last());
            if let (0, true, (Some(first), Some(last))) = (offset, read.end == source.len(), ends) {
                lone = Some((first.start, last.end));
            }
            // Trimming is the engine's.
            let trims = source[..read.end].ends_with("-}}") || source[start - 1..].starts_with('-');
            let piece = piece_of(&read.list).filter(|_| !trims);
            paths = paths.zip(piece).map(|(pieces, piece)| with_piece(pieces, literal, piece));
            at = read.end;
        } else {
            let read = tokens(source, start, Close::Statement)?;
            scanner.statement(&read.list, offset)?;
            at = read.end;
            paths = None;
        }
    }
    if let Some(pieces) = &mut paths {
        push_literal(pieces, &source[at..]);
    }
    if let Some(open) = scanner.blocks.last() {
        return Err(error(open.offset, format!("`end{}` is missing", open.word)));
    }
    if scanner.reads.secrets && paths.is_none() {
        return Err(error(0, SECRET_ALONE));
    }
    let (start, end) = lone.unwrap_or((0, source.len()));
    let source = scanner.demands.rewritten(source, start, end);
    let of_effect = names.of_effect();
    Ok(Scanned { source, lone: lone.is_some(), paths, reads: scanner.reads, of_effect })
}

fn piece_of(tokens: &[Spanned<'_>]) -> Option<Piece> {
    match secret(tokens) {
        Some(name) => Some(Piece::Secret(name.into())),
        None => Path::of(tokens).map(Piece::Path),
    }
}

fn with_piece(mut pieces: Vec<Piece>, literal: &str, piece: Piece) -> Vec<Piece> {
    push_literal(&mut pieces, literal);
    pieces.push(piece);
    pieces
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &str) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
}

fn check_length(source: &str) -> Result<(), SyntaxError> {
    if source.len() <= TEMPLATE_BYTES_MAX {
        return Ok(());
    }
    Err(limit(0, format!("a template has at most {TEMPLATE_BYTES_MAX} bytes")))
}

fn next_mark(source: &str, from: usize) -> Option<(usize, &'static str)> {
    ["{{", "{%", "{#"]
        .into_iter()
        .filter_map(|mark| source[from..].find(mark).map(|at| (from + at, mark)))
        .min()
}

pub(super) fn error(offset: usize, message: impl Into<String>) -> SyntaxError {
    SyntaxError { code: BAD_EXPRESSION, message: message.into(), offset }
}

pub(super) fn limit(offset: usize, message: String) -> SyntaxError {
    SyntaxError { code: EXPRESSION_LIMIT, message, offset }
}

pub(super) struct Scanner<'n> {
    pub(super) names: &'n dyn Names,
    pub(super) reads: Reads,
    /// Names of the loops that are open.
    pub(super) variables: Vec<String>,
    pub(super) blocks: Vec<Block>,
    demands: Demands,
}

impl<'n> Scanner<'n> {
    fn new(names: &'n dyn Names) -> Self {
        Self {
            names,
            reads: Reads::default(),
            variables: Vec::new(),
            blocks: Vec::new(),
            demands: Demands::default(),
        }
    }

    /// Checks one expression: every name, filter, test and call in it.
    pub(super) fn expression(
        &mut self,
        tokens: &[Spanned<'_>],
        offset: usize,
    ) -> Result<(), SyntaxError> {
        if tokens.is_empty() {
            return Err(error(offset, "the expression is empty"));
        }
        if tokens.len() > EXPRESSION_TOKENS_MAX {
            let message =
                format!("an expression has at most {EXPRESSION_TOKENS_MAX} words and signs");
            return Err(limit(offset, message));
        }
        let joins = tokens.iter().filter(|one| matches!(one.token, Token::Symbol("~" | "+")));
        if joins.count() > JOINS_MAX {
            return Err(limit(
                offset,
                format!("an expression has at most {JOINS_MAX} `~` and `+`"),
            ));
        }
        self.demands.note(tokens);
        for at in 0..tokens.len() {
            let before = at.checked_sub(1).map(|before| &tokens[before].token);
            match &tokens[at].token {
                Token::Name(name) => self.word(name, tokens, at, before)?,
                Token::Symbol("(") => self.bracket(tokens, at)?,
                Token::Symbol("=") => {
                    let named = matches!(before, Some(Token::Name(_)));
                    let opened =
                        at >= 2 && matches!(tokens[at - 2].token, Token::Symbol("(" | ","));
                    if !named || !opened {
                        return Err(error(tokens[at].start, "equality is written `==`"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn word(
        &mut self,
        name: &str,
        tokens: &[Spanned<'_>],
        at: usize,
        before: Option<&Token<'_>>,
    ) -> Result<(), SyntaxError> {
        let next = tokens.get(at + 1).map(|spanned| &spanned.token);
        let named_argument = next == Some(&Token::Symbol("="));
        match before {
            Some(Token::Symbol(".")) => Ok(()),
            Some(Token::Symbol("|")) => known(name, "filter", &FILTERS, tokens[at].start),
            Some(Token::Name("is")) if name != "not" => {
                known(name, "test", &TESTS, tokens[at].start)
            }
            Some(Token::Name("not")) if at >= 2 && tokens[at - 2].token == Token::Name("is") => {
                known(name, "test", &TESTS, tokens[at].start)
            }
            _ if KEYWORDS.contains(&name) || named_argument => Ok(()),
            _ => self.root(name, tokens, at),
        }
    }

    /// A bracket after a value calls it: only filters and tests are called.
    fn bracket(&self, tokens: &[Spanned<'_>], at: usize) -> Result<(), SyntaxError> {
        let Some(before) = at.checked_sub(1).map(|before| &tokens[before].token) else {
            return Ok(());
        };
        let called = match before {
            Token::Name(name) if KEYWORDS.contains(name) => false,
            Token::Name(_) => {
                let before = at.checked_sub(2).map(|before| &tokens[before].token);
                let negated = at >= 3 && tokens[at - 3].token == Token::Name("is");
                match before {
                    Some(Token::Symbol("|") | Token::Name("is")) => false,
                    Some(Token::Name("not")) => !negated,
                    _ => true,
                }
            }
            Token::Symbol(")" | "]" | "}") | Token::Text(_) | Token::Number(_) => true,
            Token::Symbol(_) => false,
        };
        if called {
            let message = "nothing can be called; filters are written `x|name`";
            return Err(error(tokens[at].start, message));
        }
        Ok(())
    }
}

fn known(
    name: &str,
    what: &str,
    all: &'static [&'static str],
    offset: usize,
) -> Result<(), SyntaxError> {
    if all.contains(&name) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    let hint = nearest(name, all.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(error(offset, format!("there is no {what} `{shown}`{hint}")))
}

/// Whether a text can be written after a dot.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The roots, for messages.
pub(super) fn roots() -> String {
    ROOTS.join(", ")
}
