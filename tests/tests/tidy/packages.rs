//! The packages of the tree, from `Cargo.lock` and `cargo metadata`; neither needs the network.
//!
//! The lock file knows every platform's packages by name and version. Licences need the sources,
//! which a fresh clone has fetched for its own platform only.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::sources;

/// Name and version of one package of the lock file.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Locked {
    pub(super) name: String,
    pub(super) version: String,
}

/// What `cargo metadata` says of one package.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
    manifest_path: String,
    /// None for a package of the workspace.
    source: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
}

impl Package {
    pub(super) fn new(folder: &str, license: Option<&str>, dependencies: &[&str]) -> Self {
        Self {
            name: folder.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            dependencies: (dependencies.iter())
                .map(|name| Dependency { name: (*name).to_owned() })
                .collect(),
            manifest_path: format!("{folder}/Cargo.toml"),
            source: None,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.source.is_none()
    }

    /// The last part of the package's folder: `core` for backstitch-core.
    pub(super) fn folder(&self) -> &str {
        Path::new(&self.manifest_path)
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .expect("a manifest lies in a folder")
    }
}

pub(super) fn locked() -> Vec<Locked> {
    #[derive(Deserialize)]
    struct LockFile {
        package: Vec<Locked>,
    }
    let text = fs::read_to_string(sources::root().join("Cargo.lock")).expect("Cargo.lock is kept");
    toml::from_str::<LockFile>(&text).expect("cargo wrote Cargo.lock").package
}

/// The packages that a build on this platform uses.
pub(super) fn of_this_platform() -> Vec<Package> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let host = host();
    let json = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--offline",
        "--filter-platform",
        &host,
    ]);
    serde_json::from_str::<Metadata>(&json).expect("cargo metadata writes JSON").packages
}

fn host() -> String {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo names its host").to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .current_dir(sources::root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
