//! What all templates of one definition share while they are compiled.

use std::cell::Cell;
use std::sync::Arc;

use super::weigh::{CONSTANTS_WORK_MAX, Meter};

/// The most strings of a definition that the engine has to be asked for; each is kept compiled.
pub const COMPUTED_STRINGS_MAX: usize = 20_000;

/// What the templates of a definition may take together.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// What strings that read nothing spend.
    pub constants: Arc<Meter>,
    computed: Cell<usize>,
}

impl Allowance {
    /// All of it.
    pub(crate) fn new() -> Self {
        Self { constants: Arc::new(Meter::new(CONSTANTS_WORK_MAX)), computed: Cell::new(0) }
    }

    /// Takes one more string that computes.
    ///
    /// # Errors
    /// There are too many; a sentence for the first one, none for those after it.
    pub(super) fn take(&self) -> Result<(), Option<String>> {
        let taken = self.computed.get() + 1;
        self.computed.set(taken);
        if taken <= COMPUTED_STRINGS_MAX {
            return Ok(());
        }
        let message =
            || format!("a workflow has at most {COMPUTED_STRINGS_MAX} templates that compute");
        Err((taken == COMPUTED_STRINGS_MAX + 1).then(message))
    }
}
