use std::sync::Arc;
use std::time::Duration;

use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_executors::{Answer, Executor, HttpConfig, Registry, Task};
use serde_json::{Value, json};

use super::*;

/// A shop and the client that workflows use.
struct Visit {
    shop: Shop,
    http: Arc<dyn Executor>,
}

impl Visit {
    async fn start() -> Self {
        let shop = Shop::start(ShopConfig::default()).await.unwrap();
        let http = Registry::builtin(HttpConfig::default()).unwrap().get("http").unwrap();
        Self { shop, http }
    }

    /// The body of the answer, or the status of the refusal.
    async fn post(&self, path: &str, key: &str, body: Value) -> Result<Value, u64> {
        let url = format!("{}{path}", self.shop.url());
        let answer = self.send(key, json!({ "method": "POST", "url": url, "body": body })).await;
        match answer {
            Ok(output) => Ok(output.value()["body"].take()),
            Err(failure) => Err(failure.details.unwrap().value()["status"].as_u64().unwrap()),
        }
    }

    async fn send(&self, key: &str, with: Value) -> Answer {
        let task = Task {
            execution: Some(ExecutionId { partition: PartitionId(0), digits: 1 }),
            step: "step".into(),
            task_type: "http".into(),
            idempotency_key: key.to_owned(),
            attempt: 1,
            correlation_id: "".into(),
            trace: None,
            input: Payload::of(&with),
            hosts: WrittenHosts::default(),
            timeout: Duration::from_secs(30),
        };
        self.http.run(task).await
    }

    /// Does or undoes some things of one order, each under its own key.
    async fn go(&self, order_id: &str, paths: &[&str]) {
        for path in paths {
            let key = format!("{order_id}{path}");
            self.post(path, &key, json!({ "order_id": order_id })).await.unwrap();
        }
    }

    fn turns(&self) -> Vec<(Service, Turn)> {
        self.shop.books().entries.iter().map(|entry| (entry.service, entry.turn)).collect()
    }
}

const FORWARD: [&str; 3] = ["/stock/reserve", "/payment/charge", "/shipping/book"];

#[tokio::test]
async fn whole_and_undone_orders_are_in_order() {
    let visit = Visit::start().await;
    visit.go("whole", &FORWARD).await;
    visit.go("undone", &FORWARD).await;
    visit.go("undone", &["/shipping/cancel", "/payment/refund", "/stock/release"]).await;
    let books = visit.shop.books();
    assert_eq!(books.check(&["whole", "undone"]), []);
    assert_eq!(books.check_undo_order(), []);
    assert!(books.is_fulfilled("whole") && !books.is_fulfilled("undone"));
    let sequences: Vec<_> = books.entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=9).collect::<Vec<_>>());
    visit.shop.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_changes_nothing() {
    let visit = Visit::start().await;
    let order = json!({ "order_id": "a" });
    let first = visit.post("/payment/charge", "k", order.clone()).await;
    assert_eq!(first, Ok(json!({ "order_id": "a", "id": "payment-1" })));
    assert_eq!(visit.post("/payment/charge", "k", order).await, first);
    let declined = json!({ "order_id": "b", "card": "declined" });
    for _ in 0..2 {
        assert_eq!(visit.post("/payment/charge", "l", declined.clone()).await, Err(402));
    }
    assert_eq!(visit.shop.books().repeats, 2);
    let payment = |turn| (Service::Payment, turn);
    assert_eq!(visit.turns(), [payment(Turn::Done), payment(Turn::Refused)]);
}

#[tokio::test]
async fn what_is_wrong_is_noticed() {
    let visit = Visit::start().await;
    visit.go("torn", &["/stock/reserve", "/payment/charge"]).await;
    visit.go("doubled", &FORWARD).await;
    visit.post("/payment/charge", "another", json!({ "order_id": "doubled" })).await.unwrap();
    visit.go("disorder", &FORWARD).await;
    visit.go("disorder", &["/stock/release", "/shipping/cancel", "/payment/refund"]).await;
    visit.post("/payment/refund", "more", json!({ "order_id": "disorder" })).await.unwrap();
    let books = visit.shop.books();
    let name = |order_id: &str| order_id.to_owned();
    assert_eq!(
        books.check(&["torn", "doubled", "lost"]),
        [
            Discrepancy::Unheard { order_id: name("lost") },
            Discrepancy::Unexpected { order_id: name("disorder") },
            Discrepancy::Torn {
                order_id: name("torn"),
                held: vec![Service::Stock, Service::Payment]
            },
            Discrepancy::Doubled { order_id: name("doubled"), service: Service::Payment },
            Discrepancy::UndoneAgain { order_id: name("disorder"), service: Service::Payment },
        ]
    );
    assert_eq!(
        books.check_undo_order(),
        [Discrepancy::UndoneOutOfOrder {
            order_id: name("disorder"),
            early: Service::Stock,
            late: Service::Shipping
        }]
    );
}

#[tokio::test]
async fn a_key_is_for_one_thing() {
    let visit = Visit::start().await;
    visit.post("/stock/reserve", "k", json!({ "order_id": "a" })).await.unwrap();
    for (path, order_id) in
        [("/stock/release", "a"), ("/payment/charge", "a"), ("/stock/reserve", "b")]
    {
        assert_eq!(visit.post(path, "k", json!({ "order_id": order_id })).await, Err(409));
    }
    let misused = |order_id: &str, service| Discrepancy::KeyMisused {
        order_id: order_id.to_owned(),
        service,
    };
    assert_eq!(
        visit.shop.books().check(&["a", "b"])[1..],
        [
            misused("a", Service::Stock),
            misused("a", Service::Payment),
            misused("b", Service::Stock)
        ]
    );
}

#[tokio::test]
async fn undoing_what_was_never_done_is_noted() {
    let visit = Visit::start().await;
    let answer = visit.post("/stock/release", "k/undo", json!({ "order_id": "a" })).await;
    assert_eq!(answer, Ok(json!({ "order_id": "a", "undone": false })));
    assert_eq!(visit.turns(), [(Service::Stock, Turn::NothingToUndo)]);
    assert_eq!(visit.shop.books().check(&["a"]), []);
}

#[tokio::test]
async fn an_order_decides_how_it_goes() {
    let visit = Visit::start().await;
    for (path, body, status) in [
        ("/stock/reserve", json!({ "order_id": "a", "goods": "sold out" }), 409),
        ("/payment/charge", json!({ "order_id": "a", "card": "declined" }), 402),
        ("/shipping/book", json!({ "order_id": "a", "address": "unreachable" }), 422),
    ] {
        assert_eq!(visit.post(path, path, body).await, Err(status), "{path}");
    }
    let troubled = json!({ "order_id": "b", "flaky": 2, "lost": 1, "slow_ms": 1 });
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = visit.post("/stock/reserve", "k", troubled.clone()).await;
        answers.push(answer.map(|_| visit.turns().len()));
    }
    assert_eq!(answers, [Err(503), Err(503), Err(504), Ok(4)]);
    assert_eq!(visit.shop.books().repeats, 1);
}

#[tokio::test]
async fn what_is_no_order_is_refused() {
    let visit = Visit::start().await;
    for body in [json!({ "order_id": "" }), json!({ "order_id": "x".repeat(300) })] {
        assert_eq!(visit.post("/stock/reserve", "k", body).await, Err(400));
    }
    assert_eq!(visit.post("/stock/reserve", "k", json!({})).await, Err(422));
    let order = json!({ "order_id": "a" });
    assert_eq!(visit.post("/stock/reserve", "", order.clone()).await, Err(400));
    assert_eq!(visit.post("/stock/steal", "k", order).await, Err(404));
    let large = json!({ "order_id": "a", "card": "x".repeat(20_000) });
    assert_eq!(visit.post("/stock/reserve", "k", large).await, Err(413));
    assert_eq!(visit.shop.books(), Books::default());
}

#[tokio::test]
async fn the_books_can_be_read_over_http() {
    let visit = Visit::start().await;
    visit.go("a", &["/payment/charge"]).await;
    let url = format!("{}/books", visit.shop.url());
    let output = visit.send("k", json!({ "url": url })).await.unwrap();
    assert_eq!(
        output.value()["body"],
        json!({
            "orders": { "a": { "payment": { "done": 1, "undone": 0 } } },
            "repeats": 0,
            "entries": [{
                "sequence": 1, "order_id": "a", "service": "payment", "turn": "done",
                "key": "a/payment/charge",
            }],
        })
    );
}
