//! What the tests, the simulation and the benches of the whole share.
//!
//! Knows how to find, start and ask the built binaries; what the product does is each test's
//! own business.

pub mod binaries;
pub mod http;
pub mod process;
pub mod server;
