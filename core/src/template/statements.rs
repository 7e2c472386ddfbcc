//! The checks of statements: `if` and `for`, how they nest, and what a `for` goes through.

use super::marks::KEYWORDS;
use super::scan::{Scanner, error, limit};
use super::tokens::{Spanned, Token};
use super::{BLOCK_NESTING_MAX, FOR_NESTING_MAX, RESERVED_ROOTS, SyntaxError};

/// An open `if` or `for`, and the loop variables it brought.
pub(super) struct Block {
    pub word: &'static str,
    variables: usize,
    pub offset: usize,
}

impl Scanner<'_> {
    /// Checks one statement.
    pub(super) fn statement(
        &mut self,
        tokens: &[Spanned<'_>],
        offset: usize,
    ) -> Result<(), SyntaxError> {
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
