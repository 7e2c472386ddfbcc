//! The log, sent to a collector: lines of JSON, in batches, while whoever logs goes on.
//!
//! A thread of its own sends, and nothing that is logged there goes anywhere: it would be sent, and
//! be logged again. What there is no room for is counted and left out.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::subscriber::NoSubscriber;

use crate::courier::{Courier, Limits, Queue, Reason};
use crate::error::Error;
use crate::settings::LogCollector;

/// Lines that the collector has taken.
pub const SENT: &str = "backstitch_log_lines_sent_total";
/// Lines that it did not get, by `reason`: `full`, `refused` or `unreachable`.
pub const DROPPED: &str = "backstitch_log_lines_dropped_total";

const LIMITS: Limits = Limits {
    entries_max: 16_384,
    bytes_max: 8 * 1024 * 1024,
    batch_entries_max: 512,
    batch_bytes_max: 1024 * 1024,
    wait: Duration::from_secs(1),
};
/// How long lines may still be sent once the program ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// One object a line.
const MEDIA_TYPE: &str = "application/x-ndjson";

/// How the log tells that its lines are not sent: the collector, and why.
pub(super) type Tell = fn(&str, &str);

/// Sends lines to a collector.
#[derive(Debug)]
pub(super) struct Collector {
    queue: Arc<Queue<Arc<str>>>,
    /// Heard from once all was sent.
    ended: Mutex<Receiver<()>>,
}

/// Tells the recorder what each name means.
pub(crate) fn describe() {
    metrics::describe_counter!(SENT, "lines of the log that the collector has taken");
    metrics::describe_counter!(DROPPED, "lines of the log that the collector did not get");
}

fn dropped(lines: usize, reason: Reason) {
    metrics::counter!(DROPPED, "reason" => reason.word()).increment(lines as u64);
}

impl Collector {
    /// Begins to send.
    ///
    /// # Errors
    /// [`Error::Failed`] and [`Error::Io`] if nobody can.
    pub(super) fn begin(settings: &LogCollector, tell: Tell) -> Result<Self, Error> {
        let (url, headers) = (settings.url.clone(), settings.headers.headers());
        let courier = Courier::new(url, headers, MEDIA_TYPE)?;
        let queue = Arc::new(Queue::new(LIMITS));
        let (end, ended) = sync_channel(1);
        let sender = Sender { courier, queue: queue.clone(), tell, is_silent: false };
        thread::Builder::new()
            .name("log-collector".to_owned())
            .spawn(move || run(sender, &end))
            .map_err(Error::io("starting a thread for the log's collector"))?;
        Ok(Self { queue, ended: Mutex::new(ended) })
    }

    /// Takes a line, if there is room.
    pub(super) fn take(&self, line: Arc<str>) {
        if !self.queue.put(line) {
            dropped(1, Reason::Full);
        }
    }

    /// Waits until all was sent, and not long.
    pub(super) fn finish(&self) {
        self.queue.close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(LAST_WORDS).is_err() {
            dropped(self.queue.len(), Reason::Unreachable);
        }
    }
}

fn run(sender: Sender, end: &SyncSender<()>) {
    let _silence = tracing::subscriber::set_default(NoSubscriber::default());
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(sender.run()),
        Err(error) => (sender.tell)(&sender.courier.collector(), &error.to_string()),
    }
    // Whoever waited for it may have gone.
    end.send(()).unwrap_or_default();
}

struct Sender {
    courier: Courier,
    queue: Arc<Queue<Arc<str>>>,
    tell: Tell,
    /// Whether it was told that lines are not sent.
    is_silent: bool,
}

impl Sender {
    async fn run(mut self) {
        while let Some(batch) = self.queue.batch().await {
            let lines = batch.entries.len();
            let mut body = String::new();
            for line in batch.entries {
                body.push_str(&line);
                body.push('\n');
            }
            match self.courier.deliver(&body).await {
                Ok(_) => {
                    self.is_silent = false;
                    metrics::counter!(SENT).increment(lines as u64);
                }
                Err((reason, why)) => {
                    dropped(lines, reason);
                    // Once, and not for every batch: it may be away for hours.
                    if !std::mem::replace(&mut self.is_silent, true) {
                        (self.tell)(&self.courier.collector(), &why);
                    }
                }
            }
        }
    }
}
