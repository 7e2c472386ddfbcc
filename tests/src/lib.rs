//! What the tests, the simulation and the benches of the whole share.
//!
//! Knows how to find the built binaries; what the product does is each test's own business.

pub mod binaries;
