//! From text to the tokens of one expression, for the checks before the engine reads it.
//!
//! Sees strings and brackets as the engine does, so that nothing hides in a text.

use super::SyntaxError;
use crate::definition::problem::codes::BAD_EXPRESSION;

/// One word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token<'s> {
    /// A name or keyword.
    Name(&'s str),
    /// A quoted text, escapes resolved.
    Text(String),
    /// A number, as written.
    Number(&'s str),
    /// An operator or bracket.
    Symbol(&'static str),
}

/// A token and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spanned<'s> {
    pub token: Token<'s>,
    pub start: usize,
    pub end: usize,
}

/// What ends an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// `}}`.
    Emit,
    /// `%}`.
    Statement,
    /// The end of the text.
    EndOfText,
}

/// The tokens of one expression or statement.
pub(crate) struct Tokens<'s> {
    pub list: Vec<Spanned<'s>>,
    /// Where the text goes on.
    pub end: usize,
}

/// Longest first, so that `//` is not read as two `/`.
const SYMBOLS: [&str; 25] = [
    "==", "!=", "<=", ">=", "//", "**", "+", "-", "*", "/", "%", "~", "|", ".", ",", ":", "(", ")",
    "[", "]", "{", "}", "<", ">", "=",
];

/// Reads tokens from `start` up to the closing mark.
pub(crate) fn tokens(source: &str, start: usize, close: Close) -> Result<Tokens<'_>, SyntaxError> {
    let mut list: Vec<Spanned<'_>> = Vec::new();
    let mut braces = 0_usize;
    let mut at = start;
    loop {
        let rest = &source[at..];
        let blank = rest.len() - rest.trim_start().len();
        at += blank;
        let rest = &source[at..];
        if braces == 0
            && let Some(length) = closing(rest, close)
        {
            return Ok(Tokens { list, end: at + length });
        }
        let Some(first) = rest.chars().next() else {
            let mark = if close == Close::Emit { "}}" } else { "%}" };
            return Err(error(start, format!("`{mark}` is missing")));
        };
        let after_dot = list.last().is_some_and(|last| last.token == Token::Symbol("."));
        let (token, length) = match first {
            'a'..='z' | 'A'..='Z' | '_' => name(rest),
            '0'..='9' => number(rest, after_dot).map_err(|why| error(at, why))?,
            '"' | '\'' => quoted(rest, first).map_err(|why| error(at, why))?,
            _ => symbol(rest).ok_or_else(|| error(at, format!("`{first}` is not expected")))?,
        };
        match token {
            Token::Symbol("{") => braces += 1,
            Token::Symbol("}") => braces = braces.saturating_sub(1),
            _ => {}
        }
        list.push(Spanned { token, start: at, end: at + length });
        at += length;
    }
}

fn error(offset: usize, message: String) -> SyntaxError {
    SyntaxError { code: BAD_EXPRESSION, message, offset }
}

/// The length of the closing mark, with its trimming sign, if `rest` begins with it.
fn closing(rest: &str, close: Close) -> Option<usize> {
    let mark = match close {
        Close::Emit => "}}",
        Close::Statement => "%}",
        Close::EndOfText => return rest.is_empty().then_some(0),
    };
    let trims = usize::from(rest.starts_with('-'));
    rest[trims..].starts_with(mark).then_some(trims + mark.len())
}

fn name(rest: &str) -> (Token<'_>, usize) {
    let length = rest.bytes().take_while(|&b| b.is_ascii_alphanumeric() || b == b'_').count();
    (Token::Name(&rest[..length]), length)
}

fn symbol(rest: &str) -> Option<(Token<'static>, usize)> {
    let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol))?;
    Some((Token::Symbol(symbol), symbol.len()))
}

/// A number; after a dot (`list.0.5`) only digits, as they are places in lists.
fn number(rest: &str, after_dot: bool) -> Result<(Token<'_>, usize), String> {
    let digits =
        |from: usize| rest.as_bytes()[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    if !after_dot && rest[length..].starts_with('.') && digits(length + 1) > 0 {
        length += 1 + digits(length + 1);
    }
    if !after_dot && rest[length..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[length + 1..].starts_with(['+', '-']));
        if digits(length + 1 + sign) > 0 {
            length += 1 + sign + digits(length + 1 + sign);
        }
    }
    if rest[length..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Err("a name cannot begin with a digit".to_owned());
    }
    Ok((Token::Number(&rest[..length]), length))
}

fn quoted(rest: &str, quote: char) -> Result<(Token<'static>, usize), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((Token::Text(text), at + 1));
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next().map(|(_, escaped)| escaped) {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some(same @ ('\\' | '\'' | '"' | '/')) => text.push(same),
            Some('u') => {
                let hex: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                let point = Some(&hex)
                    .filter(|hex| hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                    .and_then(char::from_u32);
                text.push(point.ok_or_else(|| format!("`\\u{hex}` is not a character"))?);
            }
            Some(other) => return Err(format!("`\\{other}` is not an escape")),
            None => break,
        }
    }
    Err(format!("the text has no closing {quote}"))
}
