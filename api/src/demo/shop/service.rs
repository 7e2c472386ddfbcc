//! The shop's routes. How a request goes is decided by what the order says, so that a run can
//! be repeated.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::SharedLedger;
use super::books::Service;
use super::ledger::{Ask, Wish};

/// The largest request, in bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// The longest an order may ask an answer to take.
const SLOW_MS_MAX: u64 = 60_000;
/// The longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// The longest `order_id`, in bytes.
const ORDER_ID_BYTES_MAX: usize = 256;

/// What a request says of its order. Each service reads the fields it knows.
#[derive(Debug, Deserialize)]
struct Order {
    order_id: String,
    /// `declined` is refused by the payment with 402.
    #[serde(default)]
    card: String,
    /// `unreachable` is refused by the shipping with 422.
    #[serde(default)]
    address: String,
    /// `sold out` is refused by the stock with 409.
    #[serde(default)]
    goods: String,
    /// The first so many attempts are answered 503 and do nothing.
    #[serde(default)]
    flaky: u32,
    /// The next so many attempts take effect, and their answer is lost (504).
    #[serde(default)]
    lost: u32,
    /// The answer takes so long; the effect takes place before.
    #[serde(default)]
    slow_ms: u64,
}

impl Order {
    /// Why a service will not work for the order.
    fn refusal(&self, service: Service) -> Option<(u16, &'static str)> {
        match service {
            Service::Stock if self.goods == "sold out" => Some((409, "sold out")),
            Service::Payment if self.card == "declined" => Some((402, "card declined")),
            Service::Shipping if self.address == "unreachable" => Some((422, "no such address")),
            Service::Stock | Service::Payment | Service::Shipping => None,
        }
    }
}

/// What every route works with.
#[derive(Clone)]
struct Counter {
    ledger: Arc<SharedLedger>,
    latency: Duration,
}

/// The routes of all three services and of the books.
pub(super) fn router(ledger: Arc<SharedLedger>, latency: Duration) -> Router {
    let route = |service, wish| {
        post(move |state, headers, order| serve(service, wish, state, headers, order))
    };
    Router::new()
        .route("/stock/reserve", route(Service::Stock, Wish::Do))
        .route("/stock/release", route(Service::Stock, Wish::Undo))
        .route("/payment/charge", route(Service::Payment, Wish::Do))
        .route("/payment/refund", route(Service::Payment, Wish::Undo))
        .route("/shipping/book", route(Service::Shipping, Wish::Do))
        .route("/shipping/cancel", route(Service::Shipping, Wish::Undo))
        .route("/books", get(books))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(Counter { ledger, latency })
}

/// The effect takes place first and the answer takes its time: who gives up waiting does not
/// know whether it did.
async fn serve(
    service: Service,
    wish: Wish,
    State(counter): State<Counter>,
    headers: HeaderMap,
    Json(order): Json<Order>,
) -> Response {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let Some(key) = key.filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX) else {
        return refuse("the header Idempotency-Key is missing, not text or too long");
    };
    if order.order_id.is_empty() || order.order_id.len() > ORDER_ID_BYTES_MAX {
        return refuse("order_id is empty or too long");
    }
    let (status, body) = counter.ledger.lock().apply(&Ask {
        service,
        wish,
        key,
        order_id: &order.order_id,
        refusal: order.refusal(service),
        flaky: order.flaky,
        lost: order.lost,
    });
    let answer_takes = counter.latency + Duration::from_millis(order.slow_ms.min(SLOW_MS_MAX));
    if !answer_takes.is_zero() {
        tokio::time::sleep(answer_takes).await;
    }
    let status = StatusCode::from_u16(status).expect("the ledger answers with HTTP statuses");
    (status, Json(body)).into_response()
}

async fn books(State(counter): State<Counter>) -> Response {
    let books = counter.ledger.lock().books();
    Json(books).into_response()
}

fn refuse(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response()
}
