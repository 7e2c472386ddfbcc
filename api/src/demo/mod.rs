//! What `backstitch demo` shows, and the shop it shows it with.

pub mod shop;
