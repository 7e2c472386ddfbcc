//! Views made anew in a directory whose server does not run.

use backstitch_journal::ViewName;

use super::{Writing, rows_of};
use crate::error::Error;

impl Writing {
    /// Makes a view anew from the histories; the old one is in force until it is whole.
    ///
    /// # Errors
    /// If the histories cannot be read or the view not be written.
    pub(crate) fn rebuild(&mut self, view: ViewName) -> Result<(), Error> {
        let definitions = &mut self.definitions;
        let mut fold = |stream, records: Vec<_>| rows_of(&stream, &records, definitions);
        // Nobody else can be at it: the directory is this process's own.
        self.journal.rebuild_view(view, &mut fold)?;
        Ok(())
    }
}
