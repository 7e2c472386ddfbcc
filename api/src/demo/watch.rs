//! Follows the runs of all orders at once and prints what happens to them.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;

use super::orders::Order;

/// How often the orchestrator is asked what is new.
const POLL_INTERVAL: Duration = Duration::from_millis(60);
/// How long a stage of the demo may take before it is given up.
const STAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// An order and its run.
#[derive(Debug)]
pub(super) struct Followed {
    /// The order.
    pub(super) order: Order,
    /// Its run's id.
    pub(super) run: String,
    /// What has been seen of it.
    pub(super) timeline: Timeline,
}

impl Followed {
    /// Whether the run has its final word.
    pub(super) fn is_ended(&self) -> bool {
        self.timeline.ended().is_some()
    }
}

/// Prints what happens until `enough` says so.
pub(super) async fn until(
    client: &Client,
    terminal: &Terminal,
    followed: &mut [Followed],
    enough: impl Fn(&[Followed]) -> bool,
) -> Result<(), Error> {
    let watch = async {
        while !enough(followed) {
            for one in followed.iter_mut().filter(|one| !one.is_ended()) {
                look(client, terminal, one).await?;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    };
    let late = |_| Error::Failed("the orders took too long".to_owned());
    tokio::time::timeout(STAGE_TIMEOUT, watch).await.map_err(late)?
}

async fn look(client: &Client, terminal: &Terminal, one: &mut Followed) -> Result<(), Error> {
    for event in client.events(&one.run, one.timeline.version()).await? {
        let line = one.timeline.read(&event);
        // What merely begins is told by its end.
        let Some(line) = line.filter(|line| line.tone != Tone::Faint) else { continue };
        let time = terminal.paint(Tone::Faint, &line.time);
        let words = terminal.paint(line.tone, &line.words);
        terminal.line(&format!("   {time}  {}  {:<12}  {words}", one.order.id, line.subject))?;
    }
    Ok(())
}
