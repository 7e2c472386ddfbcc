//! What the figures were measured on: they mean nothing without it.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// The machine and the policy.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub processors: usize,
    pub processor: String,
    pub kernel: String,
    pub file_system: String,
    /// When a commit is acknowledged.
    pub fsync: &'static str,
    /// Who else used the processors: the average number of running tasks when it began.
    pub load_before: String,
}

impl Machine {
    /// Looks around; `folder` is where the data goes.
    pub fn look(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let model = read("/proc/cpuinfo").lines().find_map(|line| {
            Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned())
        });
        Self {
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            processor: model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(&read("/proc/mounts"), folder).unwrap_or_default(),
            fsync: "always",
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// The type of the file system that holds a folder: that of the longest mount point above it.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map(|(_, kind)| kind.to_owned())
}

/// The most memory this process ever held.
pub fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}

/// Processor time this process has used, in microseconds.
pub fn processor_us() -> f64 {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = status.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(FIELDS_BEFORE_TIMES).take(2).filter_map(|field| field.parse().ok());
    ticks.map(|ticks: f64| ticks * TICK_US).sum()
}

/// Fields between a process's name and its times in user and system mode, see `proc(5)`.
const FIELDS_BEFORE_TIMES: usize = 11;
/// Linux tells processor times in hundredths of a second.
const TICK_US: f64 = 10_000.0;
