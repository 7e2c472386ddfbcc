//! From the text of a definition, JSON or YAML, to a JSON value.
//!
//! Strict and bounded: no duplicate keys, no deep nesting, no bombs of aliases. YAML is read
//! by the 1.2 rules, so that `yes` and `on` are texts. Knows nothing of definitions.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};
use serde_saphyr::Error as YamlError;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::definition::problem::{Problem, codes};

/// The deepest nesting of a text.
pub const TEXT_NESTING_MAX: usize = 100;
/// The most nodes of a YAML text, with what its aliases repeat.
const YAML_NODES_MAX: usize = 500_000;
/// The most aliases of a YAML text.
const YAML_ALIASES_MAX: usize = 10_000;
/// The most that all aliases of a YAML text may repeat together, in events of its parser: one
/// a scalar, two a list or mapping.
const YAML_REPEATED_MAX: usize = 20_000;
/// The deepest nesting of aliases in what other aliases repeat.
const YAML_ALIAS_NESTING_MAX: usize = 16;
/// The most characters of the parser's own words that a problem quotes.
const QUOTED_CHARS_MAX: usize = 300;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML 1.2, one document.
    Yaml,
}

/// The longest text that is read: the largest payload or definition, written with some space,
/// and what a request has around it.
pub const DOCUMENT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Reads a text.
///
/// # Errors
/// `BAD_SYNTAX` with line and column.
pub fn parse(text: &[u8], format: Format) -> Result<Value, Problem> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let size_bytes = text.len();
        return Err(bad(format!("{size_bytes} bytes; at most {DOCUMENT_BYTES_MAX}")));
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| bad(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    if format == Format::Json && text.starts_with('\u{feff}') {
        let message = "not JSON: it begins with a byte order mark; save it as UTF-8 without one";
        return Err(bad(message.to_owned()));
    }
    match format {
        Format::Json => {
            let strict: Strict = serde_json::from_str(text)
                .map_err(|error| bad(format!("not JSON: {}", json_reason(&error))))?;
            Ok(strict.0)
        }
        Format::Yaml => yaml(text),
    }
}

fn bad(message: String) -> Problem {
    Problem { path: String::new(), code: codes::BAD_SYNTAX, message }
}

fn json_reason(error: &serde_json::Error) -> String {
    let why = error.to_string();
    match why.strip_prefix("recursion limit exceeded") {
        Some(place) => format!("{TOO_DEEP}{place}"),
        None => why,
    }
}

fn yaml(text: &str) -> Result<Value, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: TEXT_NESTING_MAX,
            max_nodes: YAML_NODES_MAX,
            max_events: YAML_NODES_MAX * 2,
            max_aliases: YAML_ALIASES_MAX,
            enforce_alias_anchor_ratio: false,
            max_documents: 1,
            max_total_scalar_bytes: DOCUMENT_BYTES_MAX * 2,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: YAML_REPEATED_MAX,
            max_replay_stack_depth: YAML_ALIAS_NESTING_MAX,
            max_alias_expansions_per_anchor: YAML_ALIASES_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Strict>(text, options) {
        Ok(strict) => Ok(strict.0),
        Err(error) => {
            let shown = yaml_reason(&error);
            let place = error
                .location()
                .filter(|at| at.line() > 0 && !shown.contains("line "))
                .map_or_else(String::new, |at| {
                    format!(" at line {}, column {}", at.line(), at.column())
                });
            Err(bad(format!("not YAML: {shown}{place}")))
        }
    }
}

const TOO_DEEP: &str = "it nests deeper than 100 levels";

/// What is wrong with a YAML text: in our words where a limit or rule is ours.
fn yaml_reason(error: &YamlError) -> String {
    match error.without_snippet() {
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            format!("`{}` is given twice", key.chars().take(KEY_CHARS_MAX).collect::<String>())
        }
        YamlError::DuplicateMappingKey { .. } => "a key is given twice".to_owned(),
        YamlError::UnsupportedTag { tag, .. } => {
            format!(
                "the tag `{}` is not known",
                tag.chars().take(KEY_CHARS_MAX).collect::<String>()
            )
        }
        YamlError::MultipleDocuments { .. } => MORE_DOCUMENTS.to_owned(),
        YamlError::AliasReplayCounterOverflow { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => TOO_MANY_ALIASES.to_owned(),
        YamlError::UnknownAnchor { .. } => "an alias has no anchor before it".to_owned(),
        YamlError::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias stands in its own anchor".to_owned()
        }
        YamlError::NonFiniteFloat { .. } => "a number that JSON cannot hold".to_owned(),
        YamlError::InvalidScalar { .. } => "a value is not what its tag says".to_owned(),
        YamlError::NullIntoString { .. } => "a key is null; keys are texts".to_owned(),
        YamlError::Budget { breach, .. } => match breach {
            BudgetBreach::Depth { .. } => TOO_DEEP.to_owned(),
            BudgetBreach::Documents { .. } => MORE_DOCUMENTS.to_owned(),
            BudgetBreach::Events { .. } | BudgetBreach::Nodes { .. } => {
                format!("it has more than {YAML_NODES_MAX} values")
            }
            BudgetBreach::ScalarBytes { .. } | BudgetBreach::InputBytes { .. } => {
                "its texts are too long, with what its aliases repeat".to_owned()
            }
            BudgetBreach::SequenceUnbalanced => "a list or mapping has no end".to_owned(),
            BudgetBreach::MergeKeys { .. } => "too many merge keys".to_owned(),
            _ => TOO_MANY_ALIASES.to_owned(),
        },
        YamlError::AliasError { error, .. } => yaml_reason(error),
        // The parser's own bound, further out than ours, is met where it reads ahead.
        other if other.to_string().contains("recursion limit") => TOO_DEEP.to_owned(),
        other => other.to_string().chars().take(QUOTED_CHARS_MAX).collect(),
    }
}

const MORE_DOCUMENTS: &str = "more than one document";
const TOO_MANY_ALIASES: &str = "too many aliases, or aliases that repeat too much";
/// The most characters of a key or tag that a problem names.
const KEY_CHARS_MAX: usize = 64;

/// A JSON value without duplicate keys and of bounded depth.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels(TEXT_NESTING_MAX).deserialize(deserializer).map(Self)
    }
}

/// Reads a value that may nest so many levels.
struct Levels(usize);

impl Levels {
    fn below<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.0.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    /// A number beyond 64 bits is the nearest fraction, as in JSON.
    #[expect(clippy::cast_precision_loss, reason = "the nearest fraction is what is wanted")]
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "the nearest fraction is what is wanted")]
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom(format!("{value} is no JSON number")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Levels(below))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut fields = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            if fields.contains_key(&key) {
                let shown: String = key.chars().take(KEY_CHARS_MAX).collect();
                return Err(A::Error::custom(format!("`{shown}` is given twice")));
            }
            let value = access.next_value_seed(Levels(below))?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
