//! The checks of a template before the engine reads it: what may stand in it, what it reads,
//! how large and deep it is.
//!
//! The engine's fuel counts instructions, its parser recurses over long chains, and one of its
//! operators can make a list of a hundred million items. What bounds those is here: few tokens
//! an expression, no calls, loops over data only, and `*` between numbers only.

use super::marks::{FILTERS, KEYWORDS, NUMBER_FILTER, TESTS};
use super::names::Names;
use super::tokens::{Close, Spanned, Token, tokens};
use super::{
    BLOCK_NESTING_MAX, EXPRESSION_TOKENS_MAX, FOR_NESTING_MAX, JOINS_MAX, RESERVED_ROOTS, ROOTS,
    Reads, SyntaxError, TEMPLATE_BYTES_MAX,
};
use crate::definition::nearest::nearest;
use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};

/// Whether a text holds any template.
pub(crate) fn has_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

/// A text that passed.
pub(super) struct Scanned {
    /// What the engine is to read: the same text, with numbers demanded around every `*`.
    pub source: String,
    /// Whether the text is one `{{ }}` and nothing else; `source` is then the expression.
    pub lone: bool,
    pub reads: Reads,
}

/// Checks a bare expression.
pub(super) fn expression(source: &str, names: &dyn Names) -> Result<Scanned, SyntaxError> {
    check_length(source)?;
    let mut scanner = Scanner::new(source, names);
    let read = tokens(source, 0, Close::EndOfText)?;
    scanner.expression(&read.list, 0)?;
    Ok(Scanned { source: scanner.rewritten(0, source.len()), lone: true, reads: scanner.reads })
}

/// Checks a text with templates in it.
pub(super) fn text(source: &str, names: &dyn Names) -> Result<Scanned, SyntaxError> {
    check_length(source)?;
    let mut scanner = Scanner::new(source, names);
    let mut at = 0;
    let mut lone = None;
    while let Some((offset, mark)) = next_mark(source, at) {
        let mut start = offset + 2;
        if mark == "{#" {
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
            at = read.end;
        } else {
            let read = tokens(source, start, Close::Statement)?;
            scanner.statement(&read.list, offset)?;
            at = read.end;
        }
    }
    if let Some(open) = scanner.blocks.last() {
        return Err(error(open.offset, format!("`end{}` is missing", open.word)));
    }
    let (start, end) = lone.unwrap_or((0, source.len()));
    let source = scanner.rewritten(start, end);
    Ok(Scanned { source, lone: lone.is_some(), reads: scanner.reads })
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

fn limit(offset: usize, message: String) -> SyntaxError {
    SyntaxError { code: EXPRESSION_LIMIT, message, offset }
}

/// An open `if` or `for`, and the loop variables it brought.
struct Block {
    word: &'static str,
    variables: usize,
    offset: usize,
}

pub(super) struct Scanner<'s, 'n> {
    source: &'s str,
    pub(super) names: &'n dyn Names,
    pub(super) reads: Reads,
    /// Names of the loops that are open.
    pub(super) variables: Vec<String>,
    blocks: Vec<Block>,
    /// Where `|number` goes in.
    demands: Vec<usize>,
}

impl<'s, 'n> Scanner<'s, 'n> {
    fn new(source: &'s str, names: &'n dyn Names) -> Self {
        Self {
            source,
            names,
            reads: Reads::default(),
            variables: Vec::new(),
            blocks: Vec::new(),
            demands: Vec::new(),
        }
    }

    /// The text between two places, with the demands put in.
    fn rewritten(&mut self, start: usize, end: usize) -> String {
        self.demands.sort_unstable();
        self.demands.dedup();
        let mut rewritten = String::with_capacity(end - start);
        let mut from = start;
        for &at in self.demands.iter().filter(|&&at| at > start && at <= end) {
            rewritten.push_str(&self.source[from..at]);
            rewritten.push('|');
            rewritten.push_str(NUMBER_FILTER);
            from = at;
        }
        rewritten + &self.source[from..end]
    }

    fn statement(&mut self, tokens: &[Spanned<'_>], offset: usize) -> Result<(), SyntaxError> {
        let Some((Spanned { token: Token::Name(word), .. }, rest)) = tokens.split_first() else {
            return Err(error(offset, "a statement begins with a word"));
        };
        match *word {
            "if" => {
                self.open("if", 0, offset)?;
                self.expression(rest, offset)
            }
            "elif" => {
                self.inside("elif", "if", offset)?;
                self.expression(rest, offset)
            }
            "for" => self.each(rest, offset),
            "else" if self.blocks.is_empty() => Err(error(offset, "`else` has no beginning")),
            "endif" | "endfor" => {
                let opened = if *word == "endif" { "if" } else { "for" };
                self.inside(word, opened, offset)?;
                let closed = self.blocks.pop().map_or(0, |block| block.variables);
                self.variables.truncate(self.variables.len() - closed);
                nothing_after(word, rest)
            }
            "else" => nothing_after(word, rest),
            other => {
                let shown: String = other.chars().take(40).collect();
                let message = format!("`{{% {shown} %}}` is not known; there are `if` and `for`");
                Err(error(offset, message))
            }
        }
    }

    fn inside(&self, word: &str, opened: &str, offset: usize) -> Result<(), SyntaxError> {
        match self.blocks.last() {
            Some(block) if block.word == opened => Ok(()),
            Some(block) => {
                let message = format!("`{word}` stands in a `{}`; close that first", block.word);
                Err(error(offset, message))
            }
            None => Err(error(offset, format!("`{word}` has no beginning"))),
        }
    }

    fn open(
        &mut self,
        word: &'static str,
        variables: usize,
        offset: usize,
    ) -> Result<(), SyntaxError> {
        if self.blocks.len() >= BLOCK_NESTING_MAX {
            return Err(limit(offset, format!("statements nest deeper than {BLOCK_NESTING_MAX}")));
        }
        let loops = self.blocks.iter().filter(|block| block.word == "for").count();
        if word == "for" && loops >= FOR_NESTING_MAX {
            return Err(limit(offset, format!("`for` nests deeper than {FOR_NESTING_MAX}")));
        }
        self.blocks.push(Block { word, variables, offset });
        Ok(())
    }

    /// `for a, b in data`: data is named and filtered, never made, so that loops cannot
    /// multiply what they go through.
    fn each(&mut self, tokens: &[Spanned<'_>], offset: usize) -> Result<(), SyntaxError> {
        let at = tokens.iter().position(|spanned| spanned.token == Token::Name("in"));
        let at = at.ok_or_else(|| error(offset, "`for` is written `for item in list`"))?;
        let mut variables = Vec::new();
        for (nth, spanned) in tokens[..at].iter().enumerate() {
            match &spanned.token {
                Token::Name(name) if nth % 2 == 0 && !is_taken(name) => {
                    variables.push((*name).to_owned());
                }
                Token::Name(name) if nth % 2 == 0 => {
                    let message = format!("`{name}` means something else; take another name");
                    return Err(error(spanned.start, message));
                }
                Token::Symbol(",") if nth % 2 == 1 => {}
                _ => return Err(error(spanned.start, "`for` is written `for item in list`")),
            }
        }
        let data = &tokens[at + 1..];
        for (nth, spanned) in data.iter().enumerate() {
            let after = nth.checked_sub(1).map(|before| &data[before].token);
            let made = match &spanned.token {
                Token::Symbol("[") => !after.is_some_and(ends_value),
                Token::Symbol("~" | "+" | "*" | "**" | "{") => true,
                Token::Name("recursive") => true,
                _ => false,
            };
            if made {
                let message = "`for` goes through data as it is; no operators or literals here";
                return Err(error(spanned.start, message));
            }
        }
        self.expression(data, offset)?;
        self.open("for", variables.len(), offset)?;
        self.variables.extend(variables);
        Ok(())
    }

    /// Checks one expression: every name, filter, test and call in it.
    fn expression(&mut self, tokens: &[Spanned<'_>], offset: usize) -> Result<(), SyntaxError> {
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
        for at in 0..tokens.len() {
            let before = at.checked_sub(1).map(|before| &tokens[before].token);
            match &tokens[at].token {
                Token::Name(name) => self.word(name, tokens, at, before)?,
                Token::Symbol("(") => self.bracket(tokens, at)?,
                Token::Symbol("*") => self.demand_numbers(tokens, at),
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

    /// Puts a demand for a number after both operands of a `*`: between lists or texts it
    /// would repeat them.
    fn demand_numbers(&mut self, tokens: &[Spanned<'_>], at: usize) {
        if let Some(left) = at.checked_sub(1) {
            self.demands.push(tokens[left].end);
        }
        let mut depth = 0_usize;
        let mut end = None;
        for (nth, spanned) in tokens.iter().enumerate().skip(at + 1) {
            match &spanned.token {
                Token::Symbol("-") if nth == at + 1 => {}
                Token::Symbol("(" | "[" | "{") => depth += 1,
                Token::Symbol(")" | "]" | "}") if depth > 0 => depth -= 1,
                Token::Symbol("." | "|") => {}
                Token::Symbol(_) if depth == 0 => break,
                Token::Name("and" | "or" | "not" | "in" | "is" | "if" | "else") if depth == 0 => {
                    break;
                }
                _ => {}
            }
            end = Some(spanned.end);
        }
        self.demands.extend(end);
    }
}

fn is_taken(name: &str) -> bool {
    KEYWORDS.contains(&name) || RESERVED_ROOTS.contains(&name) || ["loop", "self"].contains(&name)
}

fn ends_value(token: &Token<'_>) -> bool {
    match token {
        Token::Name(name) => !KEYWORDS.contains(name),
        Token::Text(_) => true,
        Token::Symbol(symbol) => [")", "]"].contains(symbol),
        Token::Number(_) => true,
    }
}

fn nothing_after(word: &str, rest: &[Spanned<'_>]) -> Result<(), SyntaxError> {
    match rest.first() {
        None => Ok(()),
        Some(first) => Err(error(first.start, format!("nothing may follow `{word}`"))),
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

/// The roots, for messages.
pub(super) fn roots() -> String {
    ROOTS.join(", ")
}
