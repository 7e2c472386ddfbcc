//! The names of a template: roots, steps and their fields, loop variables.

use super::facts::{OutputRead, StepRead};
use super::paths::Piece;
use super::scan::{self, Scanner, error, roots};
use super::tokens::{Spanned, Token};
use super::{ITEM_ROOTS, ROOTS, SyntaxError};
use crate::definition::nearest::nearest;
use crate::definition::problem::codes::UNKNOWN_STEP;
use crate::ids::StepIndex;
use crate::scope::StepView;
use crate::secrets::{self, is_name as is_secret};

/// How secrets are written.
pub(super) const SECRET_ALONE: &str = "a secret stands alone in its braces, `{{ secrets.name }}`, \
                                       with text around them: nobody computes with it";

/// What names of steps mean.
pub(crate) trait Names {
    /// The step of an id.
    fn step(&self, id: &str) -> Option<StepIndex>;
    /// The known id most like an unknown one.
    fn nearest_step(&self, id: &str) -> Option<String>;
    /// Whether the template belongs to an item of a loop, so that `item` and `index` are known.
    fn of_item(&self) -> bool {
        false
    }
    /// Whether it is rendered for an executor, so that it may refer to secrets.
    fn of_effect(&self) -> bool {
        false
    }
}

/// The same names where what is rendered goes to an executor.
pub(crate) struct OfEffect<'a>(pub &'a dyn Names);

impl Names for OfEffect<'_> {
    fn step(&self, id: &str) -> Option<StepIndex> {
        self.0.step(id)
    }

    fn nearest_step(&self, id: &str) -> Option<String> {
        self.0.nearest_step(id)
    }

    fn of_item(&self) -> bool {
        self.0.of_item()
    }

    fn of_effect(&self) -> bool {
        true
    }
}

/// The secret that all of an expression names: `secrets.NAME`, or `secrets["NAME"]`.
pub(super) fn secret<'t>(tokens: &'t [Spanned<'_>]) -> Option<&'t str> {
    let token = |at: usize| tokens.get(at).map(|own| &own.token);
    let name = match (token(0)?, token(1)?, token(2)?, token(3)) {
        (Token::Name("secrets"), Token::Symbol("."), Token::Name(name), None) => *name,
        (
            Token::Name("secrets"),
            Token::Symbol("["),
            Token::Text(name),
            Some(Token::Symbol("]")),
        ) if tokens.len() == 4 => name.as_str(),
        _ => return None,
    };
    is_secret(name).then_some(name)
}

/// Where nothing but secrets is known.
struct SecretsAlone;

impl Names for SecretsAlone {
    fn step(&self, _: &str) -> Option<StepIndex> {
        None
    }

    fn nearest_step(&self, _: &str) -> Option<String> {
        None
    }

    fn of_effect(&self) -> bool {
        true
    }
}

/// The pieces of a text in which nothing but secrets stands in braces.
///
/// # Errors
/// A sentence on what else does.
pub(crate) fn secrets_in(source: &str) -> Result<Vec<secrets::Piece>, String> {
    const ALONE: &str = "nothing but `{{ secrets.name }}` can stand in braces here";
    let scanned = scan::text(source, &SecretsAlone).map_err(|error| error.message)?;
    let pieces = scanned.paths.ok_or(ALONE)?.into_iter().map(|piece| match piece {
        Piece::Literal(text) => Ok(secrets::Piece::Text(text.into())),
        Piece::Secret(name) => Ok(secrets::Piece::Secret(name.into())),
        Piece::Path(_) => Err(ALONE.to_owned()),
    });
    pieces.collect()
}

impl Scanner<'_> {
    /// A name where a value stands.
    pub(super) fn root(
        &mut self,
        name: &str,
        tokens: &[Spanned<'_>],
        at: usize,
    ) -> Result<(), SyntaxError> {
        if self.variables.iter().any(|variable| variable == name) {
            return Ok(());
        }
        match name {
            "input" => self.reads.input = true,
            "variables" => self.reads.variables = true,
            "workflow" => self.reads.workflow = true,
            "steps" => return self.step(tokens, at),
            "item" | "index" if self.names.of_item() => self.reads.item = true,
            "secrets" if self.names.of_effect() => match secret(tokens) {
                Some(_) => self.reads.secrets = true,
                None => return Err(error(tokens[at].start, SECRET_ALONE)),
            },
            "loop" if !self.variables.is_empty() => {}
            _ => return Err(self.unknown(name, tokens, at)),
        }
        Ok(())
    }

    fn unknown(&self, name: &str, tokens: &[Spanned<'_>], at: usize) -> SyntaxError {
        let shown: String = name.chars().take(64).collect();
        let message = if let Some(id) = self.hyphenated(name, tokens, at) {
            format!("`{id}` reads as a subtraction; write steps[\"{id}\"]")
        } else if tokens.get(at + 1).map(|one| &one.token) == Some(&Token::Symbol("(")) {
            format!("there are no functions, so no `{shown}(...)`; filters are written `x|name`")
        } else if self.names.step(name).is_some() {
            format!("`{shown}` is a step; write steps.{shown}")
        } else if name == "secrets" {
            "secrets are known in the `with` of tasks alone: what is rendered here is recorded"
                .to_owned()
        } else if ITEM_ROOTS.contains(&name) {
            format!("`{shown}` is known only inside `each` of a `foreach`")
        } else {
            let hint = nearest(name, ROOTS)
                .map_or_else(String::new, |root| format!(" (did you mean `{root}`?)"));
            format!("`{shown}` is unknown{hint}; names begin with {}", roots())
        };
        error(tokens[at].start, message)
    }

    /// The id of a step that was written with hyphens and without quotes.
    fn hyphenated(&self, begin: &str, tokens: &[Spanned<'_>], at: usize) -> Option<String> {
        let mut id = begin.to_owned();
        let mut last = &tokens[at];
        let mut rest = &tokens[at + 1..];
        while let [minus, part, after @ ..] = rest {
            let touching = minus.start == last.end && part.start == minus.end;
            match &part.token {
                Token::Name(word) | Token::Number(word)
                    if touching && minus.token == Token::Symbol("-") =>
                {
                    id = format!("{id}-{word}");
                }
                _ => return None,
            }
            if self.names.step(&id).is_some() {
                return Some(id);
            }
            (last, rest) = (part, after);
        }
        None
    }

    /// `steps.id` or `steps["id"]`, and the field that follows.
    fn step(&mut self, tokens: &[Spanned<'_>], at: usize) -> Result<(), SyntaxError> {
        let token = |nth: usize| tokens.get(at + nth).map(|spanned| &spanned.token);
        let (id, length) = match (token(1), token(2), token(3)) {
            (Some(Token::Symbol(".")), Some(Token::Name(id)), _) => (*id, 3),
            (Some(Token::Symbol("[")), Some(Token::Text(id)), Some(Token::Symbol("]"))) => {
                (id.as_str(), 4)
            }
            _ => {
                let message = "name the step: steps.<id>, or steps[\"<id>\"]";
                return Err(error(tokens[at].start, message));
            }
        };
        let Some(step) = self.names.step(id) else {
            return Err(self.unknown_step(id, tokens, at + length - 1));
        };
        let whole = StepRead { id: id.into(), output: OutputRead::Whole, check: true };
        let read = match (token(length), token(length + 1)) {
            (Some(Token::Symbol("[")), Some(Token::Text(field)))
                if StepView::FIELDS.contains(&&**field) =>
            {
                of_field(field, whole, token(length + 3))
            }
            (Some(Token::Symbol(".")), Some(Token::Name(field))) => {
                if !StepView::FIELDS.contains(field) {
                    let known = StepView::FIELDS.join(", ");
                    let shown: String = field.chars().take(40).collect();
                    let message = format!(
                        "a step has {known}, not `{shown}`; what `{id}` answered is in its output"
                    );
                    return Err(error(tokens[at].start, message));
                }
                of_field(field, whole, token(length + 2))
            }
            (Some(Token::Symbol("|")), Some(Token::Name("field" | "optional_field"))) => {
                StepRead { output: OutputRead::Below, ..whole }
            }
            _ => whole,
        };
        self.reads.step(step, read);
        Ok(())
    }

    fn unknown_step(&self, id: &str, tokens: &[Spanned<'_>], last: usize) -> SyntaxError {
        let offset = tokens[last].start;
        if let Some(whole) = self.hyphenated(id, tokens, last) {
            let message = format!("`{whole}` reads as a subtraction; write steps[\"{whole}\"]");
            return error(offset, message);
        }
        let shown: String = id.chars().take(64).collect();
        let hint = self
            .names
            .nearest_step(id)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let message = format!("there is no step `{shown}`{hint}");
        SyntaxError { code: UNKNOWN_STEP, ..error(offset, message) }
    }
}

/// What is read of a step whose field is named and followed by this.
fn of_field(field: &str, whole: StepRead, after: Option<&Token<'_>>) -> StepRead {
    let output = match (field, after) {
        ("output", Some(Token::Symbol("." | "["))) => OutputRead::Below,
        ("output", _) => OutputRead::Whole,
        _ => OutputRead::None,
    };
    StepRead { output, check: field == "check", ..whole }
}
