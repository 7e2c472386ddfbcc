//! What the command line does, one module each; the demo stands by itself.

pub mod serve;
pub mod submit;
pub mod validate;

use std::path::Path;

use backstitch_core::definition::problem::Problem;
use backstitch_core::yaml::{self, Format};
use serde_json::Value;

use crate::error::Error;

/// How a file of a definition is written: JSON if it is called so, YAML otherwise.
fn format_of(file: &Path) -> Format {
    match file.extension().is_some_and(|extension| extension == "json") {
        true => Format::Json,
        false => Format::Yaml,
    }
}

/// Reads a definition's file: its value, or why its text is none.
fn read_definition(file: &Path) -> Result<Result<Value, Problem>, Error> {
    Ok(yaml::parse(&read_file(file)?, format_of(file)))
}

fn read_file(file: &Path) -> Result<Vec<u8>, Error> {
    let name = file.display().to_string();
    std::fs::read(file).map_err(|source| Error::File { file: name, source })
}
