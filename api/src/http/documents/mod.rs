//! The paths that four documents print, beside our own: translations over the same engine.
//!
//! A module for each document, named as its form of definitions is. What they share: words of
//! status, windows of lists, runs as tasks. Decides nothing, keeps nothing, and knows nothing of
//! how runs come about.

mod ecosystem;
pub(super) mod gauges;
mod monitoring;
pub(super) mod omnihub;
mod runs;
mod swarmguard;
mod tasks;
mod unified;
mod words;

use std::future::{Ready, ready};

use serde_json::json;

use super::codes;
use super::refusal::Refusal;
use super::routes::Routes;

/// Every path of the documents.
pub(super) fn routes() -> Routes {
    unified::routes().merge(ecosystem::routes()).merge(swarmguard::routes())
}

/// The handler of a path whose part comes later.
fn later(part: &'static str) -> impl Fn() -> Ready<Refusal> + Clone + Send + Sync + 'static {
    move || {
        let message = format!("this server has no {part} yet");
        ready(Refusal::new(codes::NOT_IMPLEMENTED, message).with(json!({ "part": part })))
    }
}
