//! Tests of the journal as a whole: on real files, with real crashes.

mod blobs;
mod chain;
mod child;
mod conformance;
mod crash;
mod damage;
mod disk_full;
mod events;
mod golden;
mod golden_blob;
mod life;
mod medium;
mod power_cut;
mod refusals;
mod removal;
mod removal_crash;
mod removal_lives;
mod throughput;
mod views;
mod workload;
