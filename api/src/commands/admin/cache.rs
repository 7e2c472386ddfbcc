//! `backstitch admin cache`: how the result cache of a server stands, and emptying it.

use clap::Args;
use serde_json::Value;

use crate::commands::Server;
use crate::error::Error;
use crate::terminal::Terminal;

/// Where the server has it.
const PATH: &str = "/api/v1/cache";

/// What `admin cache` takes.
#[derive(Debug, Args)]
pub struct CacheFlags {
    /// Take everything out: no answer given before is used again, also after a restart
    #[arg(long)]
    pub empty: bool,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", requires = "empty")]
    pub reason: Option<String>,
    /// The server, and who asks it.
    #[command(flatten)]
    pub server: Server,
}

/// Shows the cache, or empties it.
///
/// # Errors
/// [`Error::Failed`], [`Error::Unreachable`].
pub(super) async fn run(flags: CacheFlags) -> Result<(), Error> {
    let client = flags.server.client()?;
    let terminal = Terminal::of_stdout();
    if flags.empty {
        let query: Vec<_> = flags.reason.iter().map(|own| ("reason", own.clone())).collect();
        let emptied = client.delete_with(PATH, &query).await?;
        return terminal.line(&format!("{} answers taken out", emptied["emptied"]));
    }
    let found = client.get(PATH).await?;
    let warming = match found["warming"] {
        Value::Bool(true) => "; answers of before the start are still being read",
        _ => "",
    };
    let (hits, misses) = (&found["hits"], &found["misses"]);
    terminal.line(&format!(
        "{} answers in {} of {} bytes{warming}",
        found["entries"], found["bytes"], found["bytes_max"]
    ))?;
    terminal.line(&format!("{hits} hits and {misses} misses since the start"))
}
