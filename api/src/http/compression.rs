//! Answers in gzip, for whoever takes them so.
//!
//! A layer of our own over `flate2`: what `tower-http` would bring for this sets no headers on HEAD, leaves a
//! strong tag on bytes that it does not name, and packs a large body without a pause.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, IF_MATCH, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Frame, SizeHint};

/// Smaller bodies stay as they are: the packet is the same one.
const BYTES_MIN: u64 = 1_024;
/// What is packed at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes behind which others of the same thread have a turn: about a millisecond of packing.
const TURN_BYTES: usize = 4 * PIECE_BYTES;
/// What the tag of a packed answer ends with: its bytes are others, and so is their strong tag (RFC 9110, 8.8.3.3).
const TAG_END: &str = "-gzip\"";

const GZIP: HeaderValue = HeaderValue::from_static("gzip");

/// Packs the answer if its client takes that and it is worth it. A tag that was handed out with a packed
/// answer is one of the definition to whoever handles the request.
pub(super) async fn pack(mut request: Request, next: Next) -> Response {
    let wanted = takes_gzip(request.headers());
    let is_head = request.method() == Method::HEAD;
    plain_tags(request.headers_mut(), IF_MATCH);
    let had_packed = plain_tags(request.headers_mut(), IF_NONE_MATCH);
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().append(VARY, ACCEPT_ENCODING.into());
        if had_packed {
            mark_tag(response.headers_mut());
        }
        return response;
    }
    if !is_worth_it(&response, is_head) {
        return response;
    }
    response.headers_mut().append(VARY, ACCEPT_ENCODING.into());
    if !wanted {
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, GZIP);
    headers.remove(CONTENT_LENGTH);
    mark_tag(headers);
    // An answer to HEAD has a body of no known length, or its length would be said to be 0.
    response.map(|body| Body::new(if is_head { Gzip::nothing() } else { Gzip::of(body) }))
}

/// Whether gzip is what a client likes best (RFC 9110, 12.5.3): as it is counts as much as it says, and less
/// than anything that it names if it says nothing.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut rest) = (None, None, None);
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|own| own.to_str().ok());
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut rest,
            _ => continue,
        };
        *place = Some(thousandths(weight));
    }
    let gzip = gzip.or(rest).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// What `q=0.5` says, in thousandths; nothing is said of what can't be read, so that it counts as 0.
fn thousandths(weight: &str) -> u32 {
    let weight = weight.trim();
    if weight.is_empty() {
        return 1_000;
    }
    let number = weight.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    let Some((whole, part)) =
        number.map(|(_, text)| text.trim().split_once('.').unwrap_or((text.trim(), "")))
    else {
        return 0;
    };
    let is_plain = part.len() <= 3 && part.bytes().all(|digit| digit.is_ascii_digit());
    match (whole, is_plain) {
        ("0", true) => format!("{part:0<3}").parse().unwrap_or(0),
        ("1", true) if part.bytes().all(|digit| digit == b'0') => 1_000,
        _ => 0,
    }
}

/// Whether an answer is a text of some length that nobody has packed. Live streams are not: each event is to
/// be there when it happens.
fn is_worth_it(response: &Response, is_head: bool) -> bool {
    let headers = response.headers();
    let has_body = !response.status().is_informational()
        && ![StatusCode::NO_CONTENT, StatusCode::PARTIAL_CONTENT].contains(&response.status());
    let is_as_it_is =
        [CONTENT_ENCODING, CONTENT_RANGE].iter().all(|own| !headers.contains_key(own));
    let cached = headers.get(CACHE_CONTROL).and_then(|own| own.to_str().ok()).unwrap_or_default();
    has_body
        && is_as_it_is
        && !cached.contains("no-transform")
        && is_text(headers)
        && bytes(response, is_head).is_none_or(|bytes| bytes >= BYTES_MIN)
}

/// How long an answer is, or would be to GET; unknown of a stream. The body of an answer to HEAD is gone
/// already, and says nothing.
fn bytes(response: &Response, is_head: bool) -> Option<u64> {
    let said = response.headers().get(CONTENT_LENGTH);
    let said = said.and_then(|own| own.to_str().ok()?.parse().ok());
    said.or_else(|| response.body().size_hint().exact().filter(|_| !is_head))
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|own| own.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind.split_once('/') {
        Some(("text", own)) => own != "event-stream",
        Some(("application", own)) => {
            ["json", "x-ndjson", "yaml"].contains(&own) || own.ends_with("+json")
        }
        _ => false,
    }
}

/// A strong tag is of the bytes that are sent.
fn mark_tag(headers: &mut HeaderMap) {
    let tag = headers.get(ETAG).and_then(|own| own.to_str().ok());
    let strong = tag.filter(|own| own.starts_with('"')).and_then(|own| own.strip_suffix('"'));
    let marked = strong.and_then(|own| HeaderValue::try_from(format!("{own}{TAG_END}")).ok());
    if let Some(marked) = marked {
        headers.insert(ETAG, marked);
    }
}

/// Takes the mark off the tags of a condition; whether there was one.
fn plain_tags(headers: &mut HeaderMap, name: HeaderName) -> bool {
    let lines = headers.get_all(&name).iter().filter_map(|own| own.to_str().ok());
    let joined = lines.collect::<Vec<_>>().join(",");
    if !joined.contains(TAG_END) {
        return false;
    }
    if let Ok(plain) = HeaderValue::try_from(joined.replace(TAG_END, "\"")) {
        headers.insert(name, plain);
    }
    true
}

/// A body that is packed as it is asked for.
struct Gzip {
    body: Body,
    /// What came of the body and is not packed yet.
    rest: Bytes,
    /// Nothing once the last of it was handed out.
    packer: Option<GzEncoder<Vec<u8>>>,
    /// Whether something went in that the packer may still hold.
    holds: bool,
    /// Packed since others had a turn.
    turn_bytes: usize,
}

impl Gzip {
    fn of(body: Body) -> Self {
        let packer = Some(GzEncoder::new(Vec::new(), Compression::fast()));
        Self { body, rest: Bytes::new(), packer, holds: false, turn_bytes: 0 }
    }

    fn nothing() -> Self {
        Self { packer: None, ..Self::of(Body::empty()) }
    }

    /// Packs a piece; answers what is ready to go.
    fn step(&mut self) -> io::Result<Option<Bytes>> {
        let Some(packer) = self.packer.as_mut() else { return Ok(None) };
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        packer.write_all(&piece)?;
        self.holds = true;
        self.turn_bytes += piece.len();
        let is_full = packer.get_ref().len() >= PIECE_BYTES;
        Ok(is_full.then(|| std::mem::take(packer.get_mut()).into()))
    }

    /// What is packed so far, so that nobody waits for what is there.
    fn flushed(&mut self) -> io::Result<Option<Bytes>> {
        let Some(packer) = self.packer.as_mut().filter(|_| self.holds) else { return Ok(None) };
        packer.flush()?;
        self.holds = false;
        Ok(Some(std::mem::take(packer.get_mut()).into()))
    }
}

impl HttpBody for Gzip {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let framed = |bytes: Bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        let failed = |error: io::Error| Poll::Ready(Some(Err(axum::Error::new(error))));
        while self.packer.is_some() {
            if self.turn_bytes >= TURN_BYTES {
                self.turn_bytes = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !self.rest.is_empty() {
                match self.step() {
                    Ok(Some(bytes)) => return framed(bytes),
                    Ok(None) => continue,
                    Err(error) => return failed(error),
                }
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
                Poll::Ready(Some(Err(error))) => {
                    self.packer = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let packed = self.packer.take().map(GzEncoder::finish);
                    return match packed.transpose() {
                        Ok(bytes) => framed(bytes.unwrap_or_default().into()),
                        Err(error) => failed(error),
                    };
                }
                Poll::Pending => {
                    return match self.flushed() {
                        Ok(Some(bytes)) => framed(bytes),
                        Ok(None) => Poll::Pending,
                        Err(error) => failed(error),
                    };
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.packer.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(words: &str) -> bool {
        let value = HeaderValue::from_str(words).expect("a header");
        takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value)]))
    }

    #[test]
    fn what_a_client_likes_best_is_read_off_its_weights() {
        for wanted in [
            "gzip",
            "deflate, GZIP",
            "x-gzip",
            "*",
            "br;q=1, gzip;q=0.001",
            "identity;q=0.5, gzip;q=1.0",
            "gzip ; q=0.8, identity;q=0.8",
            "identity;q=0, *",
        ] {
            assert!(takes(wanted), "{wanted}");
        }
        for not in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0.000, *",
            "*;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=2",
            "gzip;q=-1",
            "gzip;q=0.0001",
            "gzip;level=9",
        ] {
            assert!(!takes(not), "{not}");
        }
    }

    #[test]
    fn a_tag_is_marked_once_and_found_again() {
        let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"a\""))]);
        mark_tag(&mut headers);
        assert_eq!(headers[ETAG], "\"a-gzip\"");
        headers.insert(ETAG, HeaderValue::from_static("W/\"a\""));
        mark_tag(&mut headers);
        assert_eq!(headers[ETAG], "W/\"a\"", "a weak tag is not of the bytes");
        headers.insert(IF_MATCH, HeaderValue::from_static("\"b\""));
        headers.append(IF_MATCH, HeaderValue::from_static("\"a-gzip\", \"c\""));
        assert!(plain_tags(&mut headers, IF_MATCH));
        assert_eq!(headers[IF_MATCH], "\"b\",\"a\", \"c\"");
        assert!(!plain_tags(&mut headers, IF_MATCH));
    }

    #[tokio::test]
    async fn a_large_body_is_packed_in_turns_and_is_whole() {
        use std::io::Read as _;
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut body = Gzip::of(Body::from(text.clone()));
        let mut packed = Vec::new();
        let mut turns = 0;
        let waker = std::task::Waker::noop();
        loop {
            match Pin::new(&mut body).poll_frame(&mut Context::from_waker(waker)) {
                Poll::Pending => turns += 1,
                Poll::Ready(Some(frame)) => {
                    packed.extend(frame.expect("no error").into_data().expect("data"));
                }
                Poll::Ready(None) => break,
            }
        }
        assert!(turns >= text.len() / TURN_BYTES, "{turns}");
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut whole).expect("gzip");
        assert!(whole == text);
    }
}
