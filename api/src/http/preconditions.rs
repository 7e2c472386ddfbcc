//! `If-Match` and `If-None-Match` on definitions: what must be current.
//!
//! The tag of a workflow is the digest of the revision shown: it says which definition it is, and
//! nothing of how the workflow stands. So nobody is told that what they have is still as it was.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use backstitch_core::ids::Digest;
use backstitch_saga::partition::Expected;

use super::answer;
use super::refusal::Refusal;

/// Tags that one request may name.
const TAGS_MAX: usize = 100;

/// A definition's tag.
pub(super) fn tag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// An answer with the tag of the definition that it shows or made.
pub(super) fn tagged(response: Response, digest: &Digest) -> Response {
    answer::with_header(response, ETAG, &tag(digest))
}

/// What a request to define says must be current.
///
/// # Errors
/// 400 for headers that can't be read, and for both at once.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected, Refusal> {
    let (current, absent) = (words(headers, IF_MATCH)?, words(headers, IF_NONE_MATCH)?);
    if !current.is_empty() && !absent.is_empty() {
        let message = "`If-Match` and `If-None-Match` rule each other out";
        return Err(Refusal::bad_request(message));
    }
    match (current.as_slice(), absent.as_slice()) {
        ([], []) => Ok(Expected::Anything),
        ([only], []) if only == "*" => Ok(Expected::Something),
        ([], [only]) if only == "*" => Ok(Expected::Nothing),
        ([], _) => {
            let message = "`If-None-Match` of a definition is `*`: that there is no such workflow";
            Err(Refusal::bad_request(message))
        }
        // A weak tag, and one of something else, is never the current one.
        (tags, _) => Ok(Expected::OneOf(tags.iter().filter_map(|tag| digest_of(tag)).collect())),
    }
}

fn digest_of(tag: &str) -> Option<Digest> {
    Digest::parse(tag.strip_prefix('"')?.strip_suffix('"')?)
}

fn words(headers: &HeaderMap, name: HeaderName) -> Result<Vec<String>, Refusal> {
    let mut words = Vec::new();
    for value in headers.get_all(&name) {
        let text = value.to_str();
        let text = text.map_err(|_| Refusal::bad_request(format!("`{name}` is no text")))?;
        let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        words.extend(tags.map(str::to_owned));
    }
    match words.len() > TAGS_MAX {
        true => Err(Refusal::bad_request(format!("`{name}` names more than {TAGS_MAX} tags"))),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(own: &[(HeaderName, &str)]) -> HeaderMap {
        let own = own.iter().map(|(name, text)| (name.clone(), text.parse().expect("a header")));
        own.collect()
    }

    #[test]
    fn what_must_be_current_is_read_off_the_headers() {
        let digest = Digest::of(b"{}");
        let own = tag(&digest);
        let (other, weak) = (format!("\"x\", {own}"), format!("W/{own}"));
        let is = |pairs: &[(HeaderName, &str)]| expected(&headers(pairs)).ok();
        assert_eq!(is(&[]), Some(Expected::Anything));
        assert_eq!(is(&[(IF_MATCH, "*")]), Some(Expected::Something));
        assert_eq!(is(&[(IF_NONE_MATCH, "*")]), Some(Expected::Nothing));
        assert_eq!(is(&[(IF_MATCH, &other)]), Some(Expected::OneOf(vec![digest])));
        assert_eq!(is(&[(IF_MATCH, &weak)]), Some(Expected::OneOf(Vec::new())));
        assert_eq!(is(&[(IF_NONE_MATCH, &own)]), None);
        assert_eq!(is(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]), None);
    }
}
