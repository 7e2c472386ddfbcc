//! The shell around the pure core: partitions, timers, effects, recovery.
//!
//! Alone spawns work, reads the clock and draws random numbers. Decides nothing about runs:
//! that is `backstitch-core`; writes nothing to disk itself: that is `backstitch-journal`.

pub mod breakers;
pub mod cache;
pub mod catalog;
pub mod clock;
pub mod document_metrics;
pub mod driver;
pub mod engine;
pub mod error;
pub mod handle;
pub mod hold;
pub mod holders;
pub mod keys;
pub mod live;
pub mod metrics;
mod owners;
pub mod partition;
pub mod policies;
pub mod redrives;
pub mod rehearsals;
pub mod replays;
pub mod retention;
pub mod retry;
pub mod runs;
pub mod secrets;
pub mod slots;
pub mod turns;
pub mod webhooks;

pub use engine::{Config, Engine, Shutdown};
pub use error::Error;
pub use handle::Handle;
