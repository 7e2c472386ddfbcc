//! What `backstitch demo` shows, and the shop it shows it with.

pub mod shop;

use clap::Args;

use crate::error::Error;

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct Flags {
    /// End after the check instead of staying up
    #[arg(long)]
    pub exit: bool,
}

/// Runs the demo.
///
/// # Errors
/// [`Error::Failed`] when the books do not balance.
pub async fn run(_: Flags) -> Result<(), Error> {
    Ok(())
}
