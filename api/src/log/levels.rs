//! How much is logged: as the settings say, and in their place, for a while, as somebody set it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use backstitch_core::time::Timestamp;
use backstitch_saga::clock;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::components::Wanted;

/// How much is logged.
#[derive(Debug)]
pub(crate) struct Levels {
    /// The directives of the settings.
    settings: Mutex<String>,
    /// Who goes by them, if anybody does.
    filter: OnceLock<reload::Handle<EnvFilter, Registry>>,
    standing: Mutex<Standing>,
    changed: Notify,
}

/// What is set in place of the settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    pub(crate) wanted: Wanted,
    /// By whom and when.
    pub(crate) set: Option<(String, Timestamp)>,
    /// When the settings count again.
    pub(crate) until: Option<Timestamp>,
    back_at: Option<Instant>,
}

impl Levels {
    pub(super) fn of(settings: &str) -> Self {
        Self {
            settings: Mutex::new(settings.to_owned()),
            filter: OnceLock::new(),
            standing: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The filter that goes by them from now on.
    pub(super) fn layer(&self) -> reload::Layer<EnvFilter, Registry> {
        let (layer, handle) = reload::Layer::new(filter(&self.directives()));
        // There is one log for the whole program.
        drop(self.filter.set(handle));
        layer
    }

    /// The directives of the settings.
    pub(crate) fn settings(&self) -> String {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings say other directives. What somebody has set counts above them as before.
    pub(crate) fn settings_are(&self, directives: &str) {
        directives.clone_into(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
        self.obey();
    }

    /// The directives in force.
    pub(crate) fn directives(&self) -> String {
        self.standing().wanted.over(&self.settings())
    }

    /// What is set.
    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets levels, in place of those set before.
    pub(crate) fn set(&self, wanted: Wanted, during: Option<Duration>, actor: String) {
        let (now, instant) = (clock::now(), Instant::now());
        *self.standing() = Standing {
            wanted,
            set: Some((actor, now)),
            until: during.map(|own| Timestamp(now.0 + micros(own))),
            back_at: during.map(|own| instant + own),
        };
        self.obey();
        self.changed.notify_one();
    }

    /// Goes back to the settings whenever the time of what was set is over.
    pub(crate) async fn keep(&self) {
        loop {
            let back_at = self.standing().back_at;
            let over = async {
                match back_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = over => self.go_back(back_at),
            }
        }
    }

    /// Unless something else was set meanwhile.
    fn go_back(&self, back_at: Option<Instant>) {
        let mut standing = self.standing();
        if standing.back_at != back_at {
            return;
        }
        *standing = Standing::default();
        drop(standing);
        self.obey();
        tracing::info!("the log goes by the settings again: the time of other levels is over");
    }

    fn obey(&self) {
        let directives = self.directives();
        if let Some(handle) = self.filter.get()
            && let Err(error) = handle.reload(filter(&directives))
        {
            tracing::error!(%error, "the log goes on as it was");
        }
    }
}

/// The settings were read before, and components are known: nothing of it is left out.
fn filter(directives: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(directives)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn debug_is_logged() -> bool {
        tracing::enabled!(target: "backstitch_saga::x", tracing::Level::DEBUG)
    }

    fn wanted() -> Wanted {
        let given = json!({ "saga": "debug" });
        Wanted::read(given.as_object().expect("an object"), "").expect("levels")
    }

    #[tokio::test]
    async fn levels_go_back_by_themselves_once_their_time_is_over() {
        let levels = Arc::new(Levels::of("info"));
        let subscriber = Registry::default().with(levels.layer());
        let _set = tracing::subscriber::set_default(subscriber);
        let keeping = levels.clone();
        let kept = tokio::spawn(async move { keeping.keep().await });
        assert!(!debug_is_logged());
        levels.set(wanted(), None, "ann".to_owned());
        assert!(debug_is_logged());
        levels.set(wanted(), Some(Duration::from_millis(1)), "ann".to_owned());
        while debug_is_logged() {
            tokio::task::yield_now().await;
        }
        assert!(levels.standing().set.is_none());
        assert_eq!(levels.directives(), "info");
        kept.abort();
    }

    #[test]
    fn what_was_set_later_outlives_the_time_of_what_was_set_before() {
        let levels = Levels::of("info");
        levels.set(wanted(), Some(Duration::from_secs(1)), "ann".to_owned());
        let first = levels.standing().back_at;
        levels.set(wanted(), Some(Duration::from_secs(2)), "bob".to_owned());
        levels.go_back(first);
        assert_eq!(levels.directives(), "info,backstitch_saga=debug");
        assert!(levels.standing().set.as_ref().is_some_and(|(by, _)| by == "bob"));
        let second = levels.standing().back_at;
        levels.go_back(second);
        assert_eq!(levels.directives(), "info");
    }
}
