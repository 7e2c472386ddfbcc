//! Attacks: by those whom a server lets in, by strangers, and by whoever speaks HTTP wrongly.

mod bombs;
mod data;
mod heads;
mod hosts;
mod hunt;
mod ids;
mod keys;
mod lines;
mod pages;
mod permissions;
mod sizes;
mod smuggling;
pub mod tenants;
mod wire;

pub use tenants::define;
