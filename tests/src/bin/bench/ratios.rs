//! Each figure beside what the floors of the same run allow.

use crate::figures::Figure;

/// The group of the floors.
pub const FLOORS: &str = "floors";
/// The group of appends to the journal.
pub const JOURNAL: &str = "journal";
/// The group of graphs in the core alone.
pub const GRAPH: &str = "graph";
/// The group of look-ups in the result cache.
pub const CACHE: &str = "cache";
/// The group of runs in this process.
pub const ENGINE: &str = "engine";
/// The group of runs over HTTP.
pub const HTTP: &str = "http";
/// The group of many runs at once.
pub const MANY: &str = "many";
/// Reads beside submissions, and idle streams.
pub const LOAD: &str = "load";
/// Dead letters.
pub const LETTERS: &str = "letters";
/// The group of large stores.
pub const SCALE: &str = "scale";
/// The floor of the disk.
pub const SYNC: &str = "4 KiB + fdatasync";
/// The floor of HTTP.
pub const ECHO: &str = "bare echo";

/// Fills in what share of each floor a figure reaches; 1 is as good as it gets.
///
/// - `sync`, of the journal: its commits against bare syncs;
/// - `sync`, of runs: against the same number of clients that do nothing but wait, one after
///   the other, for the syncs of a lone run, all clients sharing each sync;
/// - `echo`: against the bare server under the same load;
/// - `engine`: against the same runs without HTTP.
pub fn fill_in(figures: &mut [Figure]) {
    let all = figures.to_vec();
    for figure in figures {
        let shares: [(&'static str, Option<f64>); 3] = match figure.case.group {
            JOURNAL => [("sync", of_sync_commits(&all, figure)), ("", None), ("", None)],
            ENGINE => [("sync", of_syncs(&all, figure)), ("", None), ("", None)],
            HTTP => [
                ("sync", of_syncs(&all, figure)),
                ("echo", of_rate(&all, figure, FLOORS, ECHO)),
                ("engine", of_rate(&all, figure, ENGINE, &figure.case.case)),
            ],
            _ => continue,
        };
        let known = shares.into_iter().filter_map(|(name, share)| Some((name, share?)));
        figure.of_floor = known.collect();
    }
}

fn find<'a>(all: &'a [Figure], group: &str, case: &str, concurrency: usize) -> Option<&'a Figure> {
    all.iter().find(|figure| {
        let own = &figure.case;
        own.group == group && own.case == case && own.concurrency == concurrency
    })
}

fn of_rate(all: &[Figure], figure: &Figure, group: &str, case: &str) -> Option<f64> {
    let floor = find(all, group, case, figure.case.concurrency)?;
    Some(figure.per_second.median / floor.per_second.median)
}

fn of_sync_commits(all: &[Figure], figure: &Figure) -> Option<f64> {
    let floor = find(all, FLOORS, SYNC, 1)?;
    let records = figure.extra.get("records_per_commit")?.median;
    Some(figure.per_second.median / records / floor.per_second.median)
}

fn of_syncs(all: &[Figure], figure: &Figure) -> Option<f64> {
    let floor = find(all, FLOORS, SYNC, 1)?;
    let alone = find(all, figure.case.group, &figure.case.case, 1)?;
    let syncs = alone.extra.get("syncs_per_run")?.median;
    let best = figure.case.concurrency as f64 / (syncs * floor.p50_us.median / 1_000_000.0);
    Some(figure.per_second.median / best)
}
