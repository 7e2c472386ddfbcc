//! Where a question goes: to a data directory, or to a running server.
//!
//! The command line counts before the environment. A command that works on files alone is
//! refused when a server was named for it, and takes the directory when one was only in the
//! environment.

use std::path::PathBuf;

use crate::arguments::Where;
use crate::error::Error;

/// The server's address in the environment, the first that is set.
pub const SERVER_VARIABLES: [&str; 2] = ["BACKSTITCH_SERVER", "ORCHESTRATOR_URL"];
/// The caller's token in the environment.
pub const TOKEN_VARIABLE: &str = "BACKSTITCH_TOKEN";
/// The variables that name files for a server with TLS.
const CA_VARIABLE: &str = "BACKSTITCH_CA_CERTIFICATE";
const CERTIFICATE_VARIABLE: &str = "BACKSTITCH_CLIENT_CERTIFICATE";
/// The data directory in the environment.
pub const DATA_DIR_VARIABLE: &str = "BACKSTITCH_DATA_DIR";
/// The data directory where nobody says.
pub const DATA_DIR_DEFAULT: &str = "backstitch-data";

/// Where a question goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// To the files of a server that does not run.
    Directory(PathBuf),
    /// To a running server.
    Server(Peer),
}

/// A running server, and what is needed to talk to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its address.
    pub url: String,
    /// Who asks, if that is to be said.
    pub token: Option<String>,
    /// Authorities, in PEM, that count in place of the system's.
    pub ca_certificate: Option<PathBuf>,
    /// A certificate with its private key, in PEM, for a server that asks for one.
    pub client_certificate: Option<PathBuf>,
}

impl Place {
    /// Where the command line and the environment send a question.
    #[must_use]
    pub fn of(given: &Where, environment: &dyn Fn(&str) -> Option<String>) -> Self {
        if given.data_dir.is_some() {
            return Self::Directory(directory(given, environment));
        }
        let named = || SERVER_VARIABLES.iter().find_map(|name| environment(name));
        match given.server.clone().or_else(named) {
            Some(url) => {
                let path = |flag: &Option<PathBuf>, name| {
                    flag.clone().or_else(|| environment(name).map(PathBuf::from))
                };
                Self::Server(Peer {
                    url,
                    token: given.token.clone().or_else(|| environment(TOKEN_VARIABLE)),
                    ca_certificate: path(&given.ca_certificate, CA_VARIABLE),
                    client_certificate: path(&given.client_certificate, CERTIFICATE_VARIABLE),
                })
            }
            None => Self::Directory(directory(given, environment)),
        }
    }

    /// The server for a command that only a server can carry out.
    ///
    /// # Errors
    /// [`Error::Misplaced`] if a directory was named for it, or no server at all.
    pub fn server_only(
        given: &Where,
        environment: &dyn Fn(&str) -> Option<String>,
        command: &str,
    ) -> Result<Peer, Error> {
        match Self::of(given, environment) {
            Self::Server(peer) => Ok(peer),
            Self::Directory(_) => Err(Error::Misplaced {
                command: format!("`{command}`"),
                why: "is carried out by a running server: name it with --server URL, or start \
                      one on the directory first (`backstitch serve --data-dir DIR`)",
            }),
        }
    }

    /// Refuses a name for the record where a server records its caller.
    ///
    /// # Errors
    /// [`Error::Misplaced`]
    pub fn actor_allowed(
        given: &Where,
        environment: &dyn Fn(&str) -> Option<String>,
        actor: Option<&str>,
    ) -> Result<(), Error> {
        match (Self::of(given, environment), actor) {
            (Self::Server(_), Some(_)) => Err(Error::Misplaced {
                command: "`--actor`".to_owned(),
                why: "works offline only: a server records its caller; leave it out, or name \
                      the directory with --data-dir",
            }),
            _ => Ok(()),
        }
    }

    /// The directory for a command that works on files alone.
    ///
    /// # Errors
    /// [`Error::Misplaced`] if a server was named for it.
    pub fn files_only(
        given: &Where,
        environment: &dyn Fn(&str) -> Option<String>,
        command: &str,
    ) -> Result<PathBuf, Error> {
        if given.server.is_some() {
            return Err(Error::Misplaced {
                command: format!("`{command}`"),
                why: "reads the files themselves: stop the server, or take a copy of its \
                      directory, and name it with --data-dir instead of --server",
            });
        }
        Ok(directory(given, environment))
    }
}

fn directory(given: &Where, environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let named = || environment(DATA_DIR_VARIABLE).map(PathBuf::from);
    given.data_dir.clone().or_else(named).unwrap_or_else(|| DATA_DIR_DEFAULT.into())
}

/// A variable that is set to something.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(data_dir: Option<&str>, server: Option<&str>) -> Where {
        Where {
            data_dir: data_dir.map(PathBuf::from),
            server: server.map(str::to_owned),
            ..Where::default()
        }
    }

    fn both(name: &str) -> Option<String> {
        match name {
            "ORCHESTRATOR_URL" => Some("http://from-environment".to_owned()),
            DATA_DIR_VARIABLE => Some("from-environment".to_owned()),
            TOKEN_VARIABLE => Some("secret".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_command_line_counts_before_the_environment() {
        let directory = |path: &str| Place::Directory(path.into());
        let server = |url: &str, token: Option<&str>| {
            let (url, token) = (url.to_owned(), token.map(str::to_owned));
            Place::Server(Peer { url, token, ..Peer::default() })
        };
        assert_eq!(Place::of(&given(None, None), &|_| None), directory(DATA_DIR_DEFAULT));
        assert_eq!(Place::of(&given(Some("d"), None), &both), directory("d"));
        assert_eq!(Place::of(&given(None, Some("u")), &|_| None), server("u", None));
        assert_eq!(
            Place::of(&given(None, None), &both),
            server("http://from-environment", Some("secret"))
        );
    }

    #[test]
    fn files_are_not_asked_of_a_server() {
        let path = |given: &Where| Place::files_only(given, &both, "verify");
        assert_eq!(path(&given(None, None)).unwrap(), PathBuf::from("from-environment"));
        let refused = path(&given(None, Some("u"))).unwrap_err().line();
        assert!(refused.starts_with("`verify` reads the files themselves"), "{refused}");
    }
}
