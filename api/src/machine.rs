//! What the machine has and how much of it is used, as Linux tells it. In a container with limits,
//! what that may use counts.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The control group of this process, as a container sees its own.
const CONTROL_GROUP: &str = "/sys/fs/cgroup";
/// Rates are of at least so long a time, once there is as much.
const RATES_OVER: Duration = Duration::from_secs(1);
/// Ticks of Linux's clock in `/proc/stat` in a second, on every platform that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Some of a whole, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Used.
    pub used: f64,
    /// There are.
    pub total: f64,
}

impl Share {
    /// The part that is used.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        (self.total > 0.0).then(|| self.used / self.total * 100.0)
    }
}

/// How much is used; nothing where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Cores.
    pub cores: Option<Share>,
    /// Bytes of memory.
    pub memory: Option<Share>,
    /// Bytes of the disk that the data is on.
    pub disk: Option<Share>,
    /// Bits a second that come in and go out, of all networks but loopback.
    pub network: Option<(f64, f64)>,
}

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    cpu_seconds: Option<f64>,
    network_bytes: Option<(f64, f64)>,
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    cores: Option<f64>,
    network: Option<(f64, f64)>,
}

/// Looks at the machine, and remembers what rates are made of.
#[derive(Debug)]
pub struct Meter {
    last: Mutex<(Counters, Option<Rates>)>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { last: Mutex::new((Counters::now(), None)) }
    }
}

impl Meter {
    /// How much is used now; rates are of the time since the last look.
    #[must_use]
    pub fn look(&self, data_dir: &Path) -> Used {
        let rates = self.rates();
        let total = cores_total();
        Used {
            cores: rates.cores.zip(total).map(|(used, total)| Share { used, total }),
            memory: memory(),
            disk: disk(data_dir),
            network: rates.network,
        }
    }

    fn rates(&self) -> Rates {
        let now = Counters::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, known) = *last;
        match known {
            Some(known) if now.at - before.at < RATES_OVER => known,
            _ => {
                let rates = now.since(&before);
                *last = (now, Some(rates));
                rates
            }
        }
    }
}

impl Counters {
    fn now() -> Self {
        let network = read("/proc/net/dev");
        Self {
            at: Instant::now(),
            cpu_seconds: cpu_seconds(),
            network_bytes: network.as_deref().and_then(network_bytes),
        }
    }

    fn since(&self, before: &Self) -> Rates {
        let seconds = (self.at - before.at).as_secs_f64().max(0.001);
        let rate = |now: f64, before: f64| ((now - before) / seconds).max(0.0);
        let bits = |now: f64, before: f64| rate(now, before) * 8.0;
        Rates {
            cores: self.cpu_seconds.zip(before.cpu_seconds).map(|(now, before)| rate(now, before)),
            network: self
                .network_bytes
                .zip(before.network_bytes)
                .map(|(now, before)| (bits(now.0, before.0), bits(now.1, before.1))),
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn of_group(file: &str) -> Option<String> {
    read(&format!("{CONTROL_GROUP}/{file}"))
}

fn cores_total() -> Option<f64> {
    let limit = of_group("cpu.max").as_deref().and_then(cores_limit);
    let online = std::thread::available_parallelism().ok();
    #[expect(clippy::cast_precision_loss, reason = "there are few cores")]
    limit.or_else(|| online.map(|cores| cores.get() as f64))
}

/// Cores that a control group may use: `200000 100000` is two, `max 100000` as many as there are.
fn cores_limit(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
}

/// Seconds of processor time used so far: by the group if it is limited, else by the machine.
fn cpu_seconds() -> Option<f64> {
    if of_group("cpu.max").as_deref().and_then(cores_limit).is_some() {
        let used = field(&of_group("cpu.stat")?, "usage_usec")?;
        return Some(used / 1_000_000.0);
    }
    busy_seconds(&read("/proc/stat")?)
}

/// From the first line of `/proc/stat`: all but idle and waiting for disks.
fn busy_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|own| own.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; what follows is part of the first two.
    let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>();
    (ticks.len() >= 4).then_some(busy / TICKS_PER_SECOND)
}

fn memory() -> Option<Share> {
    let limit = of_group("memory.max").and_then(|text| text.trim().parse::<f64>().ok());
    if let Some(total) = limit {
        let held = of_group("memory.current")?.trim().parse::<f64>().ok()?;
        let cached = of_group("memory.stat").and_then(|stat| field(&stat, "inactive_file"));
        return Some(Share { used: (held - cached.unwrap_or(0.0)).max(0.0), total });
    }
    let table = read("/proc/meminfo")?;
    let kib = |name| field(&table, name).map(|kib| kib * 1_024.0);
    let total = kib("MemTotal:")?;
    Some(Share { used: total - kib("MemAvailable:")?, total })
}

/// The number behind a name that begins a line.
fn field(table: &str, name: &str) -> Option<f64> {
    let mut lines = table.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

#[expect(clippy::cast_precision_loss, reason = "right to 53 bits")]
fn disk(data_dir: &Path) -> Option<Share> {
    let told = rustix::fs::statvfs(data_dir).ok()?;
    let bytes = |blocks: u64| (blocks * told.f_frsize) as f64;
    // What is kept back for the system can't be used, and so is not there.
    let total = bytes(told.f_blocks - told.f_bfree + told.f_bavail);
    Some(Share { used: bytes(told.f_blocks - told.f_bfree), total })
}

/// Bytes that came in and went out, from Linux's table of networks, loopback left out.
fn network_bytes(table: &str) -> Option<(f64, f64)> {
    let lines = table.lines().filter_map(|line| line.split_once(':'));
    let others = lines.filter(|(name, _)| name.trim() != "lo");
    let mut sum = None;
    for (_, numbers) in others {
        let numbers: Vec<f64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        if let (Some(received), Some(sent)) = (numbers.first(), numbers.get(8)) {
            let (before_in, before_out) = sum.unwrap_or((0.0, 0.0));
            sum = Some((before_in + received, before_out + sent));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tables_are_read() {
        let stat = "cpu  100 20 30 4000 50 6 7 8 9 10\ncpu0 1 2 3 4\n";
        assert_eq!(busy_seconds(stat), Some(1.71));
        assert_eq!(busy_seconds("intr 1"), None);
        assert_eq!(cores_limit("150000 100000\n"), Some(1.5));
        assert_eq!(cores_limit("max 100000\n"), None);
        assert_eq!(field("anon 5\ninactive_file 42\n", "inactive_file"), Some(42.0));
        let networks = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n\
                        \x20   lo: 9 1 0 0 0 0 0 0 9 1\n  eth0: 100 2 0 0 0 0 0 0 50 1\n\
                        \x20 eth1: 1 1 0 0 0 0 0 0 2 1\n";
        assert_eq!(network_bytes(networks), Some((101.0, 52.0)));
    }

    #[test]
    fn shares_have_a_percentage_if_there_is_a_whole() {
        assert_eq!(Share { used: 1.0, total: 4.0 }.percent(), Some(25.0));
        assert_eq!(Share { used: 0.0, total: 0.0 }.percent(), None);
    }

    #[test]
    fn rates_are_of_the_time_in_between() {
        let before = Counters {
            at: Instant::now(),
            cpu_seconds: Some(1.0),
            network_bytes: Some((0.0, 100.0)),
        };
        let after = Counters {
            at: before.at + Duration::from_secs(2),
            cpu_seconds: Some(4.0),
            network_bytes: Some((250.0, 100.0)),
        };
        let rates = after.since(&before);
        assert_eq!((rates.cores, rates.network), (Some(1.5), Some((1_000.0, 0.0))));
    }
}
