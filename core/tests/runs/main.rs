//! The state machine as its users see it: commands in, events out.

mod alone;
mod cached;
mod checkpoints;
mod children;
mod controls;
mod ends;
mod export;
mod flow;
mod forks;
mod laws;
mod letters;
mod limits;
mod lives;
mod loop_world;
mod loops;
mod migrations;
mod numbers;
mod outputs;
mod payloads;
mod rehearsals;
mod signals;
mod stage;
mod transitions;
mod travel;
mod why;
mod work;
