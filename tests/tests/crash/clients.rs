//! Clients that submit orders until the server dies under them, and remember what they were
//! told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use backstitch_tests::http::{Answer, Connection, request};
use serde_json::Value;

use super::orders::Order;

pub const JSON: (&str, &str) = ("content-type", "application/json");
/// How long a client that waits lets the server take.
const WAIT_SECONDS: u32 = 10;

/// What all clients of one life know.
#[derive(Debug)]
pub struct Desk {
    pub seed: u64,
    pub shop_url: String,
    books: Mutex<Told>,
}

/// What the clients were told, by order.
#[derive(Debug, Default)]
pub struct Told {
    /// Number of the next new order.
    next: u64,
    /// New orders that may still be drawn in this round.
    new_left: u64,
    /// Keyed orders whose submission was not answered: to be asked again.
    again: Vec<Order>,
    /// Orders without a key whose submission was not answered: they may or may not exist.
    pub unknown: BTreeMap<String, Order>,
    /// Orders whose submission was answered, with the id of their run.
    pub acknowledged: BTreeMap<String, (Order, String)>,
    /// Submissions made twice although the first was answered.
    pub repeats: u64,
}

/// Why a client stopped before its orders were all submitted.
#[derive(Debug)]
pub struct ServerGone;

impl Desk {
    pub fn new(seed: u64, shop_url: &str) -> Self {
        Self { seed, shop_url: shop_url.to_owned(), books: Mutex::default() }
    }

    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.books.lock().expect("no client panicked")
    }

    /// Lets so many new orders come in.
    pub fn open_for(&self, orders: u64) {
        self.told().new_left = orders;
    }

    /// The next order to submit: one that was not answered before, or else a new one.
    fn take(&self) -> Option<Order> {
        let mut told = self.told();
        if let Some(order) = told.again.pop() {
            return Some(order);
        }
        told.new_left = told.new_left.checked_sub(1)?;
        told.next += 1;
        Some(Order::draw(self.seed, told.next))
    }

    fn acknowledge(&self, order: &Order, run: &str) {
        let mut told = self.told();
        let known = told.acknowledged.insert(order.id.clone(), (order.clone(), run.to_owned()));
        if let Some((_, before)) = known {
            assert_eq!(before, run, "{} was given a second run", order.id);
            told.repeats += 1;
        }
    }

    fn unanswered(&self, order: Order) {
        let mut told = self.told();
        match order.keyed {
            true => told.again.push(order),
            false => drop(told.unknown.insert(order.id.clone(), order)),
        }
    }

    /// Submits orders until there are no more.
    ///
    /// # Errors
    /// The server went away; the order under way is remembered.
    pub async fn submit_all(self: Arc<Self>, address: SocketAddr) -> Result<(), ServerGone> {
        let mut connection = Connection::open(address).await.map_err(|_| ServerGone)?;
        while let Some(order) = self.take() {
            match self.submit(&mut connection, &order).await {
                Ok(run) => self.acknowledge(&order, &run),
                Err(ServerGone) => {
                    self.unanswered(order);
                    return Err(ServerGone);
                }
            }
            if order.keyed && order.repeats {
                let run = self.submit(&mut connection, &order).await?;
                self.acknowledge(&order, &run);
            }
        }
        Ok(())
    }

    /// Submits one order and answers the id of its run.
    pub async fn submit(
        &self,
        connection: &mut Connection,
        order: &Order,
    ) -> Result<String, ServerGone> {
        let wait_seconds = if order.waits { WAIT_SECONDS } else { 0 };
        let body = order.body(&self.shop_url, wait_seconds).to_string();
        let mut headers = vec![JSON];
        if order.keyed {
            headers.push(("idempotency-key", order.id.as_str()));
        }
        let path = "/api/v1/workflows/order-saga/execute";
        let bytes = request("POST", path, &headers, body.as_bytes());
        let answer = connection.send(&bytes).await.map_err(|_| ServerGone)?;
        let said = read(&answer);
        assert!(matches!(answer.status, 200 | 202), "{}: {} {said}", order.id, answer.status);
        let run = said["execution_id"].as_str().expect("an acknowledgement names its run");
        Ok(run.to_owned())
    }
}

/// The JSON of an answer.
pub fn read(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).expect("every answer is JSON")
}

/// Asks what must be answered 200.
pub async fn get(connection: &mut Connection, path: &str) -> Value {
    let answer = connection.send(&request("GET", path, &[], b"")).await;
    let answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
    let said = read(&answer);
    assert_eq!(answer.status, 200, "GET {path}: {said}");
    said
}
