//! Where the built binaries are, for tests that start and kill the real thing.
//!
//! Cargo does not build another package's binaries for a test: `make test` builds them first.

use std::env;
use std::path::{Path, PathBuf};

/// The server, `backstitch`; `BACKSTITCH_BIN` names another one.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn backstitch() -> PathBuf {
    built("backstitch", "BACKSTITCH_BIN")
}

/// The journal's command line, `replay-tool`; `REPLAY_TOOL_BIN` names another one.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn replay_tool() -> PathBuf {
    built("replay-tool", "REPLAY_TOOL_BIN")
}

fn built(name: &str, variable: &str) -> PathBuf {
    let path = env::var_os(variable).map_or_else(|| beside_this_program(name), PathBuf::from);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo build --release` first, or set {variable}",
        path.display()
    );
    path
}

/// Tests lie in `deps` of the folder that holds the binaries; benches lie in that folder itself.
fn beside_this_program(name: &str) -> PathBuf {
    let program = env::current_exe().expect("a running program knows its file");
    let folder = program.parent().unwrap_or(Path::new("."));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}
