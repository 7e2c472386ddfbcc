//! What the four documents print of paths, fields, codes, metrics and settings, row by row of the
//! contract, asked of the real server.
//!
//! `rows.toml` has every row: those that are built, and those that come later with what they wait
//! for. A row that is built and not asked about fails, as does one that is asked about and is not
//! in the table. The requests are those of the documents but for ids and hosts; the answers have
//! every field that is printed, with its type, and are what the OpenAPI document says of them.
//!
//! `cargo test -p backstitch-tests --test main -- conformance --nocapture` prints the rows.

#[path = "../../../api/tests/api/description/answers.rs"]
mod answers;
mod ecosystem;
mod guarded;
mod lint;
mod names;
mod omnihub;
mod report;
mod settings;
mod swarmguard;
mod unified;

use std::net::SocketAddr;
use std::process::Command;

use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use report::Report;

/// Questions until something that follows has to be there; each waits for the server.
const QUESTIONS_MAX: usize = 100_000;

/// A WebSocket to the server.
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server on an empty directory.
struct Scene {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn open() -> Self {
        Self::open_as(Command::new(binaries::backstitch())).await
    }

    /// The same as a program that is set up already.
    async fn open_as(program: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (data, words) = (folder.path().join("data"), folder.path().join("words"));
        let mut server = Server::spawn(program, &data, &words).expect("the server can be started");
        server.ready().await.expect("the server opens its journal");
        Self { server, _folder: folder }
    }

    fn at(&self) -> SocketAddr {
        self.server.address()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "").await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("POST", path, &body).await
    }

    /// Sends a body byte for byte; an answer that is no JSON is a text.
    async fn send(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.send_with(&[], method, path, body).await
    }

    /// The same as another format than JSON.
    async fn send_yaml(&self, path: &str, body: &str) -> (u16, Value) {
        self.exchange(&[("content-type", "application/yaml")], "POST", path, body).await
    }

    /// The same with more headers.
    async fn send_with(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, Value) {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.exchange(&headers, method, path, body).await
    }

    async fn exchange(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, Value) {
        let request = request(method, path, headers, body.as_bytes());
        let mut connection = Connection::open(self.at()).await.expect("the server listens");
        let answer = connection.send(&request).await.expect("the server answers");
        let text = String::from_utf8(answer.body).expect("it answers text");
        let Ok(told) = serde_json::from_str(&text) else {
            return (answer.status, Value::String(text));
        };
        let path = path.split('?').next().unwrap_or_default();
        answers::check(method, path, (answer.status, "application/json"), &told);
        (answer.status, told)
    }

    async fn socket(&self, path: &str) -> Socket {
        let url = format!("ws://{}{path}", self.at());
        tokio_tungstenite::connect_async(url).await.expect("a WebSocket").0
    }

    /// Asks until an answer is as wanted; the last one if it never is.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut told = Value::Null;
        for _ in 0..QUESTIONS_MAX {
            told = self.get(path).await.1;
            if wanted(&told) {
                break;
            }
        }
        told
    }
}

/// What a document prints, byte for byte.
fn printed_text(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let read = |kind: &str| std::fs::read_to_string(format!("{folder}/{kind}/{name}"));
    read("printed").or_else(|_| read("seeds")).expect("the fixture is there")
}

fn printed(name: &str) -> Value {
    serde_json::from_str(&printed_text(name)).expect("the document prints JSON")
}

/// The code of an error.
fn code(told: &Value) -> &str {
    told["error_code"].as_str().unwrap_or_default()
}

#[test]
fn the_documents_are_answered_as_printed_row_by_row() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let mut report = Report::default();
    runtime.block_on(async {
        let scene = Scene::open().await;
        unified::ask(&scene, &mut report).await;
        omnihub::ask(&scene, &mut report).await;
        ecosystem::ask(&scene, &mut report).await;
        swarmguard::ask(&scene, &mut report).await;
        names::ask(&scene, &mut report).await;
        settings::ask(&mut report).await;
        guarded::ask(&mut report).await;
    });
    let problems = report.problems(include_str!("rows.toml"));
    println!("{}", report.told(include_str!("rows.toml")));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
