//! Attacks on a server that asks who is there: by those whom it lets in.

mod sizes;
mod tenants;
