//! The API and the binary from outside: a real server on a free port, over a real journal.

mod backups;
mod breakers;
mod commands;
mod contract;
mod control;
mod faults;
mod forks;
mod forms;
mod letters;
mod limits;
mod lists;
mod loops;
mod migrations;
mod payloads;
mod process;
mod refused;
mod rehearsals;
mod rest;
mod retention;
mod retries;
mod rollouts;
mod server;
mod service;
mod transfer;
mod travel;
mod undos;
