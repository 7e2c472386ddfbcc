//! The API describing itself: `/openapi.json`, and the same as a page to read at `/docs`.
//!
//! Both are made once, from the table of routes and `api/openapi`; nothing in them comes from
//! elsewhere or tells of this server.

mod areas;
mod document;
mod page;
mod types;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use backstitch_core::ids::Digest;
use serde_json::Value;

use super::surface;

/// What a page may load: its own style and script.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| document::of(&surface::routes().table(), &areas::all()));
static JSON: LazyLock<Kept> = LazyLock::new(|| {
    let text = serde_json::to_string(&*DOCUMENT).expect("it has text keys only");
    Kept::new("application/json", text)
});
static PAGE: LazyLock<Kept> = LazyLock::new(|| Kept::new(HTML, page::of(&DOCUMENT)));
static STYLE: LazyLock<Kept> = LazyLock::new(|| {
    Kept::new("text/css; charset=utf-8", include_str!("../../../openapi/page.css").to_owned())
});
static SCRIPT: LazyLock<Kept> = LazyLock::new(|| {
    Kept::new("text/javascript; charset=utf-8", include_str!("../../../openapi/page.js").to_owned())
});

/// Every described route as an OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> &'static Value {
    &DOCUMENT
}

/// The described methods of a route's path, as `Allow` lists them; nothing if there are none.
pub(super) fn methods(path: &str) -> Option<String> {
    let described = DOCUMENT["paths"][path].as_object()?;
    let own = described.keys().map(|method| method.to_uppercase());
    let heads = own.clone().filter(|method| method == "GET").map(|_| "HEAD".to_owned());
    let all: BTreeSet<_> = own.chain(heads).collect();
    Some(all.into_iter().collect::<Vec<_>>().join(","))
}

/// A text that stays as it is as long as the server runs.
struct Kept {
    kind: &'static str,
    text: String,
    tag: String,
}

impl Kept {
    fn new(kind: &'static str, text: String) -> Self {
        let tag = format!("\"{}\"", Digest::of(text.as_bytes()));
        Self { kind, text, tag }
    }

    /// The text, or 304 for whoever has it.
    fn answer(&'static self, headers: &HeaderMap) -> Response {
        let given = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|own| own.to_str().ok());
        let mut given = given.flat_map(|own| own.split(',')).map(str::trim);
        let has = given.any(|own| own == "*" || own.trim_start_matches("W/") == self.tag);
        let said: [(HeaderName, &str); 5] = [
            (ETAG, &self.tag),
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_TYPE, self.kind),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
        ];
        match has {
            true => (StatusCode::NOT_MODIFIED, said).into_response(),
            false => (said, Body::from(self.text.as_str())).into_response(),
        }
    }
}

/// `GET /openapi.json`.
pub(super) async fn document(headers: HeaderMap) -> Response {
    JSON.answer(&headers)
}

/// `GET /docs`.
pub(super) async fn page(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

/// `GET /docs/page.css`.
pub(super) async fn style(headers: HeaderMap) -> Response {
    STYLE.answer(&headers)
}

/// `GET /docs/page.js`.
pub(super) async fn script(headers: HeaderMap) -> Response {
    SCRIPT.answer(&headers)
}
