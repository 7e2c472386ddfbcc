//! Who calls services for steps, checks, undos and callbacks: with which certificate, and whom they
//! trust beside the authorities of the system. A renewed file counts without a restart.

use std::path::Path;

use backstitch_executors::{
    Callers, Error as ExecutorError, HttpConfig, HttpExecutor, Registry, Trust,
};

use crate::error::Error;
use crate::renewed::{self, Keeper, Words, unfit};
use crate::settings::Outgoing;

const WORDS: Words = Words {
    renewed: "the files of TLS to services have changed; new connections use them",
    as_before: "TLS to services goes on as it was",
};

/// Has `http` tasks of a registry done with the files that settings name.
///
/// # Errors
/// [`Error::File`] and [`Error::Setting`], which say which of them is wrong.
pub(crate) fn open(
    registry: &mut Registry,
    config: &HttpConfig,
    files: Outgoing,
) -> Result<Keeper<Callers>, Error> {
    let own = config.clone();
    let (callers, keeper) = renewed::open(WORDS, move || read(&own, &files))?;
    registry.add("http", std::sync::Arc::new(HttpExecutor::calling(config, callers)));
    Ok(keeper)
}

fn read(config: &HttpConfig, files: &Outgoing) -> Result<(Vec<Vec<u8>>, Callers), Error> {
    let (mut read, mut trust) = (Vec::new(), Trust::default());
    if let Some(path) = &files.authorities {
        let bytes = renewed::bytes(path)?;
        trust = trust.with_authorities(&bytes).map_err(wrong("outgoing_ca", path))?;
        read.push(bytes);
    }
    let mut last = files.authorities.as_deref().map(|path| ("outgoing_ca", path));
    if let Some(path) = &files.certificate {
        let (key, bytes) = ("outgoing_certificate", renewed::bytes(path)?);
        trust = trust.with_identity(&bytes, files.hosts.clone()).map_err(wrong(key, path))?;
        read.push(bytes);
        last = Some((key, path));
    }
    let callers = Callers::new(config, &trust);
    match (callers, last) {
        (Ok(callers), _) => Ok((read, callers)),
        (Err(error), Some((key, path))) => Err(wrong(key, path)(error)),
        (Err(error), None) => Err(error.into()),
    }
}

fn wrong(key: &str, path: &Path) -> impl Fn(ExecutorError) -> Error {
    move |error| {
        let mut why: &dyn std::error::Error = &error;
        while let Some(inner) = why.source() {
            why = inner;
        }
        unfit(key, path, &why.to_string())
    }
}
