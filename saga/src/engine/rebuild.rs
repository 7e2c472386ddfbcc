//! Making views anew from histories: online beside a running engine, and offline.

use std::path::Path;
use std::sync::Arc;

use backstitch_core::ids::StreamId;
use backstitch_journal::{Journal, Options, Reader, ViewName};

use super::JournalHistories;
use super::recovery::{self, rows, timed};
use crate::catalog::Catalog;
use crate::error::Error;
use crate::partition::fold;

/// Makes a view anew; `false` if that is under way already.
pub(crate) fn rebuild_view(histories: &JournalHistories, view: ViewName) -> Result<bool, Error> {
    let rebuilt = histories.journal.rebuild_view(view, &mut |stream, records| {
        let StreamId::Execution(run) = stream else { return Vec::new() };
        match fold(run, &timed(records), histories) {
            Ok(state) => rows(&state),
            Err(why) => {
                tracing::error!(execution_id = %run, "not listed: {why}");
                Vec::new()
            }
        }
    });
    Ok(rebuilt?)
}

/// Makes views of a data directory anew while no server has it open.
///
/// # Errors
/// [`Error::Journal`] when the directory is none, is in use or cannot be written,
/// [`Error::Fold`] when a workflow in it cannot be read.
pub fn rebuild_views(
    data_dir: &Path,
    options: Options,
    views: &[ViewName],
    mut done: impl FnMut(ViewName),
) -> Result<(), Error> {
    // Opening would make a directory that is missing.
    drop(Reader::open(data_dir)?);
    let opened = Journal::open(data_dir, options)?;
    let catalog = Arc::new(Catalog::default());
    let (journal, starts, _) = recovery::recover(opened, &catalog)?;
    let histories = JournalHistories { journal: journal.clone(), catalog };
    for &view in views {
        rebuild_view(&histories, view)?;
        done(view);
    }
    drop(starts);
    Ok(journal.close()?)
}
