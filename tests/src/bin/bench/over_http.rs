//! Runs over HTTP: the real server as a process of its own, as users have it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use backstitch_tests::binaries;
use backstitch_tests::http::{Answer, Connection, request};
use backstitch_tests::process::{self, Usage};
use backstitch_tests::server::Server;
use serde_json::{Value, json};

use crate::figures::Measured;
use crate::load::{Client, Pace, closed_loop};
use crate::workflow;

/// The header of a body in JSON.
pub const JSON: (&str, &str) = ("content-type", "application/json");
/// How often a client reads the whole answer; the status of every answer says that it is one.
const LOOK_EVERY: u64 = 64;

/// A server under measurement.
pub struct OverHttp {
    server: Server,
}

impl OverHttp {
    /// Starts a server on an empty folder and defines the workflows.
    ///
    /// # Errors
    /// Of the server.
    pub async fn open(folder: &Path) -> Result<Self, String> {
        let program = Command::new(binaries::backstitch());
        let words = folder.with_extension("log");
        let mut server =
            Server::spawn(program, folder, &words).map_err(|error| error.to_string())?;
        server.ready().await.map_err(|error| error.to_string())?;
        let open = Self { server };
        for steps in workflow::STEPS {
            let body = workflow::definition(steps).to_string();
            let define = request("POST", "/api/v1/workflows", &[JSON], body.as_bytes());
            let answer = open.ask(&define).await?;
            if answer.status != 201 {
                let said = String::from_utf8_lossy(&answer.body);
                return Err(format!("defining was answered {}: {said}", answer.status));
            }
        }
        Ok(open)
    }

    /// The closed loop of runs.
    ///
    /// # Errors
    /// Of a run.
    pub async fn measure(
        &self,
        steps: usize,
        concurrency: usize,
        pace: Pace,
    ) -> Result<Measured, String> {
        let path = format!("/api/v1/workflows/{}/execute", workflow::id(steps));
        let body = json!({ "wait_seconds": workflow::WAIT_SECONDS }).to_string();
        let bytes = request("POST", &path, &[JSON], body.as_bytes());
        let mut clients = Vec::with_capacity(concurrency);
        for _ in 0..concurrency {
            let connection = self.connect().await?;
            clients.push(Executes { connection, bytes: bytes.clone(), asked: 0 });
        }
        let before = self.used().await?;
        let mut measured = closed_loop(clients, pace).await?;
        let after = self.used().await?;
        let cpu = |of: fn(&Used) -> Usage| (of(&after).cpu - of(&before).cpu).as_micros() as f64;
        measured.each("syncs_per_run", after.syncs - before.syncs);
        measured.each("server_cpu_us_per_run", cpu(|used| used.server));
        measured.each("generator_cpu_us_per_run", cpu(|used| used.generator));
        measured.extra.insert("server_rss_mib", self.resident_mib());
        Ok(measured)
    }

    /// What the server holds.
    pub fn resident_mib(&self) -> f64 {
        process::usage(self.server.process_id()).resident_bytes as f64 / 1_048_576.0
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    async fn used(&self) -> Result<Used, String> {
        let answer = self.ask(&request("GET", "/info", &[], b"")).await?;
        let info: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        let syncs = info["journal"]["syncs"].as_f64();
        Ok(Used {
            syncs: syncs.ok_or_else(|| format!("/info does not tell journal.syncs: {info}"))?,
            server: process::usage(self.server.process_id()),
            generator: process::usage(std::process::id()),
        })
    }

    async fn ask(&self, bytes: &[u8]) -> Result<Answer, String> {
        self.connect().await?.send(bytes).await.map_err(|error| error.to_string())
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(&self) -> Result<Connection, String> {
        Connection::open(self.server.address()).await.map_err(|error| error.to_string())
    }
}

/// What was used so far.
struct Used {
    syncs: f64,
    server: Usage,
    generator: Usage,
}

struct Executes {
    connection: Connection,
    bytes: Vec<u8>,
    asked: u64,
}

impl Client for Executes {
    async fn once(&mut self) -> Result<(), String> {
        let answer = self.connection.send(&self.bytes).await.map_err(|error| error.to_string())?;
        let look = self.asked.is_multiple_of(LOOK_EVERY);
        self.asked += 1;
        // 200 is the answer to a run that has ended, and these can only complete.
        if answer.status == 200 && (!look || is_completed(&answer.body)) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.body);
        Err(format!("a run was answered {}: {said}", answer.status))
    }
}

fn is_completed(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|run: Value| run["status"] == "completed")
}
