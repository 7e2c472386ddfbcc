//! Follows the runs of all orders at once and prints what happens to them.

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::terminal::{Terminal, Tone};
use crate::timeline::{Line, Timeline};

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
            let mut lines = Vec::new();
            for one in followed.iter_mut().filter(|one| !one.is_ended()) {
                look(client, one, &mut lines).await?;
            }
            lines.sort_by(|(_, one), (_, other)| one.time.cmp(&other.time));
            for (order, line) in lines {
                let time = terminal.paint(Tone::Faint, &line.time);
                let words = terminal.paint(line.tone, &line.words);
                terminal.line(&format!("   {time}  {order}  {:<12}  {words}", line.subject))?;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    };
    let late = |_| Error::Failed("the orders took too long".to_owned());
    tokio::time::timeout(STAGE_TIMEOUT, watch).await.map_err(late)?
}

/// Gathers what is new of one order.
async fn look(
    client: &Client,
    one: &mut Followed,
    lines: &mut Vec<(String, Line)>,
) -> Result<(), Error> {
    for event in client.events(&one.run, one.timeline.version()).await? {
        let line = one.timeline.read(&event);
        // What merely begins is told by its end.
        lines.extend(
            line.filter(|line| line.tone != Tone::Faint).map(|line| (one.order.id.clone(), line)),
        );
    }
    Ok(())
}
