//! What a step can do: one executor for each task type, behind one trait.
//!
//! An executor makes one attempt at one effect and says how it ended. It knows nothing of
//! retries, timeouts, journals or partitions: the driver in `backstitch-saga` gives it a
//! [`Task`], may drop the attempt at any time, and decides what follows from the answer.

pub mod codes;
mod fields;
pub mod http;
mod noop;
mod notification;
mod registry;
mod task;
mod text;

pub use http::{Callers, HostList, HttpConfig, HttpExecutor, PrivateHosts, Trust};
pub use registry::Registry;
pub use task::{Answer, Attempt, Executor, InputProblem, Task};

/// Why the executors could not be set up. A failed attempt is a
/// [`Failure`](backstitch_core::failure::Failure), not this.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be built.
    #[error("the HTTP client of the executors can't be set up")]
    HttpClient(#[source] reqwest::Error),
    /// A file is not what it should be.
    #[error("it holds {0} in PEM that can be used")]
    Pem(&'static str),
}
