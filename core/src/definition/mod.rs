//! A workflow as its author wrote it, in the canonical form.

pub mod problem;
