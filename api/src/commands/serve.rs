//! `backstitch serve`.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::cli::ServeFlags;
use crate::error::Error;
use crate::service::Service;
use crate::settings::{LogFormat, Settings};
use crate::signals::Signals;

/// Serves until a signal asks it to stop.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`], and [`Error::Setting`].
pub async fn run(flags: &ServeFlags) -> Result<(), Error> {
    let settings = flags.settings()?;
    log(&settings);
    let signals = Signals::catch()?;
    let service = Service::bind(settings).await?;
    service.run(signals.once()).await
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
