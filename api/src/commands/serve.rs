//! `backstitch serve`.

use crate::cli::ServeFlags;
use crate::error::Error;
use crate::log;
use crate::parent::{self, EXIT_WITH_PARENT, Said};
use crate::server::raise_file_limit;
use crate::service::Service;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::trial::stand_ins::{self, STAND_INS};

/// Serves until a signal asks it to stop.
///
/// # Errors
/// As [`Service::bind`] and [`Service::run`], and [`Error::Setting`].
pub async fn run(flags: &ServeFlags) -> Result<(), Error> {
    let settings = flags.settings()?;
    let logs = log::begin(&settings)?;
    raise_file_limit();
    let signals = Signals::catch()?;
    // Only where faults are, can services be stood in for.
    let stood_in = std::env::var(STAND_INS).ok().filter(|_| settings.fault_injection);
    let read_again = flags.clone();
    let mut service = Service::bind(settings).await?.with_logs(logs).with_reader(move || {
        let sources = read_again.sources().map_err(|error| vec![(None, error.sentence())])?;
        Settings::read_whole(&sources)
    });
    if let Some(url) = stood_in {
        service = service.with_executors(stand_ins::registry(&url)?);
    }
    let has_parent = std::env::var_os(EXIT_WITH_PARENT).is_some();
    if has_parent {
        parent::say(&Said::Listens(service.address().to_string()));
    }
    let hold = service.hold();
    let asked = async move {
        tokio::select! {
            () = signals.once() => {}
            () = parent::obey(&hold), if has_parent => {}
        }
    };
    service.run(asked).await
}
