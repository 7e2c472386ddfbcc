//! The whole, killed at random moments: a real server process, a real shop over HTTP, clients
//! that go on, and the shop's books as the witness.
//!
//! Each round starts the server on the same data directory, lets clients submit orders and
//! kills it with SIGKILL after up to 400 ms, some rounds while it still opens. What is drawn
//! comes from a seed, which is printed: `BACKSTITCH_SEED=n` repeats the choices, though not
//! the moments within the server at which they strike.

mod breakers;
mod cached;
mod checked;
mod children;
mod clients;
mod controlled;
mod faults;
mod keyed;
mod letters;
mod loops;
mod orders;
mod payloads;
mod redriven;
pub mod replayed;
mod savepoint;
mod scene;
mod syncs;
mod transfer;
mod turns;
mod undone;
mod verdict;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backstitch_api::demo::shop::{Shop, ShopConfig};
use backstitch_tests::binaries;
use backstitch_tests::http::{Connection, request};
use backstitch_tests::server::Server;
use tokio::task::JoinSet;

use clients::{Desk, ServerGone};

use crate::simulation::random::Random;

/// Kills of every test run.
const KILLS: u32 = 10;
/// Kills of the long run.
const KILLS_TORTURE: u32 = 200;
/// Clients at once.
const CLIENTS: usize = 8;
/// New orders of one round.
const ORDERS_PER_ROUND: u64 = 100;
/// A server that took work is killed within so many milliseconds.
const KILL_WITHIN_MS: u64 = 400;
/// A server that opens is killed within so many milliseconds.
const KILL_OPENING_WITHIN_MS: u64 = 40;
/// Of a hundred rounds, so many kill the server while it opens.
const KILLED_OPENING_PERCENT: u64 = 20;

#[test]
fn ten_kills() {
    live(KILLS);
}

#[test]
fn torture_two_hundred_kills() {
    if std::env::var_os("BACKSTITCH_TORTURE").is_none() {
        eprintln!("skipped: the long run wants BACKSTITCH_TORTURE=1 (`make torture`)");
        return;
    }
    live(KILLS_TORTURE);
}

fn live(kills: u32) {
    let given = std::env::var("BACKSTITCH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| getrandom::u64().expect("the system gives randomness"));
    eprintln!("seed {seed}: BACKSTITCH_SEED={seed} repeats its choices");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(async {
        let mut life = Life::begin(seed).await;
        for _ in 0..kills {
            life.round().await;
        }
        life.end(kills).await;
    });
}

/// One data directory and all that happens to it.
struct Life {
    random: Random,
    folder: tempfile::TempDir,
    shop: Shop,
    desk: Arc<Desk>,
    killed_opening: u32,
    torn_tails: u32,
    /// Runs under way when a kill struck, over all kills.
    struck: u64,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let shop = Shop::start(ShopConfig::default()).await.expect("the shop opens");
        let desk = Arc::new(Desk::new(seed, shop.url()));
        let folder = tempfile::tempdir().expect("a folder for the data");
        let random = Random::new(seed);
        Self { random, folder, shop, desk, killed_opening: 0, torn_tails: 0, struck: 0 }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Server {
        let program = Command::new(binaries::backstitch());
        let words = self.folder.path().join("server.log");
        Server::spawn(program, &self.data_dir(), &words).expect("the server starts")
    }

    async fn started(&mut self) -> Server {
        let mut server = self.start();
        server.ready().await.unwrap_or_else(|error| panic!("after a kill, {error}"));
        let mut connection = Connection::open(server.address()).await.expect("it is ready");
        let info = clients::get(&mut connection, "/info").await;
        self.struck += info["recovered"]["live"].as_u64().expect("a count of runs");
        server
    }

    /// Starts, lets clients in, kills, and checks the log.
    async fn round(&mut self) {
        let mut clients = JoinSet::new();
        let server = if self.random.chance(KILLED_OPENING_PERCENT) {
            self.killed_opening += 1;
            let server = self.start();
            self.wait_to_kill(KILL_OPENING_WITHIN_MS).await;
            server
        } else {
            let server = self.started().await;
            self.desk.open_for(ORDERS_PER_ROUND);
            for _ in 0..CLIENTS {
                clients.spawn(visit(self.desk.clone(), server.address()));
            }
            self.wait_to_kill(KILL_WITHIN_MS).await;
            server
        };
        server.kill().expect("a child of ours can be killed");
        while let Some(ended) = clients.join_next().await {
            // Most clients find the server gone: that is the point.
            drop(ended.expect("no client panics"));
        }
        self.verify();
    }

    /// The moment of the kill is drawn: this is the fault, not a wait for something.
    async fn wait_to_kill(&mut self, within_ms: u64) {
        let moment = Duration::from_micros(self.random.below(within_ms * 1_000));
        tokio::time::sleep(moment).await;
    }

    /// Every byte of the log is right, whatever the kill left behind it.
    fn verify(&mut self) {
        if !self.data_dir().join("identity").exists() {
            return; // Killed before the directory was made: nothing was acknowledged.
        }
        let report = backstitch_journal::verify(self.data_dir()).expect("the log can be read");
        assert!(report.ok, "after a kill: {:#?}", report.problems);
        self.torn_tails += u32::from(report.torn_tail.is_some());
    }

    /// Starts once more, lets everything end, and looks at what was left.
    async fn end(mut self, kills: u32) {
        let server = self.started().await;
        visit(self.desk.clone(), server.address()).await.expect("nobody kills the server now");
        let mut connection = Connection::open(server.address()).await.expect("the server is up");
        verdict::wait_until_all_ended(&mut connection).await;
        let shown = verdict::judge(&mut connection, &self.desk, &self.shop.books()).await;
        server.kill().expect("a child of ours can be killed");
        self.verify();
        replayed::compare(&self.data_dir(), &shown);
        let told = self.desk.told();
        eprintln!(
            "{kills} kills ({} while it opened; {} torn tails; {} runs struck under way): {} runs, \
             {} acknowledged, {} never answered, {} asked for twice",
            self.killed_opening,
            self.torn_tails,
            self.struck,
            shown.len(),
            told.acknowledged.len(),
            told.unknown.len(),
            told.repeats,
        );
        assert!(!told.acknowledged.is_empty(), "no order came through");
        assert!(self.struck > 0, "no kill struck a run under way");
    }
}

/// A client's visit: the workflow may not be there yet, so it is defined first.
async fn visit(desk: Arc<Desk>, address: SocketAddr) -> Result<(), ServerGone> {
    let mut connection = Connection::open(address).await.map_err(|_| ServerGone)?;
    let headers = [("content-type", "application/yaml")];
    let define = request("POST", "/api/v1/workflows", &headers, workflow().as_bytes());
    let answer = connection.send(&define).await.map_err(|_| ServerGone)?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(matches!(answer.status, 200 | 201), "defining: {} {said}", answer.status);
    desk.submit_all(address).await
}

/// The example, with retries that are over soon and outlast every kill.
fn workflow() -> String {
    let text = include_str!("../../../examples/order-saga.yaml");
    let retry = "backoff: exponential, initial: 100ms, max: 2s";
    let hasty = "backoff: exponential, initial: 5ms, max: 50ms";
    let many =
        [("max_attempts: 8,", "max_attempts: 60,"), ("max_attempts: 20,", "max_attempts: 60,")];
    let text = text.replace(retry, hasty);
    let text = many.iter().fold(text, |text, (few, many)| text.replace(few, many));
    assert_eq!(text.matches(&format!("max_attempts: 60, {hasty}")).count(), 4, "{text}");
    text
}
