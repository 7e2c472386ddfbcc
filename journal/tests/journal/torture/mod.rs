//! Torture: one life that does everything a journal can, and everything that can befall it.
//!
//! Short in every test run; `BACKSTITCH_TORTURE=1` (`make torture`) makes it long.

mod cuts;
mod faults;
mod kills;
mod life;
pub mod promises;
mod restores;
mod rot;

use crate::crash::count_from_environment;

/// How often: `name` from the environment, or what the long and the short run do.
fn count(name: &str, short: u64, long: u64) -> u64 {
    let tortured = std::env::var_os("BACKSTITCH_TORTURE").is_some();
    count_from_environment(name, if tortured { long } else { short })
}
