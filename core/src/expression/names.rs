//! The parts of the grammar that give names a meaning: roots, steps, loop variables, fields,
//! filters and checks.

use serde_json::Value;

use super::checks::Check;
use super::filters::{self, FILTERS, Filter};
use super::parser::{KEYWORDS, Parsed, Parser, Tree};
use super::tokens::Token;
use super::tree::{Expression, LoopField, Root};
use super::{ROOTS, SyntaxError};
use crate::definition::nearest::nearest;
use crate::definition::problem::codes::UNKNOWN_STEP;
use crate::scope::StepView;

impl<'s> Parser<'s, '_> {
    /// A word: a constant, a loop variable or a root.
    pub(super) fn named(&mut self, name: &'s str, offset: usize) -> Parsed {
        let constant = match name {
            "true" | "True" => Some(Value::Bool(true)),
            "false" | "False" => Some(Value::Bool(false)),
            "none" | "None" | "null" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = constant {
            self.next();
            return self.tree(1, Expression::Constant(value));
        }
        if KEYWORDS.contains(&name) {
            return Err(self.unexpected("a value"));
        }
        self.next();
        if let Some(slot) = self.locals.iter().rposition(|local| local == name) {
            return self.tree(1, Expression::Local { slot, name: name.into() });
        }
        let root = match name {
            "input" => Root::Input,
            "variables" => Root::Variables,
            "workflow" => Root::Workflow,
            "steps" => return self.step(offset),
            "loop" if !self.locals.is_empty() => return self.loop_field(),
            _ => return Err(self.unknown_root(name, offset)),
        };
        self.reads.root(root);
        self.tree(1, Expression::Root(root))
    }

    fn loop_field(&mut self) -> Parsed {
        let names = LoopField::ALL.map(|(name, _)| name);
        self.expect_symbol(".")?;
        let field = match self.peek() {
            Some(Token::Name(name)) => LoopField::ALL.iter().find(|(known, _)| known == name),
            _ => None,
        };
        let Some((_, field)) = field else {
            return Err(self.unexpected(&format!("one of {}", names.join(", "))));
        };
        self.next();
        self.tree(1, Expression::Loop(*field))
    }

    fn unknown_root(&mut self, name: &str, offset: usize) -> SyntaxError {
        let message = if let Some(id) = self.hyphenated(name) {
            format!("`{name}-...` reads as a subtraction; write steps[\"{id}\"]")
        } else if self.peek() == Some(&Token::Symbol("(")) {
            format!("there are no functions, so no `{name}(...)`; filters are written `x|name`")
        } else if self.names.step(name).is_some() {
            format!("`{name}` is a step; write steps.{name}")
        } else if name == "secrets" {
            "secrets cannot be used in templates".to_owned()
        } else {
            let hint = nearest(name, ROOTS)
                .map_or_else(String::new, |root| format!(" (did you mean `{root}`?)"));
            format!("`{name}` is unknown{hint}; names begin with {}", ROOTS.join(", "))
        };
        SyntaxError { offset, ..self.error(message) }
    }

    /// The id of a step written with hyphens and without quotes, if that is what follows.
    fn hyphenated(&mut self, begin: &str) -> Option<String> {
        let mut id = begin.to_owned();
        while self.peek() == Some(&Token::Symbol("-")) && self.offset() == self.last_end {
            self.next();
            let touches = self.offset() == self.last_end;
            match self.peek() {
                Some(Token::Name(part)) if touches => id = format!("{id}-{part}"),
                Some(Token::Number(part)) if touches => id = format!("{id}-{part}"),
                _ => return None,
            }
            self.next();
            if self.names.step(&id).is_some() {
                return Some(id);
            }
        }
        None
    }

    fn step(&mut self, offset: usize) -> Parsed {
        let id = if self.symbol(".") {
            match self.next().map(|spanned| spanned.token) {
                Some(Token::Name(name)) => Some(name.to_owned()),
                _ => None,
            }
        } else if self.symbol("[") {
            match self.next().map(|spanned| spanned.token) {
                Some(Token::Text(id)) if self.symbol("]") => Some(id),
                _ => None,
            }
        } else {
            None
        };
        let Some(id) = id else {
            let message = "name the step: steps.<id>, or steps[\"<id>\"]";
            return Err(SyntaxError { offset, ..self.error(message) });
        };
        let Some(step) = self.names.step(&id) else {
            return Err(self.unknown_step(&id, offset));
        };
        let reads_output = self.step_field(&id)?;
        self.reads.step(step, reads_output);
        self.tree(1, Expression::Step { step, id: id.into() })
    }

    fn unknown_step(&mut self, id: &str, offset: usize) -> SyntaxError {
        if let Some(whole) = self.hyphenated(id) {
            let message =
                format!("`steps.{whole}` reads as a subtraction; write steps[\"{whole}\"]");
            return SyntaxError { offset, ..self.error(message) };
        }
        let hint = self
            .names
            .nearest_step(id)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let message = format!("there is no step `{id}`{hint}");
        SyntaxError { code: UNKNOWN_STEP, offset, ..self.error(message) }
    }

    /// Looks at the field of a step that comes next; answers whether the output is read.
    fn step_field(&mut self, id: &str) -> Result<bool, SyntaxError> {
        // Only the dot is taken; `after_dot` finds the name.
        if self.peek() != Some(&Token::Symbol(".")) {
            return Ok(true);
        }
        match self.second() {
            Some(Token::Name("output")) => Ok(true),
            Some(Token::Name(field)) if StepView::FIELDS.contains(&field) => Ok(false),
            Some(Token::Name(field)) => Err(self.error(format!(
                "a step has {}, not `{field}`; what it answered is in steps.{id}.output",
                StepView::FIELDS.join(", ")
            ))),
            _ => Ok(true),
        }
    }

    /// A value and the fields, items and slices taken of it.
    pub(super) fn place(&mut self) -> Parsed {
        let mut of = self.primary()?;
        loop {
            let height = 1 + of.height;
            let taken = if self.symbol(".") {
                self.after_dot(of)?
            } else if self.symbol("[") {
                self.subscript(of)?
            } else if self.peek() == Some(&Token::Symbol("(")) {
                return Err(self.error("nothing can be called; filters are written `x|name`"));
            } else {
                return Ok(of);
            };
            of = self.tree(height.max(taken.height), taken.expression)?;
        }
    }

    fn after_dot(&mut self, of: Tree) -> Parsed {
        let height = 1 + of.height;
        let of = Box::new(of.expression);
        match self.peek() {
            Some(&Token::Name(name)) => {
                self.next();
                self.tree(height, Expression::Field { of, name: name.into() })
            }
            Some(Token::Number(place)) => {
                let key = Box::new(Expression::Constant(Value::Number(place.clone())));
                self.next();
                self.tree(height, Expression::Item { of, key })
            }
            _ => Err(self.unexpected("a field's name after `.`")),
        }
    }

    fn subscript(&mut self, of: Tree) -> Parsed {
        let from = match self.peek() {
            Some(Token::Symbol(":")) => None,
            _ => Some(self.expression()?),
        };
        if self.symbol(":") {
            let to = match self.peek() {
                Some(Token::Symbol("]")) => None,
                _ => Some(self.expression()?),
            };
            self.expect_symbol("]")?;
            let bounds = [&from, &to].map(|bound| bound.as_ref().map_or(0, |tree| tree.height));
            let height = 1 + of.height.max(bounds[0]).max(bounds[1]);
            let boxed = |bound: Option<Tree>| bound.map(|tree| Box::new(tree.expression));
            let (from, to) = (boxed(from), boxed(to));
            return self.tree(height, Expression::Slice { of: Box::new(of.expression), from, to });
        }
        self.expect_symbol("]")?;
        let Some(key) = from else { return Err(self.unexpected("a key or place")) };
        let height = 1 + of.height.max(key.height);
        let (of, key) = (Box::new(of.expression), Box::new(key.expression));
        self.tree(height, Expression::Item { of, key })
    }

    /// The filters and checks after a value.
    pub(super) fn filtered(&mut self, value: Tree) -> Parsed {
        let mut of = value;
        loop {
            if self.symbol("|") {
                of = self.filter(of)?;
            } else if self.word("is") {
                of = self.check(of)?;
            } else {
                return Ok(of);
            }
        }
    }

    fn filter(&mut self, of: Tree) -> Parsed {
        let Some(&Token::Name(name)) = self.peek() else {
            return Err(self.unexpected("a filter's name after `|`"));
        };
        if name == "default" || name == "d" {
            self.next();
            return self.default(of);
        }
        let Some(filter) = filters::find(name) else {
            let near = nearest(name, FILTERS.iter().map(|filter| filter.name).chain(["default"]));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(self.error(format!("there is no filter `{name}`{hint}")));
        };
        self.next();
        let (mut arguments, mut height) = (Vec::new(), of.height);
        arguments.resize_with(filter.parameters.len(), || None);
        if self.symbol("(") {
            let mut position = 0;
            while !self.symbol(")") {
                let at = self.parameter(filter, position)?;
                let argument = self.expression()?;
                height = height.max(argument.height);
                arguments[at] = Some(argument.expression);
                position = at + 1;
                if !self.symbol(",") && self.peek() != Some(&Token::Symbol(")")) {
                    return Err(self.unexpected("`,` or `)`"));
                }
            }
        }
        if arguments[..filter.required].iter().any(Option::is_none) {
            let wanted = filter.parameters[..filter.required].join(", ");
            return Err(self.error(format!("filter `{name}` needs {wanted}")));
        }
        let of = Box::new(of.expression);
        self.tree(1 + height, Expression::Filtered { of, filter, arguments })
    }

    /// The parameter the next argument is for: by name (`reverse=true`), else by position.
    fn parameter(&mut self, filter: &Filter, position: usize) -> Result<usize, SyntaxError> {
        let parameters = filter.parameters;
        let named = match (self.peek().cloned(), self.second()) {
            (Some(Token::Name(name)), Some(Token::Symbol("="))) => Some(name),
            _ => None,
        };
        let at = match named {
            None => Some(position).filter(|&at| at < parameters.len()),
            Some(name) => {
                self.next();
                self.next();
                parameters.iter().position(|parameter| *parameter == name)
            }
        };
        at.ok_or_else(|| {
            let takes =
                if parameters.is_empty() { "nothing".to_owned() } else { parameters.join(", ") };
            self.error(format!("filter `{}` takes {takes}", filter.name))
        })
    }

    fn default(&mut self, of: Tree) -> Parsed {
        let otherwise = if self.symbol("(") {
            let otherwise = self.expression()?;
            self.expect_symbol(")")?;
            otherwise
        } else {
            self.tree(1, Expression::Constant(Value::String(String::new())))?
        };
        let height = 1 + of.height.max(otherwise.height);
        let (of, otherwise) = (Box::new(of.expression), Box::new(otherwise.expression));
        self.tree(height, Expression::Default { of, otherwise })
    }

    fn check(&mut self, of: Tree) -> Parsed {
        let expected = !self.word("not");
        let Some(&Token::Name(name)) = self.peek() else {
            return Err(self.unexpected("a check after `is`"));
        };
        self.next();
        let height = 1 + of.height;
        let of = Box::new(of.expression);
        match name {
            "defined" => return self.tree(height, Expression::Defined { of, expected }),
            "undefined" => {
                return self.tree(height, Expression::Defined { of, expected: !expected });
            }
            "true" | "false" => {
                let value = Expression::Constant(Value::Bool(name == "true"));
                let (check, argument) = (Check::SAME, Some(Box::new(value)));
                return self.tree(height, Expression::Checked { of, check, argument, expected });
            }
            _ => {}
        }
        let Some(check) = Check::named(name) else {
            let known = Check::ALL.iter().map(|(known, _)| *known);
            let near = nearest(name, known.chain(["defined", "undefined"]));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(self.error(format!("there is no check `{name}`{hint}")));
        };
        let (argument, height) = if check.takes_argument() {
            let argument = self.place()?;
            (Some(Box::new(argument.expression)), height.max(1 + argument.height))
        } else {
            (None, height)
        };
        self.tree(height, Expression::Checked { of, check, argument, expected })
    }
}
