//! All tests that look at more than one crate, in one binary: one link instead of many.

mod bench;
mod conformance;
mod crash;
mod documents;
mod examples;
mod fuzz;
mod golden;
mod operator;
mod simulation;
mod tidy;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
