//! Tests of the journal as a whole: on real files, with real crashes.

mod chain;
mod child;
mod conformance;
mod crash;
mod damage;
mod disk_full;
mod events;
mod golden;
mod life;
mod medium;
mod power_cut;
mod refusals;
mod throughput;
mod views;
mod workload;
