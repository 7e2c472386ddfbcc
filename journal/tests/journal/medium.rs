//! A disk with a volatile write cache, played from a record of `tests/power-cut/shim.c`.
//!
//! Feeding entries moves it forward; at any point it can say what files a power cut there
//! could leave. Knows nothing of journals.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::calls::Call;
use crate::workload::Dice;

const BLOCK_BYTES: usize = 4_096;

type Inode = usize;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(Inode),
    Directory,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, Node>;

fn apply_name(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            let moved: Vec<PathBuf> =
                names.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let node = names.remove(&path).expect("it was just listed");
                let below = path.strip_prefix(from).expect("it was chosen by that");
                let target = if below.as_os_str().is_empty() { to.clone() } else { to.join(below) };
                names.insert(target, node);
            }
        }
    }
}

/// Names on the disk under one rule of when they become durable.
#[derive(Debug, Clone, Default)]
struct DurableNames {
    durable: Names,
    pending: Vec<(usize, NameChange)>,
}

impl DurableNames {
    /// Makes those changes durable that `reached` says, in order.
    fn settle(&mut self, reached: impl Fn(usize, &NameChange) -> bool) {
        let durable = &mut self.durable;
        self.pending.retain(|(at, change)| {
            let settled = reached(*at, change);
            if settled {
                apply_name(durable, change);
            }
            !settled
        });
    }
}

#[derive(Debug, Clone)]
enum DataChange {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<(usize, DataChange)>,
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

fn apply_data(content: &mut Vec<u8>, change: &DataChange) {
    match change {
        DataChange::Write(offset, data) => write(content, *offset, data),
        DataChange::Length(length) => content.resize(*length, 0),
    }
}

/// The disk.
#[derive(Debug, Default)]
pub struct Medium {
    names: Names,
    /// A sync of any file makes all earlier names durable.
    as_ext4: DurableNames,
    /// Only a sync of the directory does.
    as_posix: DurableNames,
    contents: HashMap<Inode, Content>,
    open: HashMap<u32, (PathBuf, Option<Inode>)>,
    entries: usize,
    /// Entries before the record that is fed.
    entries_before: usize,
    pub acknowledged: Vec<u8>,
}

impl Medium {
    /// A disk that holds what is below a directory, all of it durable.
    pub fn holding(directory: &Path) -> Self {
        let mut medium = Self::default();
        medium.take_in(directory);
        medium.as_ext4.durable = medium.names.clone();
        medium.as_posix.durable = medium.names.clone();
        medium
    }

    fn take_in(&mut self, directory: &Path) {
        let Ok(entries) = fs::read_dir(directory) else { return };
        self.names.insert(directory.to_owned(), Node::Directory);
        for entry in entries {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                self.take_in(&path);
                continue;
            }
            let inode = self.contents.len();
            let durable = fs::read(&path).expect("it can be read");
            self.contents.insert(inode, Content { durable, pending: Vec::new() });
            self.names.insert(path, Node::File(inode));
        }
    }

    /// The record of another process follows; what the one before left in the system's memory
    /// stays there.
    pub fn begin_record(&mut self) {
        self.open.clear();
        self.entries_before = self.entries;
    }

    /// Moves forward by one call.
    pub fn feed(&mut self, call: &Call) {
        let at = self.entries;
        self.entries += 1;
        match call {
            Call::Open { file, created, truncated, directory, path } => {
                if *created {
                    let inode = self.contents.len();
                    self.contents.insert(inode, Content::default());
                    self.change_name(at, NameChange::Put(path.clone(), Node::File(inode)));
                }
                let inode = match self.names.get(path) {
                    Some(Node::File(inode)) if !directory => Some(*inode),
                    _ => None,
                };
                if *truncated && !created {
                    self.change_data(at, inode, DataChange::Length(0));
                }
                self.open.insert(*file, (path.clone(), inode));
            }
            Call::Write { file, offset, data } => {
                self.change_data(at, self.inode(*file), DataChange::Write(*offset, data.clone()));
            }
            Call::Truncate { file, length } => {
                self.change_data(at, self.inode(*file), DataChange::Length(*length));
            }
            Call::Allocate { file, end } => {
                let inode = self.inode(*file);
                if inode.is_some_and(|inode| self.length(inode) < *end) {
                    self.change_data(at, inode, DataChange::Length(*end));
                }
            }
            Call::Sync { file, covered, data_only } => {
                self.sync(*file, self.entries_before + covered, *data_only);
            }
            Call::SyncFailed { file, covered } => {
                self.give_up(*file, self.entries_before + covered);
            }
            Call::Rename { from, to } => {
                self.change_name(at, NameChange::Rename(from.clone(), to.clone()));
            }
            Call::Remove { path } => self.change_name(at, NameChange::Remove(path.clone())),
            Call::MakeDirectory { path } => {
                self.change_name(at, NameChange::Put(path.clone(), Node::Directory));
            }
            Call::Acknowledged { text } => self.acknowledged.extend(text),
            Call::Unsupported { what } => panic!("the model does not know {what}"),
        }
    }

    fn inode(&self, file: u32) -> Option<Inode> {
        self.open.get(&file).and_then(|(_, inode)| *inode)
    }

    fn length(&self, inode: Inode) -> usize {
        let content = &self.contents[&inode];
        content.pending.iter().fold(content.durable.len(), |length, (_, change)| match change {
            DataChange::Write(offset, data) => length.max(offset + data.len()),
            DataChange::Length(length) => *length,
        })
    }

    fn change_name(&mut self, at: usize, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.as_ext4.pending.push((at, change.clone()));
        self.as_posix.pending.push((at, change));
    }

    fn change_data(&mut self, at: usize, inode: Option<Inode>, change: DataChange) {
        let inode = inode.expect("only files that were opened are written");
        let content = self.contents.get_mut(&inode).expect("an open file has content");
        content.pending.push((at, change));
    }

    fn sync(&mut self, file: u32, covered: usize, data_only: bool) {
        let (path, inode) = self.open.get(&file).cloned().expect("only open files are synced");
        let Some(inode) = inode else {
            self.as_ext4.settle(|at, _| at < covered);
            self.as_posix.settle(|at, change| at < covered && concerns(change, &path));
            return;
        };
        let content = self.contents.get_mut(&inode).expect("an open file has content");
        let Content { durable, pending } = content;
        pending.retain(|(at, change)| {
            let settled = *at < covered;
            if settled {
                apply_data(durable, change);
            }
            !settled
        });
        // ext4: an fsync commits all names so far; an fdatasync those up to its own creation.
        let own = self.as_ext4.pending.iter().rev().find_map(|(at, change)| match change {
            NameChange::Put(_, Node::File(put)) if *put == inode => Some(at + 1),
            _ => None,
        });
        let limit = if data_only { own.unwrap_or(0).min(covered) } else { covered };
        self.as_ext4.settle(|at, _| at < limit);
    }

    /// What a failed sync covered will never be on the disk: the system has let it go, and
    /// whoever reads it before a cut reads memory.
    fn give_up(&mut self, file: u32, covered: usize) {
        let Some(inode) = self.inode(file) else { return };
        let content = self.contents.get_mut(&inode).expect("an open file has content");
        content
            .pending
            .retain(|(at, change)| *at >= covered || matches!(change, DataChange::Length(_)));
    }

    /// Writes what a cut now could leave of the tree below `from`, to `to`.
    pub fn cut(&self, dice: &mut Dice, from: &Path, to: &Path) {
        let rule = if dice.below(2) == 0 { &self.as_ext4 } else { &self.as_posix };
        let style = Style::draw(dice);
        let mut names = rule.durable.clone();
        let kept = match style {
            Style::All => rule.pending.len(),
            Style::None => 0,
            _ => dice.below(rule.pending.len() as u64 + 1) as usize,
        };
        for (_, change) in &rule.pending[..kept] {
            apply_name(&mut names, change);
        }
        for (path, node) in &names {
            let reachable = path
                .ancestors()
                .skip(1)
                .take_while(|above| above.starts_with(from))
                .all(|above| names.get(above) == Some(&Node::Directory));
            let Ok(below) = path.strip_prefix(from) else { continue };
            if !reachable {
                continue;
            }
            let target = to.join(below);
            match node {
                Node::Directory => fs::create_dir_all(&target).expect("there is space"),
                Node::File(inode) => {
                    let content = style.content(dice, &self.contents[inode]);
                    fs::write(&target, content).expect("there is space");
                }
            }
        }
    }
}

/// Whether a change is one of names in a directory.
fn concerns(change: &NameChange, directory: &Path) -> bool {
    let within = |path: &Path| path.parent() == Some(directory);
    match change {
        NameChange::Put(path, _) | NameChange::Remove(path) => within(path),
        NameChange::Rename(from, to) => within(from) || within(to),
    }
}

/// How much of what is not synced a cut leaves.
#[derive(Debug, Clone, Copy)]
enum Style {
    None,
    All,
    Blocks,
    Newer,
}

impl Style {
    fn draw(dice: &mut Dice) -> Self {
        [Self::None, Self::All, Self::Blocks, Self::Blocks, Self::Blocks, Self::Newer]
            [dice.below(6) as usize]
    }

    fn content(self, dice: &mut Dice, content: &Content) -> Vec<u8> {
        let mut bytes = content.durable.clone();
        let share = dice.below(101);
        for (index, (_, change)) in content.pending.iter().enumerate() {
            let whole = match self {
                Self::None => continue,
                Self::All => true,
                Self::Newer if index < content.pending.len() / 2 => continue,
                Self::Newer => true,
                Self::Blocks => false,
            };
            match change {
                DataChange::Write(offset, data) if !whole => {
                    for piece in blocks(*offset, data.len()) {
                        if dice.below(100) < share {
                            write(&mut bytes, piece.0, &data[piece.0 - offset..piece.1 - offset]);
                        }
                    }
                }
                DataChange::Length(_) if !whole && dice.below(2) == 0 => {}
                change => apply_data(&mut bytes, change),
            }
        }
        bytes
    }
}

/// A range cut where disk blocks begin.
fn blocks(offset: usize, length: usize) -> Vec<(usize, usize)> {
    let (mut at, end) = (offset, offset + length);
    let mut pieces = Vec::new();
    while at < end {
        let next = ((at / BLOCK_BYTES + 1) * BLOCK_BYTES).min(end);
        pieces.push((at, next));
        at = next;
    }
    pieces
}
