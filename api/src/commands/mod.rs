//! What the command line does, one module each; the demo stands by itself.

pub mod admin;
pub mod apply;
pub mod audit;
pub mod breakers;
pub mod dlq;
pub mod dry_run;
pub mod follow;
pub mod limits;
pub mod logs;
pub mod reload;
pub mod rollout;
pub mod runs;
pub mod serve;
pub mod submit;
pub mod templates;
pub mod test;
pub mod token;
pub mod validate;
pub mod workflows;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use backstitch_core::definition::problem::Problem;
use backstitch_core::yaml::{self, Format};
use clap::Args;
use serde_json::Value;

use crate::client::{Client, TlsFiles};
use crate::error::Error;

/// What stands for standard input in place of a file's name.
const STANDARD_INPUT: &str = "-";

/// Where a server is expected if nobody says otherwise.
const SERVER_DEFAULT: &str = "http://127.0.0.1:8080";
/// The variables that name the server, the stronger one first.
const SERVER_VARIABLES: [&str; 2] = ["BACKSTITCH_SERVER", "ORCHESTRATOR_URL"];

/// The variable that has the token or API key of whoever asks.
const TOKEN_VARIABLE: &str = "BACKSTITCH_TOKEN";

/// The variables that name files for a server with TLS.
const CA_VARIABLE: &str = "BACKSTITCH_CA_CERTIFICATE";
const CERTIFICATE_VARIABLE: &str = "BACKSTITCH_CLIENT_CERTIFICATE";

/// Where the server is, and who asks it.
#[derive(Debug, Clone, Default, Args)]
pub struct Server {
    /// The server [default: BACKSTITCH_SERVER, ORCHESTRATOR_URL, or http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// A token or an API key that says who asks [default: BACKSTITCH_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Authorities, in PEM, that count in place of the system's for a server with TLS [default:
    /// BACKSTITCH_CA_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub ca_certificate: Option<PathBuf>,
    /// A certificate with its private key, in PEM, for a server that asks for one [default:
    /// BACKSTITCH_CLIENT_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
}

impl Server {
    /// How to talk to it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a server that is no URL, a token that is none and files that hold no
    /// certificate; [`Error::File`].
    pub fn client(&self) -> Result<Client, Error> {
        let path = |flag: &Option<PathBuf>, name| {
            let told = || std::env::var_os(name).filter(|path| !path.is_empty()).map(Into::into);
            flag.clone().or_else(told)
        };
        let files = TlsFiles {
            ca_certificate: path(&self.ca_certificate, CA_VARIABLE),
            client_certificate: path(&self.client_certificate, CERTIFICATE_VARIABLE),
        };
        let client = Client::new(&server_url(self.server.as_ref()))?.with_tls(&files)?;
        let told = || std::env::var(TOKEN_VARIABLE).ok();
        let token = self.token.clone().or_else(told).filter(|token| !token.is_empty());
        client.with_token(token.as_deref())
    }
}

/// The server of a flag, else the first variable that says something, else the default.
fn server_url(flag: Option<&String>) -> String {
    let said = |name: &&str| std::env::var(name).ok().filter(|url| !url.is_empty());
    let told = || SERVER_VARIABLES.iter().find_map(said);
    flag.cloned().or_else(told).unwrap_or_else(|| SERVER_DEFAULT.to_owned())
}

/// How a file of a definition is written: JSON if it is called so, YAML otherwise.
fn format_of(file: &Path) -> Format {
    match file.extension().is_some_and(|extension| extension == "json") {
        true => Format::Json,
        false => Format::Yaml,
    }
}

/// Reads a definition's file: its value, or why its text is none.
fn read_definition(file: &Path) -> Result<Result<Value, Problem>, Error> {
    Ok(parse_definition(file, &read_file(file)?))
}

/// The value of a definition's text, as the name of its file says it is written.
fn parse_definition(file: &Path, text: &[u8]) -> Result<Value, Problem> {
    yaml::parse(text, format_of(file))
}

/// As what a file of a definition is sent.
fn media_type_of(file: &Path) -> &'static str {
    match format_of(file) {
        Format::Json => "application/json",
        Format::Yaml => "application/yaml",
    }
}

/// A flag's JSON, or that of the file it names.
fn read_json(flag: &str, given: &str) -> Result<Value, Error> {
    let text = match given.strip_prefix('@') {
        Some(file) => read_file(Path::new(file))?,
        None => given.as_bytes().to_vec(),
    };
    let read = yaml::parse(&text, Format::Json);
    read.map_err(|problem| Error::Setting(format!("{flag} is {}", problem.message)))
}

fn read_file(file: &Path) -> Result<Vec<u8>, Error> {
    let name = file.display().to_string();
    let read = if file == Path::new(STANDARD_INPUT) { read_stdin() } else { std::fs::read(file) };
    read.map_err(|source| Error::File { file: name, source })
}

fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}
