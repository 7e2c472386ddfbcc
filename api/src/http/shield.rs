//! What stands around every route: hosts, panics, the end of connections that carry chunks, what web
//! pages may do with answers, and the envelope on every error.

use std::any::Any;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response, map_response_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::refusal::{Enveloped, Refusal};
use super::{App, codes, compression, hosts, reference, request_id, telemetry};
use crate::log;

/// How much of a foreign error's text goes into the envelope.
const FOREIGN_TEXT_BYTES_MAX: usize = 1_024;

/// On every answer: no page of another origin may embed it (Fetch, 3.7).
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Puts the shield around some routes; the first layer is the innermost.
pub(super) fn around(routes: Router, app: App) -> Router {
    let routes = routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response_with_state(app.clone(), tell_of_the_journal))
        .layer(from_fn_with_state(app, hosts::check))
        .layer(from_fn(telemetry::observe))
        .layer(from_fn(allow_what_works));
    // The routes add `Allow` outside their own layers, and the envelope's message tells it.
    Router::new()
        .fallback_service(routes)
        .layer(map_response(enveloped))
        .layer(map_response(kept_from_pages))
        // Outside of the envelope, which reads what routers say; inside of what looks at connections.
        .layer(from_fn(compression::pack))
        .layer(from_fn(end_after_chunks))
        .layer(from_fn(request_id::give))
}

/// 404 for a path that nothing is at.
pub(super) async fn unknown_path(uri: Uri, _: Request) -> Refusal {
    let path: String = uri.path().chars().take(256).collect();
    Refusal::new(codes::NOT_FOUND, format!("there is nothing at {path}"))
}

/// 503 from a server whose journal failed says so, whatever the engine noticed first.
async fn tell_of_the_journal(State(app): State<App>, response: Response) -> Response {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return response;
    }
    match app.journal_failure() {
        Some(why) => Refusal::unavailable(why).into_response(),
        None => response,
    }
}

/// A body in chunks is the last of its connection. Whoever stands before this server may have gone by
/// a `Content-Length` beside them, and read another end of it (RFC 9112, 6.1).
async fn end_after_chunks(request: Request, next: Next) -> Response {
    let in_chunks = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if in_chunks {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// An answer is what its type says, and for pages of this origin only.
async fn kept_from_pages(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// A handler has a bug: its request is answered, the server goes on.
fn panicked(why: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!(panic = log::words(&*why), "a request met a bug");
    Refusal::new(codes::INTERNAL, "the server met a bug; its log says more").into_response()
}

/// The methods of a path that do something, for `Allow`: those to come answer 501.
#[derive(Debug, Clone)]
struct Allowed(String);

/// Notes on 405 what the path takes: the router says so later, and counts what is to come.
async fn allow_what_works(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(methods) = path.and_then(|path| reference::methods(path.as_str()))
    {
        response.extensions_mut().insert(Allowed(methods));
    }
    response
}

/// Errors of the router and its extractors get the envelope too.
async fn enveloped(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<Enveloped>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // That of the body that is replaced.
    parts.headers.remove(CONTENT_LENGTH);
    let code = codes::of_status(status);
    if let Some(Ok(allowed)) = parts.extensions.get::<Allowed>().map(|own| own.0.parse()) {
        parts.headers.insert(ALLOW, allowed);
    }
    let text = to_bytes(body, FOREIGN_TEXT_BYTES_MAX).await.unwrap_or_default();
    let message = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = parts.headers.get(ALLOW).and_then(|allowed| allowed.to_str().ok());
            let allowed = allowed.unwrap_or("none").replace(',', ", ");
            format!("this path does not take that method; it takes {allowed}")
        }
        _ if text.is_empty() => status.canonical_reason().unwrap_or("error").to_lowercase(),
        _ => String::from_utf8_lossy(&text).into_owned(),
    };
    let mut response = Refusal::new(code, message).into_response();
    for (name, value) in &parts.headers {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_of_others_get_the_envelope_and_keep_their_headers() {
        let foreign = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET,POST")], "no").into_response();
        let response = enveloped(foreign).await;
        assert_eq!(response.headers()[ALLOW], "GET,POST");
        let body = to_bytes(response.into_body(), 4_096).await.expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["error_code"], codes::METHOD_NOT_ALLOWED);
        assert_eq!(body["success"], false);
        let message = body["message"].as_str().expect("a message");
        assert!(message.ends_with("it takes GET, POST"), "{message}");
    }
}
