//! Tests of the journal as a whole: on real files, with real crashes.

mod archive;
mod chain;
mod child;
mod conformance;
mod crash;
mod cut;
mod damage;
mod disk_full;
mod golden;
mod life;
mod listing;
mod medium;
mod power_cut;
mod refusals;
mod throughput;
mod views;
mod workload;
