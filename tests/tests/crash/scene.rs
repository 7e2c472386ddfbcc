//! What several of these tests are played with: a server on a folder, requests that must be
//! taken, and a service that keeps books.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::Value;

use super::clients::{JSON, read};

/// A server on the folder, ready.
pub async fn start(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let mut program = Command::new(binaries::backstitch());
    program.envs(settings.iter().copied());
    let words = folder.join("server.log");
    let mut server = Server::spawn(program, &folder.join("data"), &words).expect("it starts");
    server.ready().await.expect("it is ready");
    server
}

/// The same, with a connection to it.
pub async fn start_connected(folder: &Path, settings: &[(&str, &str)]) -> (Server, Connection) {
    let server = start(folder, settings).await;
    let connection = Connection::open(server.address()).await.expect("it is up");
    (server, connection)
}

/// Asks what must be taken.
pub async fn send(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Value {
    let bytes = body.to_string();
    let answer = connection.send(&request(method, path, &[JSON], bytes.as_bytes())).await;
    let answer = answer.expect("it is up");
    assert!(answer.status < 300, "{method} {path}: {}", read(&answer));
    read(&answer)
}

/// Serves on a free port for as long as the runtime is there; answers the URL.
pub async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    url
}

/// What a service was asked for, by idempotency key.
#[derive(Default)]
pub struct Books {
    pub done: BTreeSet<String>,
    pub undone: BTreeSet<String>,
    /// How often it was asked to do something.
    pub calls: usize,
}

pub type Shared = Arc<Mutex<Books>>;

fn key(headers: &HeaderMap) -> String {
    let key = headers.get("idempotency-key").expect("every effect has a key");
    key.to_str().expect("a text").to_owned()
}

async fn done(State(books): State<Shared>, headers: HeaderMap) -> &'static str {
    let mut books = books.lock().expect("no panic");
    books.done.insert(key(&headers));
    books.calls += 1;
    "{}"
}

async fn undone(State(books): State<Shared>, headers: HeaderMap) -> &'static str {
    books.lock().expect("no panic").undone.insert(key(&headers));
    "{}"
}

/// A service at `/do`, `/undo` and `/refuse`.
pub async fn bookkeeper() -> (String, Shared) {
    let books = Shared::default();
    let router = Router::new()
        .route("/do", post(done))
        .route("/undo", post(undone))
        .route("/refuse", post(|| std::future::ready(StatusCode::CONFLICT)))
        .with_state(books.clone());
    (serve(router).await, books)
}
