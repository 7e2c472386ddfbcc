//! What `tests/power-cut/shim.c` recorded, call by call.

use std::path::PathBuf;

/// One recorded call.
#[derive(Debug, Clone)]
pub enum Call {
    Open {
        file: u32,
        created: bool,
        truncated: bool,
        directory: bool,
        path: PathBuf,
    },
    Write {
        file: u32,
        offset: usize,
        data: Vec<u8>,
    },
    /// `covered`: entries recorded before the call began.
    Sync {
        file: u32,
        covered: usize,
        data_only: bool,
    },
    /// A sync that failed: what it covered is in memory only, and no later one writes it.
    SyncFailed {
        file: u32,
        covered: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    MakeDirectory {
        path: PathBuf,
    },
    Truncate {
        file: u32,
        length: usize,
    },
    Allocate {
        file: u32,
        end: usize,
    },
    Acknowledged {
        text: Vec<u8>,
    },
    Unsupported {
        what: String,
    },
}

/// Reads a record; a torn last entry did not happen.
pub fn parse(record: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = record;
    while rest.len() >= 32 {
        let u32_at = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| {
            let number = u64::from_le_bytes(rest[at..at + 8].try_into().expect("8 bytes"));
            usize::try_from(number).expect("sizes fit")
        };
        let (kind, file, offset, length, extra) =
            (u32_at(0), u32_at(4), u64_at(8), u64_at(16), u64_at(24));
        let Some(data) = rest.get(32..32 + length) else { break };
        rest = &rest[32 + length..];
        let text = || String::from_utf8_lossy(data).into_owned();
        let path = || PathBuf::from(text());
        calls.push(match kind {
            1 => Call::Open {
                file,
                created: offset & 1 != 0,
                truncated: offset & 2 != 0,
                directory: offset & 4 != 0,
                path: path(),
            },
            2 => Call::Write { file, offset, data: data.to_vec() },
            3 | 4 => Call::Sync { file, covered: extra, data_only: kind == 4 },
            5 => {
                let both = text();
                let (from, to) = both.split_once('\0').expect("two paths");
                Call::Rename { from: from.into(), to: to.into() }
            }
            6 | 10 => Call::Remove { path: path() },
            7 => Call::Truncate { file, length: offset },
            8 => Call::MakeDirectory { path: path() },
            9 => Call::Acknowledged { text: data.to_vec() },
            11 => Call::Allocate { file, end: offset + extra },
            12 => Call::SyncFailed { file, covered: extra },
            _ => Call::Unsupported { what: text() },
        });
    }
    calls
}
