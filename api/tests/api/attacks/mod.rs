//! Attacks: by those whom a server lets in, by strangers, and by whoever speaks HTTP wrongly.

mod heads;
mod hosts;
mod keys;
mod permissions;
mod sizes;
mod smuggling;
mod tenants;
mod wire;

pub use tenants::define;
