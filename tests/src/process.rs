//! What a process has used so far, as Linux counts it under `/proc`.
//!
//! What it wrote is not among it: `write_bytes` counts every page of a page-cache folio that is
//! touched, so that 512 bytes in a segment written ahead count as up to a mebibyte of which the
//! device sees 4 KiB. The journal counts its own bytes.

use std::fs;
use std::time::Duration;

/// How many ticks a second has in `/proc/PID/stat`; the same on every Linux platform we run on.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used since it began, and holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time on a processor, of all threads, in user and system mode.
    pub cpu: Duration,
    /// Memory it holds now.
    pub resident_bytes: u64,
}

/// The usage of a process; zeros where the system does not tell.
#[must_use]
pub fn usage(process_id: u32) -> Usage {
    let read = |file: &str| fs::read_to_string(format!("/proc/{process_id}/{file}")).ok();
    let field = |text: Option<String>, name: &str| {
        let line = text.as_deref().and_then(|text| text.lines().find_map(|l| l.strip_prefix(name)));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Usage {
        cpu: read("stat").and_then(|stat| cpu(&stat)).unwrap_or_default(),
        resident_bytes: field(read("status"), "VmRSS:") * 1_024,
    }
}

/// Fields 14 and 15 of `stat`, counted behind the name, which may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 99 0 0 0 12 30 0 0 20 0 3 0 100 1 2";
        assert_eq!(cpu(stat), Some(Duration::from_millis(420)));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(usage(std::process::id()).resident_bytes > 0);
    }
}
