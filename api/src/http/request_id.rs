//! The id of a request: taken from its header or drawn, in every line logged about it, in its
//! answer, and in the audit's rows of what it did.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use backstitch_core::audit::REQUEST_ID_BYTES_MAX;
use tracing::Instrument as _;

/// The header of the id, in requests and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a line of the log has of a path at most.
const PATH_CHARS_MAX: usize = 256;

/// Gives a request an id, in place of the one it came with if that is another. One that its client
/// chose is kept if it fits on a line of a log.
pub(super) async fn give(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).filter(|id| is_plain(id)).cloned();
    let id = given.unwrap_or_else(drawn);
    let shown = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::info_span!("request", request_id = %shown);
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let method = request.method().clone();
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let changes = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    if changes {
        let acted_by = response.extensions().get::<ActedBy>().cloned();
        let _entered = span.entered();
        tracing::info!(
            %method,
            %path,
            status = response.status().as_u16(),
            actor = acted_by.as_ref().map_or("nobody", |own| &own.actor),
            on_behalf_of = acted_by.as_ref().and_then(|own| own.on_behalf_of.as_deref()),
            execution_id = acted_by.as_ref().and_then(|own| own.execution.as_deref()),
            "a request to change something",
        );
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// On an answer: who asked.
#[derive(Debug, Clone)]
pub(super) struct ActedBy {
    /// Who they proved to be, if they had to.
    pub(super) actor: Arc<str>,
    /// For whom, as they say.
    pub(super) on_behalf_of: Option<Arc<str>>,
    /// About which run, if it was about one or began one.
    pub(super) execution: Option<String>,
}

fn is_plain(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(plain)
}

fn drawn() -> HeaderValue {
    let mut bytes = [0_u8; 16];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "the system gives no random numbers; a request has id 0");
    }
    let text = u128::from_be_bytes(bytes);
    HeaderValue::from_str(&format!("req_{text:032x}")).expect("hex digits fit into a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_forge_a_line_of_a_log_are_not_taken() {
        let plain = |id: &str| is_plain(&HeaderValue::from_str(id).expect("a header"));
        assert!(plain("a-B_1.2:3") && plain(&"x".repeat(128)));
        assert!(!plain("") && !plain("a b") && !plain("a\"b") && !plain(&"x".repeat(129)));
        assert!(is_plain(&drawn()) && drawn() != drawn());
    }
}
