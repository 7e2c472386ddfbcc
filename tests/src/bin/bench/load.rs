//! The closed loop: so many clients, each of which asks again once it is answered.
//!
//! Knows nothing of what is asked.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::figures::Measured;

/// How long a measurement takes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// What is done and not counted, first.
    pub warm_up: Duration,
    /// What is counted.
    pub window: Duration,
}

/// One asker.
pub trait Client: Send + 'static {
    /// Asks once and waits for the answer.
    fn once(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// When the window opens and when it closes.
#[derive(Debug, Clone, Copy)]
struct Window {
    opens: Instant,
    closes: Instant,
}

/// Answers that came inside the window, in microseconds each, and how many came in all.
#[derive(Debug, Default)]
struct Answers {
    took_us: Vec<u32>,
    total: u64,
}

/// Runs all clients until the window closes. What is under way then is waited for and not
/// counted, so that nothing is left behind for the next measurement; but a client that got no
/// answer in the whole window counts its first one, however late, so that no figure is empty.
///
/// # Errors
/// Of the first client that failed.
pub async fn closed_loop<C: Client>(clients: Vec<C>, pace: Pace) -> Result<Measured, String> {
    let opens = Instant::now() + pace.warm_up;
    let window = Window { opens, closes: opens + pace.window };
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(ask_until_closed(client, window));
    }
    let mut all = Answers::default();
    while let Some(ended) = tasks.join_next().await {
        let own = ended.map_err(|error| error.to_string())??;
        all.took_us.extend(own.took_us);
        all.total += own.total;
    }
    Ok(Measured::of(all.took_us, all.total, pace.window))
}

async fn ask_until_closed(mut client: impl Client, window: Window) -> Result<Answers, String> {
    let mut answers = Answers::default();
    loop {
        let asked = Instant::now();
        if asked >= window.closes && !answers.took_us.is_empty() {
            return Ok(answers);
        }
        client.once().await?;
        let answered = Instant::now();
        answers.total += 1;
        if answered >= window.opens && (answered < window.closes || answers.took_us.is_empty()) {
            answers.took_us.push(micros(answered - asked));
        }
    }
}

/// The same loop without a runtime, for one asker that blocks.
///
/// # Errors
/// Of the asker.
pub fn blocking_loop(
    pace: Pace,
    mut once: impl FnMut() -> Result<(), String>,
) -> Result<Measured, String> {
    let opens = Instant::now() + pace.warm_up;
    let closes = opens + pace.window;
    let mut answers = Answers::default();
    loop {
        let asked = Instant::now();
        if asked >= closes && !answers.took_us.is_empty() {
            return Ok(Measured::of(answers.took_us, answers.total, pace.window));
        }
        once()?;
        let answered = Instant::now();
        answers.total += 1;
        if answered >= opens && (answered < closes || answers.took_us.is_empty()) {
            answers.took_us.push(micros(answered - asked));
        }
    }
}

/// A time in microseconds, as long as it is under an hour.
pub fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
