//! What stands around every route: hosts, panics, and the envelope on every error.

use std::any::Any;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::refusal::{Enveloped, Refusal};
use super::{App, codes, hosts, telemetry};

/// How much of a foreign error's text goes into the envelope.
const FOREIGN_TEXT_BYTES_MAX: usize = 1_024;

/// Puts the shield around some routes; the first layer is the innermost.
pub(super) fn around(routes: Router, app: App) -> Router {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(enveloped))
        .layer(from_fn_with_state(app, hosts::check))
        .layer(from_fn(telemetry::observe))
}

/// 404 for a path that nothing is at.
pub(super) async fn unknown_path(uri: Uri, _: Request) -> Refusal {
    let path: String = uri.path().chars().take(256).collect();
    Refusal::new(codes::NOT_FOUND, format!("there is nothing at {path}"))
}

/// A handler has a bug: its request is answered, the server goes on.
fn panicked(why: Box<dyn Any + Send + 'static>) -> Response {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| why.downcast_ref::<&str>().copied()).unwrap_or("no message");
    tracing::error!(panic = text, "a request met a bug");
    Refusal::new(codes::INTERNAL, "the server met a bug; its log says more").into_response()
}

/// Errors of the router and its extractors get the envelope too.
async fn enveloped(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<Enveloped>().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let code = codes::of_status(status);
    let text = to_bytes(body, FOREIGN_TEXT_BYTES_MAX).await.unwrap_or_default();
    let message = match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            "this path does not take that method; the header `Allow` lists those it takes"
                .to_owned()
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
    use axum::http::header::ALLOW;

    use super::*;

    #[tokio::test]
    async fn errors_of_others_get_the_envelope_and_keep_their_headers() {
        let foreign = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")], "no").into_response();
        let response = enveloped(foreign).await;
        assert_eq!(response.headers()[ALLOW], "GET");
        let body = to_bytes(response.into_body(), 4_096).await.expect("a body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["error_code"], codes::METHOD_NOT_ALLOWED);
        assert_eq!(body["success"], false);
    }
}
