//! Tests of the journal as a whole: on real files, with real crashes.

mod archive;
mod backup;
mod chain;
mod child;
mod conformance;
mod crash;
mod cut;
mod cut_restore;
mod damage;
mod disk_full;
mod golden;
mod life;
mod listing;
mod medium;
mod opening;
mod power_cut;
mod refusals;
mod removal;
mod removal_crash;
mod removal_lives;
mod restore;
mod salvage;
mod throughput;
mod views;
mod workload;
