//! Where the secrets are that steps refer to: `--secrets-dir`, and variables of the environment.

use std::collections::BTreeMap;

use backstitch_core::secrets::is_name;
use backstitch_saga::secrets::SecretStore;

use crate::error::Error;
use crate::settings::Settings;

/// How the names of variables that are secrets begin; what follows is the secret's name.
pub(crate) const SECRET_VARIABLES: &str = "BACKSTITCH_SECRET_";

/// The store of a server with these settings.
///
/// # Errors
/// [`Error::Setting`] for a folder that is none.
pub(crate) fn open(settings: &Settings) -> Result<SecretStore, Error> {
    if let Some(folder) = settings.secrets_dir.as_ref().filter(|own| !own.is_dir()) {
        let folder = folder.display();
        return Err(Error::Setting(format!("secrets_dir: `{folder}` is no folder")));
    }
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, text)| {
            let name = name.to_str()?.strip_prefix(SECRET_VARIABLES).filter(|own| is_name(own))?;
            Some((name.to_owned(), text.into_string().ok()?))
        })
        .collect();
    Ok(SecretStore::new(settings.secrets_dir.clone(), variables))
}
