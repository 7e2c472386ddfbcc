//! The HTTP API, the command line and the demo of Backstitch.
//!
//! - `http`: the routes, over the engine's handle;
//! - `server`, `service`: sockets, and the server as a whole;
//! - `settings`: flags over environment over file over defaults;
//! - `cli`, `commands`: what `backstitch` can be told;
//! - `client`, `timeline`: the API from outside, and a run as lines for a person;
//! - `log`: what the server says, on stderr and to whoever reads it elsewhere;
//! - `machine`, `traffic`: what is used of the machine, and the requests of the last minute;
//! - `otlp`, `courier`: spans for a collector; what is sent to one in batches;
//! - `renewed`, `tls`, `outgoing`, `webhook_secrets`: files that are read again while the server runs;
//! - `templates`: definitions to begin with;
//! - `demo`: the whole at work, with a shop;
//! - `trial`: a workflow tested under every fault;
//! - `orchestrator`, `parent`: a server as a child process, which both of them kill.
//!
//! Decides nothing about runs: that is `backstitch-core` under `backstitch-saga`.

pub mod archive_watch;
pub mod cli;
pub mod client;
pub mod commands;
mod courier;
pub mod demo;
pub mod error;
pub mod http;
pub mod log;
pub mod machine;
mod nearest;
mod orchestrator;
mod otlp;
mod outgoing;
mod parent;
mod reload;
mod renewed;
mod secret_store;
pub mod server;
pub mod service;
pub mod settings;
mod signals;
pub mod templates;
pub mod terminal;
pub mod timeline;
mod tls;
pub mod traffic;
pub mod trial;
mod webhook_secrets;

pub use error::Error;
pub use service::Service;
pub use settings::Settings;
