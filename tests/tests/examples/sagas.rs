//! Every example that is a saga, under every fault of `backstitch test`, against real services
//! over HTTP: each step fails, acts and then fails, and is called twice, each undo is called twice,
//! and a real process is killed at each journal position. The services' books balance every time.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::{Json, Router};
use backstitch_api::demo::shop::{Shop, ShopConfig};
use backstitch_tests::binaries;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The hosts that examples name; all of them are one service here.
const HOSTS: [&str; 6] = [
    "http://127.0.0.1:9000",
    "http://127.0.0.1:9001",
    "http://127.0.0.1:9002",
    "http://127.0.0.1:9003",
    "https://customers.example.com",
    "https://billing.example.com",
];

/// What services did, by idempotency key.
#[derive(Default)]
struct Books {
    /// The path of what was done.
    done: BTreeMap<String, String>,
    /// Keys of what was taken back.
    undone: BTreeSet<String>,
}

type Shared = Arc<Mutex<Books>>;

fn books(shared: &Shared) -> MutexGuard<'_, Books> {
    shared.lock().expect("no thread panicked")
}

/// How often what each path did still stands.
fn balance(books: &Books) -> Value {
    let mut standing: BTreeMap<&str, u64> = BTreeMap::new();
    for (key, path) in &books.done {
        *standing.entry(path).or_default() += u64::from(!books.undone.contains(key));
    }
    json!(standing)
}

/// What changes something does so once for each key; what reads does nothing.
async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    if (method.as_str(), uri.path()) == ("GET", "/payments") {
        let key = uri.query().and_then(|query| query.strip_prefix("key=")).unwrap_or_default();
        let found = books(&shared).done.contains_key(&key.replace("%2F", "/"));
        let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
        return (status, Json(json!({ "id": "id-1" })));
    }
    if method == Method::GET {
        let customers = json!([
            { "id": "a", "amount": 5 }, { "id": "b", "amount": 0 }, { "id": "c", "amount": 7 }
        ]);
        let answer = match uri.path() {
            "/balance" => balance(&books(&shared)),
            _ => json!({ "customers": customers }),
        };
        return (StatusCode::OK, Json(answer));
    }
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = key.expect("every effect has a key");
    let mut books = books(&shared);
    match key.strip_suffix("/undo") {
        // What was never done can't be taken back, and is never done any more.
        Some(done) => drop(books.undone.insert(done.to_owned())),
        None => drop(books.done.entry(key.to_owned()).or_insert_with(|| uri.path().to_owned())),
    }
    (StatusCode::OK, Json(json!({ "id": "id-1", "charge_id": "ch-1", "seat": 17 })))
}

/// A service at every path, for as long as the runtime is there.
async fn service() -> (String, Shared) {
    let shared = Shared::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let router = Router::new().fallback(answer).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, shared)
}

/// An example whose hosts are the service, as a file in a folder.
fn example(folder: &tempfile::TempDir, name: &str, url: &str) -> String {
    let path = format!("{}/../examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    let text = HOSTS.iter().fold(text, |text, host| text.replace(host, url));
    let file = folder.path().join(format!("{name}.yaml"));
    std::fs::write(&file, text).expect("a file");
    file.to_str().expect("a path in UTF-8").to_owned()
}

fn tested(file: &str, arguments: &[&str]) -> (Output, Value) {
    let mut command = Command::new(binaries::backstitch());
    command.args(["test", file, "--every-fault", "--json"]).args(arguments);
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = serde_json::from_slice(&output.stdout);
    let told = told.unwrap_or_else(|why| panic!("{why}: {said}"));
    (output, told)
}

/// Statuses of runs, of those that met a kind of fault.
fn statuses<'a>(told: &'a Value, kind: &str) -> Vec<&'a str> {
    let runs = told["runs"].as_array().expect("a list").iter();
    let own = runs.filter(|run| run["fault"]["kind"] == kind && run["met"] == true);
    own.map(|run| run["status"].as_str().expect("a word")).collect()
}

/// Tests an example against the service; `calls` of its steps can meet a fault.
async fn balances(name: &str, also: &[&str], input: Value, calls: usize) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, shared) = service().await;
    let file = example(&folder, name, &url);
    let also: Vec<_> = also.iter().map(|name| example(&folder, name, &url)).collect();
    let (input, balance_url) = (input.to_string(), format!("{url}/balance"));
    let mut arguments = vec!["--input", &input, "--balance", &balance_url];
    also.iter().for_each(|file| arguments.extend(["--also", file]));
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let testing = tokio::task::spawn_blocking(move || {
        tested(&file, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let (output, told) = testing.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let left = |run: &&Value| run["left"].as_array().is_none_or(|left| !left.is_empty());
    let runs = told["runs"].as_array().expect("a list");
    let left: Vec<_> = runs.iter().filter(left).collect();
    assert!(output.status.success(), "{name}: {said} {left:#?}");
    assert_eq!(told["clean"], true, "{name}");
    assert_eq!(statuses(&told, "none"), ["completed"], "{name}");
    for kind in ["fails", "fails_late", "repeated"] {
        assert_eq!(statuses(&told, kind).len(), calls, "{name}, {kind}");
    }
    let killed = statuses(&told, "killed");
    for word in ["completed", "compensated"] {
        let number = killed.iter().filter(|status| **status == word).count();
        assert!(number >= 3, "{name} was killed {number} times in runs that are {word}");
    }
    assert!(!books(&shared).undone.is_empty(), "{name} never undid anything");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_balances() {
    let input = json!({ "order_id": "o-{{ run }}", "item": "x", "quantity": 1, "amount": 5 });
    let told = balances("order", &[], input, 3).await;
    assert_eq!(statuses(&told, "undo_repeated").len(), 3);
}

/// The refund needs what the payment answered: where nobody heard that, the bank is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_service_is_asked_balances() {
    balances("payment", &[], json!({ "guest": "ada", "amount": 5 }), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_of_two_runs_below_balances() {
    balances("trip", &["leg"], json!({ "from": "A", "to": "B" }), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_balances() {
    balances("leg", &[], json!({ "from": "A", "to": "B" }), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_with_a_savepoint_balances() {
    balances("savepoint", &[], json!({ "customer": "c" }), 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_balances() {
    balances("foreach", &[], json!({ "month": "2026-11" }), 2).await;
}

/// The shop of the demo keeps books of its own, by order.
#[tokio::test(flavor = "multi_thread")]
async fn the_shop_of_the_demo_balances() {
    let shop = Shop::start(ShopConfig::default()).await.expect("the shop opens");
    let file = format!("{}/../examples/order-saga.yaml", env!("CARGO_MANIFEST_DIR"));
    let input = json!({ "order_id": "o-{{ run }}", "amount": 5 }).to_string();
    let variables = json!({ "shop_url": shop.url() }).to_string();
    let testing = tokio::task::spawn_blocking(move || {
        tested(&file, &["--input", &input, "--variables", &variables])
    });
    let (output, told) = testing.await.expect("no panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let books = shop.books();
    let orders: Vec<_> = books.orders.keys().cloned().collect();
    assert_eq!(books.check(&orders), [], "the shop's books do not balance");
    assert_eq!(books.check_undo_order(), []);
    for run in told["runs"].as_array().expect("a list") {
        let order = format!("o-{}", run["number"]);
        assert_eq!(books.is_fulfilled(&order), run["status"] == "completed", "{order}: {run:#}");
    }
    assert!(books.repeats > 10, "kills and faults repeat calls");
}

/// A payment that was made although it failed is taken back before the run completes, the
/// order that was reserved stays.
#[tokio::test(flavor = "multi_thread")]
async fn handlers_leave_nothing_that_took_effect_and_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (url, shared) = service().await;
    let file = example(&folder, "handlers", &url);
    let input = json!({ "order": "o" }).to_string();
    let testing = tokio::task::spawn_blocking(move || tested(&file, &["--input", &input]));
    let (output, told) = testing.await.expect("no panic");
    assert_eq!((output.status.code(), &told["clean"]), (Some(0), &json!(true)), "{told:#}");
    let runs = told["runs"].as_array().expect("a list");
    let late = json!({ "kind": "fails_late", "step": "pay" });
    let late = runs.iter().find(|run| run["fault"] == late).expect("it is one of the faults");
    assert_eq!(late["status"], "completed");
    let key = format!("{}/pay/1", late["execution_id"].as_str().expect("an id"));
    let books = books(&shared);
    assert!(books.done.contains_key(&key) && books.undone.contains(&key), "pay acted for nothing");
}
