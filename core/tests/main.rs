//! The state machine as its users see it: commands in, events out.

mod laws;
mod lives;
mod machine;
mod transitions;
