//! A replay into a view: the whole history folded into a new tree, which then comes into
//! force. The old one serves until it is whole, so a crash in between costs only the work: the
//! replay begins anew at the next start.

use backstitch_core::replays::ReplayCommand;
use backstitch_journal::ViewName;

use super::Replays;
use crate::engine::{JournalHistories, rebuild_view};

/// Makes a view anew; answers how the replay ends.
pub(super) async fn replay_into(replays: &Replays, view: &str) -> ReplayCommand {
    let stopped = |reason: String| ReplayCommand::Stop { reason, actor: None };
    let Some(view) = ViewName::of_word(view) else {
        return stopped(format!("there is no view `{view}` in this version"));
    };
    let (journal, catalog) = (replays.journal.clone(), replays.catalog.clone());
    let histories = JournalHistories { journal, catalog };
    match tokio::task::spawn_blocking(move || rebuild_view(&histories, view)).await {
        Ok(Ok(true)) => ReplayCommand::Complete { delivered: 0 },
        Ok(Ok(false)) => stopped(format!(
            "the view `{}` is being made anew already; resume this once that has ended",
            view.word()
        )),
        Ok(Err(error)) => stopped(format!("the view `{}` stays as it was: {error}", view.word())),
        Err(error) => stopped(format!("the view `{}` stays as it was: {error}", view.word())),
    }
}
