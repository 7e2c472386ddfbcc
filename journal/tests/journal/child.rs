//! The program that is killed: this test binary started again, writing until it dies.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use backstitch_core::time::Timestamp;
use backstitch_journal::{Fsync, Journal, Options, Part, unheard};

use crate::archive::small;
use crate::cut::cut_now;
use crate::workload::{Acknowledged, Writer, options, quick_options};

/// The child's data directory; set only for the child.
pub const DIRECTORY: &str = "JOURNAL_CHILD_DIRECTORY";
/// The file it writes acknowledgements to.
pub const ACKNOWLEDGED: &str = "JOURNAL_CHILD_ACKNOWLEDGED";
/// The seed of its life.
pub const SEED: &str = "JOURNAL_CHILD_SEED";
/// How many commits it writes before it ends without a word.
pub const COMMITS: &str = "JOURNAL_CHILD_COMMITS";

/// Set if the child is not to sync its log: for showing that it matters.
pub const UNSYNCED: &str = "JOURNAL_CHILD_UNSYNCED";

/// Set if the child's trees are to open quickly, and to be rewritten all the time.
pub const QUICK: &str = "JOURNAL_CHILD_QUICK";

/// Where the child backs its journal up, again and again, if it is to.
pub const BACKUP: &str = "JOURNAL_CHILD_BACKUP";
/// Set if the child is to fill small segments and to cut its chain again and again.
pub const CUTTING: &str = "JOURNAL_CHILD_CUTTING";
/// Commits between two cuts.
const COMMITS_OF_A_CUT: usize = 40;

/// The command that starts the child.
pub fn command(directory: &Path, acknowledged: &Path, seed: u64, commits: usize) -> Command {
    let program = std::env::current_exe().expect("a test has a program");
    let mut command = Command::new(program);
    command
        .args(["child::writes_until_it_dies", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(ACKNOWLEDGED, acknowledged)
        .env(SEED, seed.to_string())
        .env(COMMITS, commits.to_string())
        .stdin(Stdio::null());
    command
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("the parent sets all variables")
}

/// Rewrites every part, one after the other, and reads them whole. A failure has poisoned the
/// journal, and the writer tells.
fn rewrite_until_it_dies(journal: &Journal) {
    while Part::ALL.iter().all(|part| {
        let rewritten = journal.compact(*part).and_then(|()| journal.scrub());
        rewritten.is_ok()
    }) {}
}

/// Only the child runs this; as a test of its own it does nothing.
#[test]
fn writes_until_it_dies() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let acknowledged: File =
        OpenOptions::new().append(true).create(true).open(variable(ACKNOWLEDGED)).unwrap();
    let acknowledged = Mutex::new(acknowledged);
    let (seed, commits) = (variable(SEED).parse().unwrap(), variable(COMMITS).parse().unwrap());
    let unsynced = std::env::var_os(UNSYNCED).is_some();
    let fsync = if unsynced { Fsync::Never } else { Fsync::Always };
    // The store's ticks would sync the log too.
    let tick_ms = if unsynced { u64::from(u32::MAX) } else { options().tick_ms };
    let quick = std::env::var_os(QUICK).is_some();
    let cutting = std::env::var_os(CUTTING).is_some();
    let options = match (quick, cutting) {
        (true, _) => quick_options(),
        (_, true) => small(),
        _ => options(),
    };
    let opened = match Journal::open(directory, Options { fsync, tick_ms, ..options }) {
        Ok(opened) => opened,
        Err(error) => {
            println!("\nREFUSED {error}");
            return;
        }
    };
    let mut writer = Writer::take_over(opened, seed);
    if quick {
        let journal = writer.journal.clone();
        std::thread::spawn(move || rewrite_until_it_dies(&journal));
    }
    if let Some(to) = std::env::var_os(BACKUP) {
        let journal = writer.journal.clone();
        std::thread::spawn(move || {
            for round in 0.. {
                journal.backup(to.as_ref(), Timestamp(round), &mut unheard()).unwrap();
            }
        });
    }
    let told = move |commit: &Acknowledged| {
        let mut file = acknowledged.lock().unwrap();
        file.write_all(commit.line().as_bytes()).unwrap();
    };
    let told = Arc::new(told) as Arc<_>;
    let mut left = if cutting { commits } else { 0 };
    while left > 0 {
        let piece = left.min(COMMITS_OF_A_CUT);
        left -= piece;
        if let Err(error) = writer.write(piece, &told) {
            println!("\nREFUSED {error}");
            return;
        }
        cut_now(&mut writer);
    }
    let uncut = if cutting { 0 } else { commits };
    if let Err(error) = writer.write(uncut, &told) {
        println!("\nREFUSED {error}");
        writer.journal.close().unwrap();
        return;
    }
    std::process::abort();
}
