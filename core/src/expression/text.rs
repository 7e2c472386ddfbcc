//! Texts with templates in them: `{{ }}`, `{% if %}`, `{% for %}` and `{# #}`.

use super::facts::Reads;
use super::parser::{KEYWORDS, Names, Parser};
use super::tokens::{Close, Spanned, Token, Tokens, tokens};
use super::tree::Expression;
use super::{BLOCK_NESTING_MAX, FOR_NESTING_MAX, RESERVED_ROOTS, SyntaxError, TEMPLATE_BYTES_MAX};
use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};

/// A text with templates in it.
#[derive(Debug)]
pub(crate) struct Text {
    pub pieces: Vec<Piece>,
}

/// A part of a text.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Text as it stands.
    Literal(String),
    /// `{{ expression }}`.
    Emit(Expression),
    /// `{% if %}`: tests and bodies, then the `{% else %}`.
    If { branches: Vec<(Expression, Vec<Piece>)>, otherwise: Vec<Piece> },
    /// `{% for %}`.
    For(Loop),
}

/// `{% for names in of %} body {% else %} otherwise {% endfor %}`.
#[derive(Debug)]
pub(crate) struct Loop {
    pub names: usize,
    pub of: Expression,
    pub body: Vec<Piece>,
    pub otherwise: Vec<Piece>,
}

/// Whether a text holds any template.
pub(crate) fn has_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

/// Parses a text with templates in it.
pub(crate) fn parse_text(source: &str, names: &dyn Names) -> Result<(Text, Reads), SyntaxError> {
    if source.len() > TEMPLATE_BYTES_MAX {
        let message = "the template is longer than 64 KiB".to_owned();
        return Err(SyntaxError { code: EXPRESSION_LIMIT, message, offset: 0 });
    }
    let mut parser = TextParser {
        source,
        at: 0,
        trim_next: false,
        names,
        locals: Vec::new(),
        loops: 0,
        blocks: 0,
        reads: Reads::default(),
    };
    let (pieces, stop) = parser.pieces(&[])?;
    match stop {
        None => Ok((Text { pieces }, parser.reads)),
        Some(stop) => Err(error(stop.offset, format!("`{}` has no beginning", stop.word))),
    }
}

fn error(offset: usize, message: impl Into<String>) -> SyntaxError {
    SyntaxError { code: BAD_EXPRESSION, message: message.into(), offset }
}

struct TextParser<'s, 'n> {
    source: &'s str,
    at: usize,
    trim_next: bool,
    names: &'n dyn Names,
    locals: Vec<String>,
    loops: usize,
    blocks: usize,
    reads: Reads,
}

/// A statement that ends a body: `elif`, `else`, `endif`, `endfor`.
struct Stop<'s> {
    word: &'s str,
    tokens: Vec<Spanned<'s>>,
    offset: usize,
}

type Body<'s> = (Vec<Piece>, Option<Stop<'s>>);

impl<'s> TextParser<'s, '_> {
    /// Pieces up to the end of the text or to a statement that ends a body.
    fn pieces(&mut self, stops: &[&str]) -> Result<Body<'s>, SyntaxError> {
        let mut pieces = Vec::new();
        while self.at < self.source.len() {
            let Some((literal, mark)) = self.literal() else {
                self.push_literal(&mut pieces, &self.source[self.at..]);
                self.at = self.source.len();
                break;
            };
            self.push_literal(&mut pieces, literal);
            let offset = self.at;
            match mark {
                "{#" => self.comment()?,
                "{{" => {
                    let read = self.tokens(Close::Emit)?;
                    pieces.push(Piece::Emit(self.expression(read.list, offset)?));
                }
                _ => {
                    let mut read = self.tokens(Close::Statement)?.list;
                    let Some(Spanned { token: Token::Name(word), .. }) = read.first() else {
                        return Err(error(offset, "a statement begins with a word"));
                    };
                    let word = *word;
                    read.remove(0);
                    match word {
                        "if" => pieces.push(self.conditional(read, offset)?),
                        "for" => pieces.push(self.each(read, offset)?),
                        "elif" | "else" | "endif" | "endfor" => {
                            if !stops.is_empty() && !stops.contains(&word) {
                                let expected = stops.join("` or `");
                                let message = format!("expected `{expected}`, found `{word}`");
                                return Err(error(offset, message));
                            }
                            return Ok((pieces, Some(Stop { word, tokens: read, offset })));
                        }
                        other => {
                            let message =
                                format!("`{{% {other} %}}` is not known; there are `if` and `for`");
                            return Err(error(offset, message));
                        }
                    }
                }
            }
        }
        Ok((pieces, None))
    }

    /// The text before the next mark, and the mark; moves to the mark.
    fn literal(&mut self) -> Option<(&'s str, &'static str)> {
        let rest = &self.source[self.at..];
        let (length, mark) = ["{{", "{%", "{#"]
            .into_iter()
            .filter_map(|mark| rest.find(mark).map(|length| (length, mark)))
            .min()?;
        self.at += length;
        let trims = rest[length + 2..].starts_with('-');
        let literal = &rest[..length];
        Some((if trims { literal.trim_end() } else { literal }, mark))
    }

    fn push_literal(&self, pieces: &mut Vec<Piece>, literal: &str) {
        let literal = if self.trim_next { literal.trim_start() } else { literal };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
    }

    fn comment(&mut self) -> Result<(), SyntaxError> {
        let rest = &self.source[self.at..];
        let Some(length) = rest.find("#}") else {
            return Err(error(self.at, "`#}` is missing"));
        };
        self.trim_next = rest[..length].ends_with('-');
        self.at += length + 2;
        Ok(())
    }

    fn tokens(&mut self, close: Close) -> Result<Tokens<'s>, SyntaxError> {
        let mut start = self.at + 2;
        if self.source[start..].starts_with('-') {
            start += 1;
        }
        let read = tokens(self.source, start, close)?;
        self.at = read.end;
        self.trim_next = read.trims;
        Ok(read)
    }

    fn parser<'p>(&'p mut self, tokens: Vec<Spanned<'s>>) -> Parser<'s, 'p> {
        Parser::new(tokens, self.at, self.names, &self.locals, &mut self.reads)
    }

    fn expression(
        &mut self,
        tokens: Vec<Spanned<'s>>,
        offset: usize,
    ) -> Result<Expression, SyntaxError> {
        if tokens.is_empty() {
            return Err(error(offset, "the expression is empty"));
        }
        Ok(self.parser(tokens).whole()?.expression)
    }

    /// Goes into a block; comes back with what it made.
    fn nested<T>(
        &mut self,
        offset: usize,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.blocks >= BLOCK_NESTING_MAX {
            let message = format!("statements nest deeper than {BLOCK_NESTING_MAX}");
            return Err(SyntaxError { code: EXPRESSION_LIMIT, message, offset });
        }
        self.blocks += 1;
        let made = read(self)?;
        self.blocks -= 1;
        Ok(made)
    }

    fn conditional(
        &mut self,
        tokens: Vec<Spanned<'s>>,
        offset: usize,
    ) -> Result<Piece, SyntaxError> {
        self.nested(offset, |parser| {
            let mut test = parser.expression(tokens, offset)?;
            let mut branches = Vec::new();
            loop {
                let (body, stop) = parser.pieces(&["elif", "else", "endif"])?;
                branches.push((test, body));
                let Some(stop) = stop else { return Err(error(offset, "`endif` is missing")) };
                match stop.word {
                    "elif" => test = parser.expression(stop.tokens, stop.offset)?,
                    "else" => {
                        alone(&stop)?;
                        let (otherwise, stop) = parser.pieces(&["endif"])?;
                        alone(&stop.ok_or_else(|| error(offset, "`endif` is missing"))?)?;
                        return Ok(Piece::If { branches, otherwise });
                    }
                    _ => {
                        alone(&stop)?;
                        return Ok(Piece::If { branches, otherwise: Vec::new() });
                    }
                }
            }
        })
    }

    fn each(&mut self, tokens: Vec<Spanned<'s>>, offset: usize) -> Result<Piece, SyntaxError> {
        if self.loops >= FOR_NESTING_MAX {
            let message = format!("`for` nests deeper than {FOR_NESTING_MAX}");
            return Err(SyntaxError { code: EXPRESSION_LIMIT, message, offset });
        }
        self.nested(offset, |parser| {
            let mut reader = parser.parser(tokens);
            let mut names = Vec::new();
            loop {
                names.push(loop_name(&mut reader)?);
                if !reader.symbol(",") {
                    break;
                }
            }
            if !reader.word("in") {
                return Err(reader.unexpected("`in`"));
            }
            let of = reader.any()?.expression;
            if reader.peek().is_some() {
                return Err(reader.unexpected("the end of the statement"));
            }
            let outside = parser.locals.len();
            let count = names.len();
            parser.locals.extend(names);
            parser.loops += 1;
            let (body, stop) = parser.pieces(&["else", "endfor"])?;
            parser.loops -= 1;
            parser.locals.truncate(outside);
            let missing = || error(offset, "`endfor` is missing");
            let stop = stop.ok_or_else(missing)?;
            alone(&stop)?;
            let mut otherwise = Vec::new();
            if stop.word == "else" {
                let (pieces, stop) = parser.pieces(&["endfor"])?;
                alone(&stop.ok_or_else(missing)?)?;
                otherwise = pieces;
            }
            Ok(Piece::For(Loop { names: count, of, body, otherwise }))
        })
    }
}

fn loop_name(reader: &mut Parser<'_, '_>) -> Result<String, SyntaxError> {
    let Some(&Token::Name(name)) = reader.peek() else {
        return Err(reader.unexpected("a name"));
    };
    let taken = KEYWORDS.contains(&name) || RESERVED_ROOTS.contains(&name) || name == "loop";
    if taken {
        return Err(reader.error(format!("`{name}` means something else; take another name")));
    }
    reader.next();
    Ok(name.to_owned())
}

fn alone(stop: &Stop<'_>) -> Result<(), SyntaxError> {
    if stop.tokens.is_empty() {
        return Ok(());
    }
    Err(error(stop.offset, format!("nothing may follow `{}`", stop.word)))
}
