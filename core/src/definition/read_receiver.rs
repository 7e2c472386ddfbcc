//! Reading who is told: where they are, in which form they want it, and how they know us.

use serde_json::Value;

use super::URL_CHARS_MAX;
use super::problem::{Problems, codes};
use super::read_fields::{Fields, type_of};
use crate::event::{BodyForm, CallbackForm};
use crate::secrets::Piece;
use crate::template::{has_template, secrets_in};

/// The fields that say who is told.
pub const RECEIVER_FIELDS: [&str; 5] = ["url", "format", "routing_key", "api_key", "headers"];
/// The most headers.
pub const HEADERS_MAX: usize = 16;
/// The longest name of a header.
const HEADER_NAME_CHARS_MAX: usize = 64;
/// The longest text of a header.
const HEADER_CHARS_MAX: usize = 1_024;
/// The longest key of an integration.
const KEY_CHARS_MAX: usize = 64;
/// The longest text that names the secret which a key is.
const KEY_TEXT_CHARS_MAX: usize = 256;
/// Headers that are ours to set, or the connection's.
const OWN_HEADERS: [&str; 13] = [
    "content-type",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
];
/// How names of headers begin that are ours to set.
const OWN_PREFIXES: [&str; 2] = ["webhook-", "backstitch-"];
/// Where Opsgenie looks for the key.
const AUTHORIZATION: &str = "authorization";

/// Whether a text may refer to secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// Whoever wrote it may have them sent.
    Taken,
    /// Anybody may have written it.
    Refused,
}

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// An `http` or `https` URL.
    pub url: String,
    /// How it is written, and what goes with it.
    pub form: CallbackForm,
}

/// Reads who is told, if nothing is wrong with it.
pub(crate) fn receiver(
    fields: &Fields<'_>,
    secrets: Secrets,
    problems: &mut Problems,
) -> Option<Receiver> {
    fields.required("url", problems);
    let url = fields.text("url", URL_CHARS_MAX, problems);
    let body = body(fields, secrets, problems);
    let headers = headers(fields, body.as_ref(), secrets, problems);
    let (url, body, headers) = (url?, body?, headers?);
    let tail = matches!(body, BodyForm::Opsgenie { .. }) && url.contains(['?', '#']);
    let checked = match tail {
        true => Err("the URL of Opsgenie ends with its path: alerts are closed below it".into()),
        false => check_url_with(&url, secrets),
    };
    if let Err(why) = checked {
        problems.add(fields.at("url"), codes::BAD_URL, why);
        return None;
    }
    Some(Receiver { url, form: CallbackForm::of(body, headers) })
}

fn body(fields: &Fields<'_>, secrets: Secrets, problems: &mut Problems) -> Option<BodyForm> {
    let words = CallbackForm::WORDS.map(|word| (word, word));
    let word = match fields.get("format") {
        None => CallbackForm::default().word(),
        Some(_) => fields.word("format", &words, problems)?,
    };
    let mut strayed = false;
    for (name, of) in [("routing_key", "pagerduty"), ("api_key", "opsgenie")] {
        if word != of && fields.get(name).is_some() {
            let message = format!("`{name}` belongs to `format: {of}`");
            problems.add(fields.at(name), codes::BAD_VALUE, message);
            strayed = true;
        }
    }
    let body = match word {
        "pagerduty" => {
            let shape = "`routing_key` has letters and digits, as PagerDuty shows it";
            let routing_key = key(fields, "routing_key", (shape, ""), secrets, problems)?;
            BodyForm::PagerDuty { routing_key }
        }
        "opsgenie" => {
            let shape = "`api_key` has letters, digits and `-`, as Opsgenie shows it";
            let api_key = key(fields, "api_key", (shape, "-"), secrets, problems)?;
            BodyForm::Opsgenie { api_key }
        }
        "cloudevents" => BodyForm::CloudEvents,
        "slack" => BodyForm::Slack,
        _ => BodyForm::Backstitch,
    };
    (!strayed).then_some(body)
}

/// The key of an integration: letters, digits and some signs, or what refers to a secret.
fn key(
    fields: &Fields<'_>,
    name: &str,
    (shape, signs): (&str, &str),
    secrets: Secrets,
    problems: &mut Problems,
) -> Option<String> {
    fields.required(name, problems);
    let key = fields.text(name, KEY_TEXT_CHARS_MAX, problems)?;
    let good = |text: &str| {
        text.len() <= KEY_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(byte as char))
    };
    let checked = pieces(&key, secrets).and_then(|pieces| {
        let texts = pieces.iter().all(|own| match own {
            Piece::Text(text) => good(text),
            Piece::Secret(_) => true,
        });
        if texts && !key.is_empty() { Ok(()) } else { Err(shape.to_owned()) }
    });
    if let Err(why) = checked {
        problems.add(fields.at(name), codes::BAD_VALUE, why);
        return None;
    }
    Some(key)
}

/// What stands in a text beside secrets, and those.
fn pieces(text: &str, secrets: Secrets) -> Result<Vec<Piece>, String> {
    match secrets {
        _ if !has_template(text) => Ok(vec![Piece::Text(text.to_owned())]),
        Secrets::Taken => secrets_in(text),
        Secrets::Refused => {
            Err("has no templates: only definitions refer to secrets here".to_owned())
        }
    }
}

fn headers(
    fields: &Fields<'_>,
    body: Option<&BodyForm>,
    secrets: Secrets,
    problems: &mut Problems,
) -> Option<Vec<(String, String)>> {
    if fields.get("headers").is_none() {
        return Some(Vec::new());
    }
    let given = fields.object("headers", problems)?;
    if given.len() > HEADERS_MAX {
        let message = format!("at most {HEADERS_MAX} headers are sent, not {}", given.len());
        problems.add(fields.at("headers"), codes::OUT_OF_RANGE, message);
        return None;
    }
    let mut headers = Vec::new();
    let mut good = true;
    for (name, value) in given {
        let shown: String = name.chars().take(HEADER_NAME_CHARS_MAX).collect();
        let name = name.to_ascii_lowercase();
        let keyed = name == AUTHORIZATION && matches!(body, Some(BodyForm::Opsgenie { .. }));
        let twice = headers.iter().any(|(known, _)| *known == name);
        match header(&name, value, secrets) {
            Ok(_) if keyed => problem(fields, &shown, "holds the `api_key` already", problems),
            Ok(_) if twice => problem(fields, &shown, "is there twice", problems),
            Ok(text) => {
                headers.push((name, text));
                continue;
            }
            Err(why) => problem(fields, &shown, &why, problems),
        }
        good = false;
    }
    headers.sort();
    good.then_some(headers)
}

fn problem(fields: &Fields<'_>, name: &str, why: &str, problems: &mut Problems) {
    let message = format!("the header `{name}` {why}");
    problems.add(fields.at(&format!("headers.{name}")), codes::BAD_VALUE, message);
}

fn header(name: &str, value: &Value, secrets: Secrets) -> Result<String, String> {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > HEADER_NAME_CHARS_MAX || !name.bytes().all(sign) {
        return Err(format!("has no name of 1 to {HEADER_NAME_CHARS_MAX} letters, digits, `-`"));
    }
    let prefixed = OWN_PREFIXES.iter().any(|own| name.starts_with(own));
    if prefixed || OWN_HEADERS.contains(&name) {
        return Err("is set by Backstitch or belongs to the connection".to_owned());
    }
    let Value::String(text) = value else {
        return Err(format!("is a text, not {}", type_of(value)));
    };
    if text.len() > HEADER_CHARS_MAX || !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err(format!("has at most {HEADER_CHARS_MAX} visible ASCII characters"));
    }
    pieces(text, secrets).map(|_| text.clone())
}

/// Whether a text is such a URL, whatever the secrets in it are.
pub(crate) fn check_url_with(url: &str, secrets: Secrets) -> Result<(), String> {
    if secrets == Secrets::Refused || !has_template(url) {
        return check_url(url).map_err(str::to_owned);
    }
    let mut filled = String::new();
    for piece in secrets_in(url)? {
        match piece {
            Piece::Text(text) => filled.push_str(&text),
            // All of the beginning may be one secret.
            Piece::Secret(_) if filled.is_empty() => filled.push_str("https://x"),
            Piece::Secret(_) => filled.push('1'),
        }
    }
    check_url(&filled).map_err(str::to_owned)
}

/// Whether a text is an absolute `http` or `https` URL.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or("a URL begins with http:// or https://")?;
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || "{}<>\"\\^`|".contains(c)) {
        return Err("a URL has no blanks, templates or other characters that need encoding");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a URL carries no user or password");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if host.is_empty() || !port_is_good {
        return Err("a URL names a host, and a port from 1 to 65535 if any");
    }
    Ok(())
}
