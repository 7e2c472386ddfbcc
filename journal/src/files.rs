//! Small durable steps with files: sync a directory, write beside and rename.
//!
//! Knows nothing of what is in them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// Bytes looked at together to find where a file's zeros begin.
const BLOCK_BYTES: u64 = 4_096;

/// Names of what is in a directory.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let failed = |e| Error::io("listing", directory, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Where a path leads, without links, whether it is there or not.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let there = absolute.ancestors().find(|above| above.exists())?;
    let rest = absolute.strip_prefix(there).ok()?;
    let mut resolved_path = there.canonicalize().ok()?;
    let goes_back = |part: &Component<'_>| matches!(part, Component::ParentDir);
    let again = rest.components().any(|part| goes_back(&part));
    for part in rest.components() {
        match goes_back(&part) {
            true => drop(resolved_path.pop()),
            false => resolved_path.push(part),
        }
    }
    // Behind a way back there may be something again.
    if again { resolved(&resolved_path) } else { Some(resolved_path) }
}

/// Bytes of a file up to its zero-filled end, to the block: what is written ahead of a log is
/// no content. Zeros are looked for in halves, so a block of zeros in the content may be taken
/// for the end: good enough to tell how far reading is.
#[must_use]
pub fn written_bytes(path: &Path) -> u64 {
    let read = || -> io::Result<u64> {
        let mut file = File::open(path)?;
        let (mut low, mut high) = (0, file.metadata()?.len().div_ceil(BLOCK_BYTES));
        while low < high {
            let middle = low.midpoint(high);
            let mut block = Vec::new();
            file.seek(SeekFrom::Start(middle * BLOCK_BYTES))?;
            Read::take(&file, BLOCK_BYTES).read_to_end(&mut block)?;
            match block.iter().all(|byte| *byte == 0) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Ok(low * BLOCK_BYTES)
    };
    // What cannot be read counts as nothing: only a bar depends on it.
    read().unwrap_or(0)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|e| Error::io("syncing", directory, e))
}

/// The same for several.
pub(crate) fn sync_directories<'a>(
    directories: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Error> {
    directories.into_iter().try_for_each(|directory| sync_directory(directory))
}

/// Makes a directory and those above it that are missing, durably.
pub(crate) fn make_directories(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if above != path {
        make_directories(above)?;
    }
    match fs::create_dir(path) {
        // Somebody else may have made it just now.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(Error::io("making", path, error))
        }
        _ => sync_directory(above),
    }
}

/// Replaces a file's content so that a crash leaves the old or the new one, durably.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io("writing", &beside, e))?;
    fs::rename(&beside, path).map_err(|e| Error::io("renaming to", path, e))?;
    sync_directory(parent(path))
}

/// Copies a file, durably but for its name; answers its bytes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<u64, Error> {
    let mut source = File::open(from).map_err(|e| Error::io("opening", from, e))?;
    let mut target = File::create(to).map_err(|e| Error::io("creating", to, e))?;
    let copied = io::copy(&mut source, &mut target).map_err(|e| Error::io("copying to", to, e))?;
    target.sync_all().map_err(|e| Error::io("syncing", to, e))?;
    Ok(copied)
}

/// The files below a directory, sorted; none if there is no directory.
pub(crate) fn below(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for directory in directories_below(directory)? {
        for name in names(&directory)? {
            let path = directory.join(name);
            if !path.is_dir() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A directory and those below it; none if it is not there.
pub(crate) fn directories_below(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found: Vec<PathBuf> =
        Some(directory.to_owned()).filter(|d| d.is_dir()).into_iter().collect();
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        for name in names(&directory)? {
            let path = directory.join(name);
            if path.is_dir() {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Removes a file or a whole directory, durably; fine if there is none.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|e| Error::io("removing", path, e))?;
    sync_directory(parent(path))
}

/// The directory a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_behind_the_content_are_not_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        for (content, zeros, bytes) in
            [(0, 0, 0), (0, 9_000, 0), (1, 0, 4_096), (9_000, 70_000, 12_288)]
        {
            fs::write(&path, [vec![7; content], vec![0; zeros]].concat()).expect("written");
            assert_eq!(written_bytes(&path), bytes, "{content} and {zeros}");
        }
        assert_eq!(written_bytes(&folder.path().join("missing")), 0);
    }

    #[test]
    fn a_path_is_followed_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().canonicalize().expect("it is there");
        assert_eq!(resolved(&folder.path().join("a/b")), Some(there.join("a/b")));
        let round = folder.path().join("..").join(there.file_name().expect("named")).join("c");
        assert_eq!(resolved(&round), Some(there.join("c")));
    }
}
