//! backstitch-api

pub mod demo;
