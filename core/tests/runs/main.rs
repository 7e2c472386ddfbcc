//! The state machine as its users see it: commands in, events out.

mod checkpoints;
mod laws;
mod letters;
mod lives;
mod outputs;
mod payloads;
mod stage;
mod transitions;
mod work;
