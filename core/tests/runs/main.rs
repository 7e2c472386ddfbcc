//! The state machine as its users see it: commands in, events out.

mod checkpoints;
mod children;
mod export;
mod laws;
mod letters;
mod lives;
mod outputs;
mod payloads;
mod stage;
mod transitions;
mod travel;
mod work;
