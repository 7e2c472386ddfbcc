//! `backstitch serve`.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::cli::ServeFlags;
use crate::error::Error;
use crate::service::Service;
use crate::settings::{LogFormat, Settings};
use crate::signals::Signals;

/// Internal: a variable with which a process that starts a server makes it stop when its
/// standard input closes.
pub(crate) const EXIT_WITH_PARENT: &str = "BACKSTITCH_EXIT_WITH_PARENT";

/// Serves until a signal asks it to stop.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`], and [`Error::Setting`].
pub async fn run(flags: &ServeFlags) -> Result<(), Error> {
    let settings = flags.settings()?;
    log(&settings);
    let signals = Signals::catch()?;
    let service = Service::bind(settings).await?;
    let ends_with_parent = std::env::var_os(EXIT_WITH_PARENT).is_some();
    let asked = async move {
        tokio::select! {
            () = signals.once() => {}
            () = parent_ended(), if ends_with_parent => {}
        }
    };
    service.run(asked).await
}

/// Completes when standard input closes. Its thread does not keep the process.
async fn parent_ended() {
    let reading = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(reading).await {
        tracing::warn!(%error, "standard input can't be read; stopping as if it was closed");
    }
}

/// Logs go to stderr; stdout is for results.
fn log(settings: &Settings) {
    let filter = EnvFilter::builder().parse_lossy(&settings.log_level);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match settings.log_format {
        LogFormat::Text => logs.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}
