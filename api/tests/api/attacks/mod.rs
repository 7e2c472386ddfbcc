//! Attacks on a server that asks who is there: by those whom it lets in.

mod hosts;
mod keys;
mod permissions;
mod sizes;
mod tenants;

pub use tenants::define;
