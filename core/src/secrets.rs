//! References to secrets, as they stand in the rendered input of an effect.
//!
//! `{{ secrets.NAME }}` renders to a reference: an object whose only field is `$secret`, with the
//! name, or with the pieces of the text that it stands in. What it refers to is put in as an
//! attempt is made, and never recorded. Data can't forge one: rendering puts a further `$` before
//! every field of data that is called so, and whoever resolves takes it away again.

use serde_json::{Map, Value, json};

use crate::template::{has_template, secrets_in};

/// The field that makes a reference of an object.
const MARK: &str = "$secret";
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// A piece of a text with secrets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What stands there.
    Text(String),
    /// What a secret of this name is.
    Secret(String),
}

/// Whether a text can be the name of a secret: a letter or `_`, then letters, digits and `_`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The reference that a text is.
pub(crate) fn reference(pieces: Vec<Piece>) -> Value {
    if let [Piece::Secret(name)] = &pieces[..] {
        return json!({ MARK: name });
    }
    let pieces = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => Value::String(text),
        Piece::Secret(name) => json!({ "name": name }),
    });
    json!({ MARK: pieces.collect::<Vec<_>>() })
}

/// A text that may have `{{ secrets.NAME }}` in it, as it stands in an effect's input: a reference,
/// or itself if it has none.
#[must_use]
pub fn referring(text: &str) -> Value {
    let pieces = has_template(text).then(|| secrets_in(text).ok()).flatten();
    pieces.map_or_else(|| text.into(), reference)
}

/// Data, in which nothing is a reference.
pub(crate) fn escaped(value: Value) -> Value {
    if holds_mark(&value) { rebuilt(value) } else { value }
}

fn rebuilt(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(rebuilt).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields.map(|(name, field)| (escaped_name(name), rebuilt(field))).collect()
        }
        plain => plain,
    }
}

fn holds_mark(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(holds_mark),
        Value::Object(fields) => {
            fields.iter().any(|(name, field)| is_marked(name) || holds_mark(field))
        }
        _ => false,
    }
}

fn escaped_name(name: String) -> String {
    if is_marked(&name) { format!("${name}") } else { name }
}

/// Whether a name is the mark, with any number of `$` before it.
fn is_marked(name: &str) -> bool {
    name.trim_start_matches('$').len() + 1 == MARK.len()
        && name.len() >= MARK.len()
        && name.ends_with(MARK)
}

/// Whether a rendered input may hold references, or data that was kept from being one.
#[must_use]
pub fn may_refer(text: &str) -> bool {
    text.contains(MARK)
}

/// An input with its references replaced by what `secret` says each name is.
///
/// # Errors
/// The first that `secret` gives.
pub fn resolved<E>(
    input: Value,
    secret: &mut impl FnMut(&str) -> Result<String, E>,
) -> Result<Value, E> {
    match input {
        Value::Array(items) => items.into_iter().map(|item| resolved(item, secret)).collect(),
        Value::Object(fields) => match pieces(&fields) {
            Some(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(own) => text.push_str(&own),
                        Piece::Secret(name) => text.push_str(&secret(&name)?),
                    }
                }
                Ok(Value::String(text))
            }
            None => {
                let mut plain = Map::new();
                for (name, field) in fields {
                    plain.insert(unescaped_name(name), resolved(field, secret)?);
                }
                Ok(Value::Object(plain))
            }
        },
        plain => Ok(plain),
    }
}

fn unescaped_name(name: String) -> String {
    match name.strip_prefix('$') {
        Some(less) if is_marked(less) => less.to_owned(),
        _ => name,
    }
}

/// The pieces of a reference; nothing of any other object.
fn pieces(fields: &Map<String, Value>) -> Option<Vec<Piece>> {
    let said = fields.get(MARK).filter(|_| fields.len() == 1)?;
    let named = |name: &Value| {
        let name = name.as_str().filter(|name| is_name(name))?;
        Some(Piece::Secret(name.to_owned()))
    };
    let piece = |own: &Value| match own {
        Value::String(text) => Some(Piece::Text(text.clone())),
        Value::Object(own) if own.len() == 1 => named(own.get("name")?),
        _ => None,
    };
    match said {
        Value::String(_) => named(said).map(|own| vec![own]),
        Value::Array(own) => own.iter().map(piece).collect(),
        _ => None,
    }
}

/// The names that an input refers to, each once, in alphabetical order.
#[must_use]
pub fn names(input: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut note = |name: &str| {
        found.push(name.to_owned());
        Ok::<_, std::convert::Infallible>(String::new())
    };
    let Ok(_) = resolved(input.clone(), &mut note);
    found.sort_unstable();
    found.dedup();
    found
}

/// An input as its author may have written it: with `{{ secrets.NAME }}` for every reference.
#[must_use]
pub fn as_written(input: Value) -> Value {
    let mut written =
        |name: &str| Ok::<_, std::convert::Infallible>(format!("{{{{ secrets.{name} }}}}"));
    let Ok(input) = resolved(input, &mut written);
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(input: &Value) -> Value {
        as_written(input.clone())
    }

    #[test]
    fn a_reference_is_replaced_and_nothing_else() {
        let secret = |name: &str| Piece::Secret(name.to_owned());
        let lone = reference(vec![secret("token")]);
        let text = reference(vec![Piece::Text("Bearer ".to_owned()), secret("token")]);
        assert_eq!(lone, json!({ "$secret": "token" }));
        assert_eq!(text, json!({ "$secret": ["Bearer ", { "name": "token" }] }));
        let input = json!({ "a": lone, "b": [text, 1, null], "c": { "$secrets": "x" } });
        assert_eq!(names(&input), ["token"]);
        assert_eq!(
            told(&input),
            json!({
                "a": "{{ secrets.token }}",
                "b": ["Bearer {{ secrets.token }}", 1, null],
                "c": { "$secrets": "x" },
            })
        );
        let failing = resolved(input, &mut |name| Err::<String, _>(name.to_owned()));
        assert_eq!(failing, Err("token".to_owned()));
    }

    #[test]
    fn a_text_refers_to_the_secrets_in_its_braces_and_to_nothing_else() {
        let url = "https://hooks.example/{{ secrets.path }}?t={{ secrets[\"token\"] }}";
        let referred = referring(url);
        assert_eq!(names(&referred), ["path", "token"]);
        let written = url.replace("[\"token\"]", ".token");
        assert_eq!(told(&json!([referred])), json!([written]));
        for plain in ["https://a/", "", "{{ input.x }}", "{{ secrets.a | upper }}", "{{", "{# a #}"]
        {
            assert_eq!(referring(plain), json!(plain));
        }
    }

    #[test]
    fn data_forges_no_reference_and_comes_out_as_it_was() {
        for data in [
            json!({ "$secret": "token" }),
            json!({ "$$secret": "token" }),
            json!([{ "$$$secret": ["a", { "name": "token" }] }]),
            json!({ "x": { "$secret": "token", "more": { "$secret": 5 } } }),
            json!({ "secret": 1, "$": 2, "$$": 3, "$secret2": 4, "a$secret": 5 }),
        ] {
            let kept = escaped(data.clone());
            assert_eq!(names(&kept), [""; 0], "{data}");
            assert_eq!(told(&kept), data);
        }
    }

    #[test]
    fn what_looks_like_a_reference_and_is_none_stays() {
        for odd in [
            json!({ "$secret": "no name" }),
            json!({ "$secret": ["a", { "name": "b", "more": 1 }] }),
            json!({ "$secret": { "name": "a" } }),
            json!({ "$secret": "a", "more": 1 }),
        ] {
            assert_eq!(told(&odd), odd);
        }
    }
}
