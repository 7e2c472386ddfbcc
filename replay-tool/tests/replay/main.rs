//! The command line on real data directories, written by the real journal with runs that the
//! real machine decided. Ids, times and answers are fixed, so outputs are snapshots.

#![allow(clippy::unwrap_used, reason = "everything here is test code, also what tests share")]

mod answers;
mod archive;
mod copies;
mod cut;
mod damage;
mod directory;
mod export;
mod import;
mod key;
mod letters;
mod look;
mod process;
mod refusals;
mod retention;
mod runs;
mod server;
mod timelines;
mod travel;
mod upkeep;
