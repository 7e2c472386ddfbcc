//! From tokens to expressions, resolving names on the way.
//!
//! Precedence from loosest to tightest: `if else`, `or`, `and`, `not`, comparisons, `+ -`,
//! `~`, `* / // %`, `-x`, `x|filter` and `is`, `x.y x[y]`.

use serde_json::Value;

use super::facts::Reads;
use super::operators::{Comparison, Operation};
use super::tokens::{Close, Spanned, Token, tokens};
use super::tree::Expression;
use super::{EXPRESSION_NESTING_MAX, SyntaxError, TEMPLATE_BYTES_MAX};
use crate::definition::problem::codes::{BAD_EXPRESSION, EXPRESSION_LIMIT};
use crate::ids::StepIndex;

/// What names of steps mean.
pub(crate) trait Names {
    /// The step of an id.
    fn step(&self, id: &str) -> Option<StepIndex>;
    /// The known id most like an unknown one.
    fn nearest_step(&self, id: &str) -> Option<String>;
}

/// Words that can't be names.
pub(super) const KEYWORDS: [&str; 14] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "null", "True", "False",
    "None",
];

/// An expression and how deep it nests.
pub(super) struct Tree {
    pub expression: Expression,
    pub height: usize,
}

pub(super) type Parsed = Result<Tree, SyntaxError>;

/// Parses a whole text as one expression.
pub(crate) fn parse_expression(
    source: &str,
    names: &dyn Names,
) -> Result<(Expression, Reads), SyntaxError> {
    let error = |code, message: &str| SyntaxError { code, message: message.to_owned(), offset: 0 };
    if source.len() > TEMPLATE_BYTES_MAX {
        return Err(error(EXPRESSION_LIMIT, "the expression is longer than 64 KiB"));
    }
    let read = tokens(source, 0, Close::EndOfText)?;
    if read.list.is_empty() {
        return Err(error(BAD_EXPRESSION, "the expression is empty"));
    }
    let mut reads = Reads::default();
    let mut parser = Parser::new(read.list, source.len(), names, &[], &mut reads);
    let tree = parser.whole()?;
    Ok((tree.expression, reads))
}

/// Reads the tokens of one expression.
pub(super) struct Parser<'s, 'n> {
    tokens: Vec<Spanned<'s>>,
    at: usize,
    /// Where the last token read ended.
    pub(super) last_end: usize,
    end: usize,
    depth: usize,
    pub(super) names: &'n dyn Names,
    pub(super) locals: &'n [String],
    pub(super) reads: &'n mut Reads,
}

impl<'s, 'n> Parser<'s, 'n> {
    pub(super) fn new(
        tokens: Vec<Spanned<'s>>,
        end: usize,
        names: &'n dyn Names,
        locals: &'n [String],
        reads: &'n mut Reads,
    ) -> Self {
        Self { tokens, at: 0, last_end: 0, end, depth: 0, names, locals, reads }
    }

    /// The expression that all remaining tokens make.
    pub(super) fn whole(&mut self) -> Parsed {
        let tree = self.expression()?;
        match self.peek() {
            None => Ok(tree),
            Some(_) => Err(self.unexpected("the end of the expression")),
        }
    }

    // Reading tokens.

    pub(super) fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at).map(|spanned| &spanned.token)
    }

    /// The token after the next.
    pub(super) fn second(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at + 1).map(|spanned| &spanned.token)
    }

    pub(super) fn next(&mut self) -> Option<Spanned<'s>> {
        let spanned = self.tokens.get(self.at)?.clone();
        self.at += 1;
        self.last_end = spanned.end;
        Some(spanned)
    }

    pub(super) fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |spanned| spanned.start)
    }

    /// Takes a symbol if it comes next.
    pub(super) fn symbol(&mut self, symbol: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Symbol(symbol));
        if found {
            self.next();
        }
        found
    }

    /// Takes a word if it comes next.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if *name == word);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), SyntaxError> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    pub(super) fn error(&self, message: impl Into<String>) -> SyntaxError {
        let offset = self.offset();
        SyntaxError { code: BAD_EXPRESSION, message: message.into(), offset }
    }

    pub(super) fn unexpected(&self, expected: &str) -> SyntaxError {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(Token::Name(name)) => format!("`{name}`"),
            Some(Token::Text(_)) => "a text".to_owned(),
            Some(Token::Number(number)) => format!("`{number}`"),
            Some(Token::Symbol("=")) => "`=` (equality is `==`)".to_owned(),
            Some(Token::Symbol("**")) => "`**` (there are no powers)".to_owned(),
            Some(Token::Symbol(symbol)) => format!("`{symbol}`"),
        };
        self.error(format!("expected {expected}, found {found}"))
    }

    // Keeping trees low, so that neither parsing nor evaluating nor dropping one can exhaust
    // the stack.

    fn limit(&self) -> SyntaxError {
        let message = format!("the expression nests deeper than {EXPRESSION_NESTING_MAX}");
        SyntaxError { code: EXPRESSION_LIMIT, ..self.error(message) }
    }

    pub(super) fn tree(&self, height: usize, expression: Expression) -> Parsed {
        if height > EXPRESSION_NESTING_MAX {
            return Err(self.limit());
        }
        Ok(Tree { expression, height })
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth >= EXPRESSION_NESTING_MAX {
            return Err(self.limit());
        }
        self.depth += 1;
        let parsed = read(self);
        self.depth -= 1;
        parsed
    }

    // The grammar.

    /// Any expression.
    pub(super) fn expression(&mut self) -> Parsed {
        self.deeper(Self::choice)
    }

    fn choice(&mut self) -> Parsed {
        let then = self.any()?;
        if !self.word("if") {
            return Ok(then);
        }
        let test = self.any()?;
        if !self.word("else") {
            return Err(self.unexpected("`else`"));
        }
        let otherwise = self.expression()?;
        let height = 1 + then.height.max(test.height).max(otherwise.height);
        let (then, test) = (Box::new(then.expression), Box::new(test.expression));
        let otherwise = Box::new(otherwise.expression);
        self.tree(height, Expression::Choice { test, then, otherwise })
    }

    /// Alternatives of `or`: also what a `for` goes through, so that `if` ends it.
    pub(super) fn any(&mut self) -> Parsed {
        self.chain(Self::all, |parser| parser.word("or"), Expression::Any)
    }

    fn all(&mut self) -> Parsed {
        self.chain(Self::negation, |parser| parser.word("and"), Expression::All)
    }

    fn joined(&mut self) -> Parsed {
        self.chain(Self::product, |parser| parser.symbol("~"), Expression::Joined)
    }

    /// Operands of one operator, however many, side by side.
    fn chain(
        &mut self,
        operand: fn(&mut Self) -> Parsed,
        operator: fn(&mut Self) -> bool,
        make: fn(Vec<Expression>) -> Expression,
    ) -> Parsed {
        let first = operand(self)?;
        if !operator(self) {
            return Ok(first);
        }
        let mut height = first.height;
        let mut operands = vec![first.expression];
        loop {
            let next = operand(self)?;
            height = height.max(next.height);
            operands.push(next.expression);
            if !operator(self) {
                return self.tree(1 + height, make(operands));
            }
        }
    }

    fn negation(&mut self) -> Parsed {
        if !self.word("not") {
            return self.comparison();
        }
        let of = self.deeper(Self::negation)?;
        self.tree(1 + of.height, Expression::Not(Box::new(of.expression)))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let Some(comparison) = self.comparing()? else { return Ok(left) };
        let right = self.sum()?;
        if self.comparing()?.is_some() {
            return Err(self.error("comparisons do not chain; join them with `and`"));
        }
        let height = 1 + left.height.max(right.height);
        let (left, right) = (Box::new(left.expression), Box::new(right.expression));
        self.tree(height, Expression::Comparison { comparison, left, right })
    }

    fn comparing(&mut self) -> Result<Option<Comparison>, SyntaxError> {
        let comparison = match self.peek() {
            Some(Token::Symbol("==")) => Comparison::Equal,
            Some(Token::Symbol("!=")) => Comparison::Unequal,
            Some(Token::Symbol("<")) => Comparison::Less,
            Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Token::Symbol(">")) => Comparison::Greater,
            Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
            Some(Token::Name("in")) => Comparison::In,
            Some(Token::Name("not")) => Comparison::NotIn,
            _ => return Ok(None),
        };
        self.next();
        if comparison == Comparison::NotIn && !self.word("in") {
            return Err(self.unexpected("`in` after `not`"));
        }
        Ok(Some(comparison))
    }

    fn sum(&mut self) -> Parsed {
        self.operations(Self::joined, &[("+", Operation::Plus), ("-", Operation::Minus)])
    }

    fn product(&mut self) -> Parsed {
        self.operations(
            Self::unary,
            &[
                ("*", Operation::Times),
                ("/", Operation::Divided),
                ("//", Operation::DividedDown),
                ("%", Operation::Remainder),
            ],
        )
    }

    fn operations(
        &mut self,
        operand: fn(&mut Self) -> Parsed,
        operators: &[(&'static str, Operation)],
    ) -> Parsed {
        let mut left = operand(self)?;
        while let Some(&(_, operation)) = operators.iter().find(|(sign, _)| self.symbol(sign)) {
            let right = operand(self)?;
            let height = 1 + left.height.max(right.height);
            let (a, b) = (Box::new(left.expression), Box::new(right.expression));
            left = self.tree(height, Expression::Operation { operation, left: a, right: b })?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        let value = self.signed()?;
        self.filtered(value)
    }

    /// A value with its sign, but without filters: those apply to the signed value.
    fn signed(&mut self) -> Parsed {
        if !self.symbol("-") {
            return self.place();
        }
        let of = self.deeper(Self::signed)?;
        self.tree(1 + of.height, Expression::Negative(Box::new(of.expression)))
    }

    /// A literal, a name or something in brackets. Names are in `names.rs`.
    pub(super) fn primary(&mut self) -> Parsed {
        let offset = self.offset();
        match self.peek() {
            Some(Token::Symbol("(")) => {
                self.next();
                let inner = self.expression()?;
                if self.peek() == Some(&Token::Symbol(",")) {
                    return Err(self.error("lists are written `[a, b]`"));
                }
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Some(Token::Symbol("[")) => self.list(),
            Some(Token::Symbol("{")) => self.object(),
            Some(Token::Number(_) | Token::Text(_)) => {
                let value = match self.next().map(|spanned| spanned.token) {
                    Some(Token::Number(number)) => Value::Number(number),
                    Some(Token::Text(text)) => Value::String(text),
                    _ => Value::Null,
                };
                self.tree(1, Expression::Constant(value))
            }
            Some(&Token::Name(name)) => self.named(name, offset),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn list(&mut self) -> Parsed {
        self.expect_symbol("[")?;
        let (mut items, mut height) = (Vec::new(), 0);
        while !self.symbol("]") {
            let item = self.expression()?;
            height = height.max(item.height);
            items.push(item.expression);
            if !self.symbol(",") && self.peek() != Some(&Token::Symbol("]")) {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
        self.tree(1 + height, Expression::List(items))
    }

    fn object(&mut self) -> Parsed {
        self.expect_symbol("{")?;
        let (mut fields, mut height) = (Vec::new(), 0);
        while !self.symbol("}") {
            let key = self.expression()?;
            self.expect_symbol(":")?;
            let value = self.expression()?;
            height = height.max(key.height).max(value.height);
            fields.push((key.expression, value.expression));
            if !self.symbol(",") && self.peek() != Some(&Token::Symbol("}")) {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
        self.tree(1 + height, Expression::Object(fields))
    }
}
