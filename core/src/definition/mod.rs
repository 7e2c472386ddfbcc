//! A workflow as its author wrote it, in the canonical form.

pub(crate) mod nearest;
pub mod problem;
