//! What `backstitch demo` shows, and the shop it shows it with.
//!
//! A shop in this process, the orchestrator in another one; orders of which some fail; a
//! `kill -9` halfway; and the shop's books at the end, which must balance.

mod orders;
mod outcome;
pub mod shop;
mod watch;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::error::Error;
use crate::orchestrator::{Orchestrator, Setup};
use crate::signals::Signals;
use crate::terminal::{Terminal, Tone};
use crate::timeline::Timeline;
use shop::{Shop, ShopConfig};
use watch::Followed;

/// The workflow of the orders, as it is in the examples.
const WORKFLOW: &str = include_str!("../../../examples/order-saga.yaml");
/// How long each service of the shop takes to answer.
const SHOP_LATENCY: Duration = Duration::from_millis(40);
/// Orders that have ended when the orchestrator is killed.
const ENDED_BEFORE_KILL: usize = 4;
/// Orders under way when it is killed.
const UNDER_WAY_AT_KILL: usize = 3;

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// End after the check instead of staying up
    #[arg(long)]
    pub exit: bool,
    /// Keep the journal and the log at the end, for replay-tool
    #[arg(long)]
    pub keep: bool,
}

/// Runs the demo.
///
/// # Errors
/// [`Error::Failed`] when the books do not balance, and whatever kept it from being shown.
pub async fn run(flags: Flags) -> Result<(), Error> {
    let mut signals = Signals::catch()?;
    let terminal = Terminal::of_stdout();
    let folder = tempfile::Builder::new().prefix("backstitch-demo-").tempdir();
    let folder = folder.map_err(Error::io("making a temporary folder"))?;
    let mut started = None;
    let shown = tokio::select! {
        shown = show(&flags, &terminal, folder.path(), &mut started) => shown,
        () = signals.next() => Err(Error::Failed("stopped before the check".to_owned())),
    };
    if shown.is_ok() && !flags.exit {
        signals.next().await;
    }
    // It writes into the folder, and so it ends first.
    let ended = match started {
        Some(orchestrator) => orchestrator.end().await,
        None => Ok(()),
    };
    let path = folder.path().to_owned();
    if flags.keep {
        drop(folder.keep());
        terminal.line(&format!("   The journal and the log are in {}", path.display()))?;
    } else {
        folder.close().map_err(Error::io("removing the temporary folder"))?;
    }
    shown.and(ended)
}

/// Shows everything; `started` gets the orchestrator, for whoever ends it.
async fn show(
    flags: &Flags,
    terminal: &Terminal,
    folder: &Path,
    started: &mut Option<Orchestrator>,
) -> Result<(), Error> {
    let say = |text: &str| terminal.line(text);
    let stage = |text: &str| say(&terminal.paint(Tone::Strong, text));

    stage("1. A shop opens")?;
    let config = ShopConfig { latency: SHOP_LATENCY, ..ShopConfig::default() };
    let shop = Shop::start(config).await.map_err(Error::io("opening the shop"))?;
    say(&format!(
        "   Stock, payment and shipping at {}. It keeps books of its own and",
        shop.url()
    ))?;
    say("   knows nothing of workflows.")?;

    stage("2. The orchestrator starts, as a process of its own")?;
    let setup = Setup {
        folder: folder.to_owned(),
        flags: vec!["--node", "demo", "--fsync", "always"],
        ..Setup::default()
    };
    let orchestrator = started.insert(Orchestrator::start(setup).await?);
    let client = orchestrator.client().clone();
    say(&format!("   {} (process {})", client.url(), orchestrator.process_id()))?;
    client.define(WORKFLOW.into(), "application/yaml").await?;
    say(
        "   Workflow `order-saga`: reserve > charge > ship > notify. Each of the first three says",
    )?;
    say("   how it is undone. If one fails for good, what was done is undone, last first.")?;

    let orders = orders::all();
    stage(&format!("3. {} orders are submitted; some must fail, some are retried", orders.len()))?;
    let mut followed = Vec::new();
    for order in orders {
        let body = json!({ "input": order.input, "variables": { "shop_url": shop.url() } });
        let run = client.execute("order-saga", &body, Some(&order.id)).await?;
        say(&format!("   {}  {}", order.id, order.story))?;
        followed.push(Followed { order, run, timeline: Timeline::default() });
    }
    say("   Each was answered once it was in the journal, synced to disk. Their steps (UTC):")?;
    watch::until(&client, terminal, &mut followed, is_time_to_kill).await?;

    let under_way = followed.iter().filter(|one| !one.is_ended()).count();
    let bang = format!("4. kill -9 {}: the orchestrator is gone", orchestrator.process_id());
    orchestrator.kill().await?;
    say(&terminal.paint(Tone::Bad, &bang))?;
    say(&format!(
        "   {under_way} orders were under way; cards were charged and nobody heard the answer."
    ))?;
    orchestrator.start_again().await?;
    let client = orchestrator.client().clone();
    let recovered = client.get("/info").await?["recovered"]["live"].take();
    stage("5. It is started again on the same data, and goes on by itself")?;
    say(&format!(
        "   Process {} reads the journal: {recovered} orders had no final word in it. Whatever",
        orchestrator.process_id()
    ))?;
    say("   was cut off is tried again under its Idempotency-Key, so the shop does it once.")?;
    watch::until(&client, terminal, &mut followed, |all| all.iter().all(Followed::is_ended))
        .await?;

    stage("6. The shop's books")?;
    let balanced = outcome::show(terminal, &followed, &shop.books())?;
    if !balanced {
        return Err(Error::Failed("the shop's books do not balance".to_owned()));
    }
    if !flags.exit {
        farewell(terminal, orchestrator, &followed, flags.keep)?;
    }
    Ok(())
}

fn is_time_to_kill(followed: &[Followed]) -> bool {
    let ended = followed.iter().filter(|one| one.is_ended()).count();
    let at_work = followed.iter().filter(|one| !one.is_ended() && one.timeline.is_at_work());
    let all_ended = ended == followed.len();
    all_ended || (ended >= ENDED_BEFORE_KILL && at_work.count() >= UNDER_WAY_AT_KILL)
}

fn farewell(
    terminal: &Terminal,
    orchestrator: &Orchestrator,
    followed: &[Followed],
    keep: bool,
) -> Result<(), Error> {
    let url = orchestrator.client().url();
    let data_dir = orchestrator.data_dir();
    let data_dir = data_dir.display();
    let run = followed.first().map(|one| one.run.as_str()).unwrap_or_default();
    let tool = std::env::current_exe().ok().map(|program| program.with_file_name("replay-tool"));
    let tool = tool.filter(|tool| tool.is_file());
    let tool = tool.as_deref().unwrap_or(Path::new("replay-tool")).display();
    terminal.line(&terminal.paint(Tone::Strong, "7. It stays up until Ctrl-C"))?;
    let mut lines = vec![
        format!("   curl {url}/api/v1/executions"),
        format!("   curl {url}/api/v1/executions/{run}/events"),
        format!("   curl {url}/api/v1/dlq"),
    ];
    lines.extend(match keep {
        true => vec![
            "   The journal itself, once this has ended:".to_owned(),
            format!("   {tool} --data-dir {data_dir} timeline {run}"),
            format!("   {tool} --data-dir {data_dir} verify"),
        ],
        false => vec![format!("   Its journal, removed at the end without --keep: {data_dir}")],
    });
    lines.iter().try_for_each(|line| terminal.line(line))
}
