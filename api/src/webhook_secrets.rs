//! The file of secrets that callbacks are signed with.

use std::path::PathBuf;

use backstitch_saga::webhooks::{Secrets, Signer};

use crate::error::Error;
use crate::renewed::{self, Keeper, Words};

const WORDS: Words = Words {
    renewed: "the secrets of callbacks have changed; the next ones are signed with them",
    as_before: "callbacks are signed as they were",
};

/// Reads the file.
///
/// # Errors
/// [`Error::File`]; [`Error::Setting`], which names the line.
pub(crate) fn open(file: PathBuf) -> Result<(Signer, Keeper<Secrets>), Error> {
    let (newest, keeper) = renewed::open(WORDS, move || {
        let bytes = renewed::bytes(&file)?;
        let secrets = Secrets::read(&String::from_utf8_lossy(&bytes))
            .map_err(|why| renewed::unfit("webhook_secrets", &file, &why))?;
        Ok((vec![bytes], secrets))
    })?;
    Ok((Signer::of(newest), keeper))
}
