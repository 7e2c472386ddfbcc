//! Reads beside submissions, over HTTP: many connections that each submit and read in turn, at a
//! steady rate in all, whatever the answers take.

use std::time::{Duration, Instant};

use backstitch_tests::http::{Answer, Connection, request};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::figures::Measured;
use crate::load::micros;
use crate::over_http::{JSON, OverHttp};
use crate::workflow;

/// How much is asked for, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub connections: usize,
    /// Runs submitted a second, by all connections together.
    pub submissions: usize,
    /// Answers read a second, by all connections together.
    pub reads: usize,
    /// What is done and not counted, first.
    pub warm_up: Duration,
    /// What is counted; longer if the rate does not hold.
    pub window: Duration,
}

/// The numbers that are promised.
pub const FULL: Sizes = Sizes {
    connections: 256,
    submissions: 2_000,
    reads: 1_000,
    warm_up: Duration::from_secs(10),
    window: Duration::from_secs(50),
};
/// A smoke run's.
pub const QUICK: Sizes = Sizes {
    connections: 8,
    submissions: 200,
    reads: 100,
    warm_up: Duration::from_millis(50),
    window: Duration::from_millis(300),
};

/// The reads and the submissions.
///
/// # Errors
/// Of the server's start. What goes wrong later is counted.
pub async fn measure(server: &OverHttp, sizes: Sizes) -> Result<[Measured; 2], String> {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..sizes.connections {
        let connection = server.connect().await?;
        clients.spawn(Client::new(connection, number).ask(begun, sizes));
    }
    tokio::time::sleep_until((begun + sizes.warm_up).into()).await;
    let warm_mib = server.resident_mib();
    let mut all = Seen::default();
    while let Some(ended) = clients.join_next().await {
        let own = ended.map_err(|error| error.to_string())?;
        all.reads_us.extend(own.reads_us);
        all.submissions_us.extend(own.submissions_us);
        all.errors += own.errors;
        all.late_us_max = all.late_us_max.max(own.late_us_max);
    }
    let (end_mib, window) = (server.resident_mib(), begun.elapsed() - sizes.warm_up);
    let of = |took_us: Vec<u32>| {
        let total = took_us.len() as u64;
        let mut measured = Measured::of(took_us, total, window);
        let extra = [
            ("errors", all.errors as f64),
            ("late_ms_max", f64::from(all.late_us_max) / 1_000.0),
            ("server_mib_warm", warm_mib),
            ("server_mib_end", end_mib),
        ];
        measured.extra.extend(extra);
        measured
    };
    Ok([of(all.reads_us), of(all.submissions_us)])
}

/// What a client saw once it was warm.
#[derive(Default)]
struct Seen {
    reads_us: Vec<u32>,
    submissions_us: Vec<u32>,
    /// Answers other than those asked for, and connections that broke.
    errors: u64,
    /// How long behind its instant a request was sent: it waited for the answer before.
    late_us_max: u32,
}

struct Client {
    connection: Connection,
    number: usize,
    /// The run it submitted last.
    run: Option<String>,
    seen: Seen,
}

impl Client {
    fn new(connection: Connection, number: usize) -> Self {
        Self { connection, number, run: None, seen: Seen::default() }
    }

    /// Sends each request at its instant, or as soon as the one before is answered, so that the rate
    /// holds behind a stall.
    async fn ask(mut self, begun: Instant, sizes: Sizes) -> Seen {
        let (each, ends) = (sizes.submissions + sizes.reads, begun + sizes.warm_up + sizes.window);
        for turn in 0.. {
            let place = (turn * sizes.connections + self.number) as f64;
            let due = begun + Duration::from_secs_f64(place / each as f64);
            if due >= ends {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            let sent = Instant::now();
            // Spread over the turns, and over the connections within a turn.
            let at = turn + self.number;
            let reads = (at + 1) * sizes.reads / each > at * sizes.reads / each;
            let asked = if reads { self.read(at).await } else { self.submit().await };
            if asked.is_err() {
                self.seen.errors += 1;
                break;
            }
            if due < begun + sizes.warm_up {
                continue;
            }
            let took_us =
                if reads { &mut self.seen.reads_us } else { &mut self.seen.submissions_us };
            took_us.push(micros(sent.elapsed()));
            self.seen.late_us_max = self.seen.late_us_max.max(micros(sent - due));
        }
        self.seen
    }

    async fn submit(&mut self) -> Result<(), String> {
        let path = format!("/api/v1/workflows/{}/execute", workflow::id(1));
        let answer = self.send(&request("POST", &path, &[JSON], b"{}"), 202).await?;
        let told: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        self.run = told["execution_id"].as_str().map(str::to_owned);
        Ok(())
    }

    async fn read(&mut self, turn: usize) -> Result<(), String> {
        let workflow = workflow::id(1);
        let run = self.run.as_ref().map(|run| format!("/api/v1/executions/{run}"));
        let path = match (turn % 7, run) {
            (0, Some(run)) => run,
            (1, Some(run)) => format!("{run}/events"),
            (2, Some(run)) => format!("{run}/why"),
            (3, _) => format!("/api/v1/executions?workflow_id={workflow}&status=completed"),
            (4, _) => format!("/api/v1/workflows/{workflow}/statistics"),
            (5, _) => "/api/v1/dlq".to_owned(),
            _ => "/api/v1/executions".to_owned(),
        };
        self.send(&request("GET", &path, &[], b""), 200).await.map(drop)
    }

    async fn send(&mut self, bytes: &[u8], status: u16) -> Result<Answer, String> {
        let answer = self.connection.send(bytes).await.map_err(|error| error.to_string())?;
        match answer.status == status {
            true => Ok(answer),
            false => Err(format!("answered {}", answer.status)),
        }
    }
}
