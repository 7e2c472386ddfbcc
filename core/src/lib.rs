//! The pure heart of Backstitch: what a workflow is, what can happen to a run, and what
//! follows from it.
//!
//! No async, IO, clock, randomness or logging: time and drawn values are arguments, and the
//! only results are events and orders.

pub mod access;
pub mod advance;
pub mod alerts;
mod allot;
pub mod api_keys;
pub mod arrows;
pub mod audit;
pub mod availability;
pub mod breaker;
pub mod cache;
pub mod checkpoint;
pub mod command;
pub mod decide;
pub mod definition;
pub mod effect;
pub mod egress;
pub mod event;
pub mod evolve;
pub mod export;
pub mod failure;
pub mod faults;
pub mod forks;
pub mod forms;
pub mod history;
pub mod ids;
pub mod items;
pub mod letters;
pub mod lineage;
pub mod links;
pub mod machine;
pub mod migration;
pub mod objects;
pub mod partition;
pub mod pattern;
pub mod payload;
pub mod plan;
pub mod policy;
pub mod redrives;
pub mod rehearsal;
pub mod replays;
pub mod report;
mod rest;
pub mod retention;
pub mod retry_policy;
pub mod rollout;
pub mod room;
pub mod schema;
pub mod scope;
pub mod secrets;
pub mod state;
pub mod statistics;
pub mod summary;
pub mod template;
pub mod time;
pub mod trace;
pub mod travel;
mod unwind;
pub mod unwind_plan;
pub mod why;
pub mod workflow;
pub mod yaml;
