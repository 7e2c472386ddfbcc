//! The files of the project, as git would commit them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folders that hold no sources, for a tree that is no git checkout.
const FOLDERS_SKIPPED: [&str; 4] = [".git", "target", "node_modules", "backstitch-data"];

/// One text file; `path` is relative to the root, with `/` on every platform.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

impl Source {
    /// A file that exists only in a test of a rule.
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

pub(super) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests crate lies in the workspace").to_path_buf()
}

/// Every text file that is tracked, or would be with `git add`; all files outside of
/// `FOLDERS_SKIPPED` where git cannot say.
pub(super) fn all() -> Vec<Source> {
    let root = root();
    let paths = listed_by_git(&root).unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found
    });
    let sources: Vec<Source> = paths
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(root.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect();
    assert!(sources.iter().any(Source::is_rust), "no sources under {}", root.display());
    sources
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let list = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    let paths: Vec<String> =
        list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder of the project can be read");
    for entry in entries {
        let path = entry.expect("an entry of the project can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && !path.is_symlink() {
            if !FOLDERS_SKIPPED.contains(&name.as_ref()) {
                walk(root, &path, found);
            }
        } else if let Ok(relative) = path.strip_prefix(root) {
            found.push(relative.to_string_lossy().replace('\\', "/"));
        }
    }
}

#[test]
fn the_walk_finds_what_git_lists() {
    let root = root();
    let mut walked = Vec::new();
    walk(&root, &root, &mut walked);
    for source in all().iter().filter(|source| source.is_rust()) {
        assert!(walked.contains(&source.path), "{} was not walked", source.path);
    }
}
