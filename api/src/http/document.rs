//! Bodies of requests: how much is read, in which formats, and what is said of bad ones.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use backstitch_core::yaml::{self, Format};
use backstitch_saga::handle::SubmittedText;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::room::{FREE_BYTES_MAX, Room, Share};
use super::{App, codes};

/// The largest body, in bytes.
pub const BODY_BYTES_MAX: usize = yaml::DOCUMENT_BYTES_MAX;
/// How much of a body that is too large is read and thrown away, so that its sender comes to
/// read the answer.
const BODY_BYTES_DISCARDED_MAX: usize = 64 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body that was JSON or YAML, and its share of the room for large ones.
#[derive(Debug)]
pub(super) struct Document {
    /// Nothing if it was empty.
    pub(super) value: Option<Value>,
    /// To be kept as long as the value is worked on.
    pub(super) share: Share,
}

/// The same, with the text it was read from.
#[derive(Debug)]
pub(super) struct SourceDocument {
    /// What was read.
    pub(super) document: Document,
    /// What it was read from; nothing if it was empty.
    pub(super) text: Option<SubmittedText>,
}

impl FromRequest<App> for Document {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        Ok(Self::read(request, app, false).await?.document)
    }
}

impl FromRequest<App> for SourceDocument {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        Document::read(request, app, true).await
    }
}

impl Document {
    /// Reads a body, and keeps its text if that is wanted.
    async fn read(request: Request, app: &App, with_text: bool) -> Result<SourceDocument, Refusal> {
        let (parts, body) = request.into_parts();
        let mut held = Share::default();
        let reading = read(&parts.headers, body, app.room(), &mut held);
        let bytes = tokio::time::timeout(BODY_TIMEOUT, reading).await.map_err(|_| {
            let message = format!("the body took longer than {} s", BODY_TIMEOUT.as_secs());
            Refusal::new(codes::REQUEST_TIMEOUT, message)
        })??;
        if bytes.is_empty() {
            let document = Self { value: None, share: Share::default() };
            return Ok(SourceDocument { document, text: None });
        }
        let format = format(&parts.headers)?;
        plain(&parts.headers)?;
        let share = app.room().work(bytes.len()).await?;
        // A text that is kept is part of what is worked on, and so of that share.
        let text = with_text.then(|| std::str::from_utf8(&bytes).ok().map(Arc::from)).flatten();
        let text = text.map(|text| SubmittedText { format, text });
        let (parsed, share) = if bytes.len() <= FREE_BYTES_MAX {
            (yaml::parse(&bytes, format), share)
        } else {
            // Parsing goes on when its client goes away, and so it keeps what it uses.
            let parse = move || {
                let parsed = yaml::parse(&bytes, format);
                drop((bytes, held));
                (parsed, share)
            };
            let parsed = tokio::task::spawn_blocking(parse).await;
            parsed.map_err(|_| Refusal::new(codes::INTERNAL, "the body could not be parsed"))?
        };
        let value = parsed.map_err(|problem| {
            let why = problem.message.clone();
            let details = json!({ "problems": [problem] });
            Refusal::bad_request(format!("the body is {why}")).with(details)
        })?;
        Ok(SourceDocument { document: Self { value: Some(value), share }, text })
    }

    /// The value and its share, where a body must be given.
    ///
    /// # Errors
    /// 400 if it was empty.
    pub(super) fn required(self, what: &str) -> Result<(Value, Share), Refusal> {
        let empty = || Refusal::bad_request(format!("the body is empty; it must be {what}"));
        Ok((self.value.ok_or_else(empty)?, self.share))
    }
}

async fn read(
    headers: &HeaderMap,
    mut body: Body,
    room: &Room,
    held: &mut Share,
) -> Result<Vec<u8>, Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(announced.min(FREE_BYTES_MAX));
    let mut discarded = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Refusal::bad_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded == 0 && bytes.len() + data.len() <= BODY_BYTES_MAX {
            // A vector grows by doubling, and so it is held that way.
            room.hold(held, (bytes.len() + data.len()).next_power_of_two())?;
            bytes.extend_from_slice(&data);
            continue;
        }
        discarded += data.len();
        if discarded > BODY_BYTES_DISCARDED_MAX {
            break;
        }
    }
    if discarded > 0 {
        let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        let details = json!({ "bytes_max": BODY_BYTES_MAX });
        return Err(Refusal::new(codes::PAYLOAD_TOO_LARGE, message).with(details));
    }
    Ok(bytes)
}

/// Refuses a body that is compressed: how large it gets is not known before.
///
/// # Errors
/// 415 for one that is compressed.
pub(super) fn plain(headers: &HeaderMap) -> Result<(), Refusal> {
    for encoding in headers.get_all(CONTENT_ENCODING) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        if !encoding.trim().eq_ignore_ascii_case("identity") {
            let shown: String = encoding.chars().take(64).collect();
            let message =
                format!("the content encoding `{shown}` is not taken; send the body as it is");
            return Err(Refusal::new(codes::UNSUPPORTED_MEDIA_TYPE, message));
        }
    }
    Ok(())
}

/// The format that a content type names. A web page can't send these without being asked
/// first, which is why no other is taken.
fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let refused = |given: &str| {
        let message = format!(
            "the content type {given} is not taken; send application/json or application/yaml"
        );
        Refusal::new(codes::UNSUPPORTED_MEDIA_TYPE, message)
    };
    let Some(value) = headers.get(CONTENT_TYPE) else { return Err(refused("is missing and so")) };
    let given = value.to_str().map_err(|_| refused("is no text and so"))?.to_ascii_lowercase();
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_utf8 = |part: &str| match part.strip_prefix("charset=") {
        Some(charset) => charset.trim_matches('"') == "utf-8",
        None => true,
    };
    if !parts.all(is_utf8) {
        return Err(refused(&format!("`{given}`")));
    }
    match essence {
        "application/json" => Ok(Format::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Format::Yaml),
        _ if essence.starts_with("application/") && essence.ends_with("+json") => Ok(Format::Json),
        _ if essence.starts_with("application/") && essence.ends_with("+yaml") => Ok(Format::Yaml),
        _ => Err(refused(&format!("`{essence}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().expect("a header value"));
            format(&headers).ok()
        };
        for json in ["application/json", "Application/JSON; charset=UTF-8", "application/a+json"] {
            assert_eq!(of(json), Some(Format::Json), "{json}");
        }
        for yaml in ["application/yaml", "text/yaml", "application/x-yaml; charset=\"utf-8\""] {
            assert_eq!(of(yaml), Some(Format::Yaml), "{yaml}");
        }
        for other in
            ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(format(&HeaderMap::new()).is_err());
    }
}
