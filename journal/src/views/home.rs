//! Where a view's files are: one directory, in it a tree by number and a pointer to the one
//! in force.
//!
//! ```text
//! views/runs/current      which tree, and its format; replaced as a whole
//! views/runs/1 1.marks    a tree and its marks
//! ```
//! A new tree is made beside the old one and comes into force with the pointer, so that a
//! crash leaves one of the two. What the pointer does not name is thrown away at open.

use std::path::{Path, PathBuf};

use crate::bytes::{Fields, Malformed};
use crate::error::Error;
use crate::fence::{FencedTree, TreeOptions};
use crate::files;
use crate::store::{decode_applied, encode_applied};
use crate::views::row::FORMAT;

const POINTER: &str = "current";

/// A view's directory.
#[derive(Debug, Clone)]
pub(super) struct Home {
    path: PathBuf,
    partitions: usize,
    options: TreeOptions,
}

/// A view's tree as it was found.
pub(super) struct Found {
    pub tree: FencedTree,
    pub number: u64,
    pub applied: Vec<u64>,
    /// Why it is a new one, if it is.
    pub emptied: Option<String>,
}

impl Home {
    pub(super) fn new(path: PathBuf, partitions: usize, options: TreeOptions) -> Self {
        Self { path, partitions, options }
    }

    /// Opens the tree in force, or makes an empty one in its place.
    ///
    /// # Errors
    /// If the file system refuses; a view that cannot be trusted is made anew.
    pub(super) fn open(&self) -> Result<Found, Error> {
        files::make_directories(&self.path)?;
        let emptied = match self.open_current()? {
            Ok(found) => {
                self.tidy(found.number)?;
                return Ok(found);
            }
            Err(why) => why,
        };
        let number = self.numbers()?.into_iter().max().unwrap_or(0) + 1;
        let tree = self.create(number)?;
        self.point_to(number)?;
        self.tidy(number)?;
        let applied = vec![0; self.partitions];
        Ok(Found { tree, number, applied, emptied: Some(emptied) })
    }

    fn open_current(&self) -> Result<Result<Found, String>, Error> {
        let (format, number) = match std::fs::read(self.path.join(POINTER)) {
            Ok(bytes) => match decode_pointer(&bytes) {
                Ok(pointer) => pointer,
                Err(error) => return Ok(Err(format!("the pointer to it is damaged: {error}"))),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Err("it is missing, or of an older layout".to_owned()));
            }
            Err(error) => return Err(Error::io("reading", &self.path.join(POINTER), error)),
        };
        if format != FORMAT {
            return Ok(Err(format!("its format is {format}, this program's is {FORMAT}")));
        }
        let (path, marks) = self.paths(number);
        Ok(match FencedTree::open(&path, &marks, self.options)? {
            Err(untrusted) => Err(untrusted.0),
            Ok((tree, applied)) => match decode_applied(&applied, self.partitions) {
                None => Err("its marks are of another number of partitions".to_owned()),
                Some(applied) => Ok(Found { tree, number, applied, emptied: None }),
            },
        })
    }

    /// Makes an empty tree beside the one in force.
    pub(super) fn create(&self, number: u64) -> Result<FencedTree, Error> {
        let (path, marks) = self.paths(number);
        let applied = encode_applied(&vec![0; self.partitions]);
        FencedTree::create(&path, &marks, self.options, &applied)
    }

    /// Puts a tree into force.
    pub(super) fn point_to(&self, number: u64) -> Result<(), Error> {
        files::replace(&self.path.join(POINTER), &encode_pointer(number))
    }

    /// Throws a tree away.
    pub(super) fn discard(&self, number: u64) -> Result<(), Error> {
        let (path, marks) = self.paths(number);
        FencedTree::discard(&path, &marks)
    }

    /// Throws away every tree but the one in force.
    fn tidy(&self, current: u64) -> Result<(), Error> {
        for number in self.numbers()?.into_iter().filter(|number| *number != current) {
            self.discard(number)?;
        }
        Ok(())
    }

    fn numbers(&self) -> Result<Vec<u64>, Error> {
        let names = files::names(&self.path)?;
        let number = |name: &String| name.split('.').next()?.parse().ok();
        let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn paths(&self, number: u64) -> (PathBuf, PathBuf) {
        paths_in(&self.path, number)
    }
}

/// The trees in force below `views`, with their marks, changing nothing.
pub(crate) fn trees_in_force(views: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    let mut found = Vec::new();
    if !views.exists() {
        return Ok(found);
    }
    for name in files::names(views)? {
        let home = views.join(name);
        let pointer = std::fs::read(home.join(POINTER)).ok();
        if let Some((FORMAT, number)) = pointer.and_then(|bytes| decode_pointer(&bytes).ok()) {
            found.push(paths_in(&home, number));
        }
    }
    Ok(found)
}

fn paths_in(home: &Path, number: u64) -> (PathBuf, PathBuf) {
    (home.join(number.to_string()), home.join(format!("{number}.marks")))
}

/// Removes the views of the layout that had them all in one tree. Answers whether there
/// were any.
pub(super) fn remove_single_tree(views: &Path, marks: &Path) -> Result<bool, Error> {
    let was = marks.exists() || views.join("db").exists();
    if was {
        // The marks last: they tell the next start, should this one be cut short.
        files::remove(views)?;
        files::remove(marks)?;
    }
    Ok(was)
}

fn encode_pointer(number: u64) -> Vec<u8> {
    let mut bytes = FORMAT.to_le_bytes().to_vec();
    bytes.extend(number.to_le_bytes());
    bytes.extend(*blake3::hash(&bytes).as_bytes());
    bytes
}

fn decode_pointer(bytes: &[u8]) -> Result<(u16, u64), Malformed> {
    let mut fields = Fields::of(bytes);
    let (format, number) = (fields.u16()?, fields.u64()?);
    let covered = &bytes[..bytes.len() - fields.rest().len()];
    if fields.array::<32>()? != *blake3::hash(covered).as_bytes() {
        return Err(Malformed::because("its hash does not match"));
    }
    Ok((format, number))
}
