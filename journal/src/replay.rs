//! Bringing a store up to date at open: from the base, the archive and the log.
//!
//! Takes only what the store has not applied; a store that has nothing is made anew this way.

use crate::commit::Commit;
use crate::error::Error;
use crate::fence::FencedTree;
use crate::journal::Versions;
use crate::log::wal::recover::{Recovered, recover};
use crate::open::OpenReport;
use crate::options::Options;
use crate::pending::Take;
use crate::removal;
use crate::sources::Sources;
use crate::store::Store;
use crate::views::Views;

/// The store with the log's end in it, where the log ends, and the streams met on the way.
pub(crate) type Replayed = (Store, Recovered, Versions);

/// Reads the log beyond what the store has applied, into the store. `None` if the store
/// misses records that the log does not show from where it was read.
pub(crate) fn replay(
    sources: &Sources,
    options: &Options,
    (tree, views): (FencedTree, &Views),
    applied: &[u64],
    report: &mut OpenReport,
) -> Result<Option<Replayed>, Error> {
    let store = Store::new(Some(tree), applied, options.tick_after_bytes);
    let (mut seen, mut gap, mut replayed) = (Versions::new(), false, 0);
    if !take_base(sources, options, &store, applied, &mut seen)? {
        return Ok(None);
    }
    let mut take = |commit: &Commit| {
        if gap {
            return Ok(());
        }
        gap = !store.replay(commit, &mut seen)?;
        views.remove_all(removal::of_commit(commit).iter().map(|(run, _)| run))?;
        views.replay(commit, |stream| store.history(stream).ok().flatten());
        replayed += 1;
        write_if_much(&store, options)
    };
    let archived = sources.feed_before_log(applied, &mut take)?;
    let recovered = recover(sources, applied, &mut take)?;
    // A removed run is nobody's to take over.
    seen.retain(|_, version| *version > 0);
    report.torn_tail = report.torn_tail.take().or(recovered.torn.clone());
    report.segments_read = archived + recovered.segments_read;
    report.segments_healed.extend(&recovered.healed);
    report.commits_replayed = replayed;
    Ok(Some((store, recovered, seen)).filter(|_| !gap))
}

/// Takes the base into a store that has nothing of what was cut. Answers `false` if the store
/// has a part of it and misses another, so that it must be made anew.
fn take_base(
    sources: &Sources,
    options: &Options,
    store: &Store,
    applied: &[u64],
    seen: &mut Versions,
) -> Result<bool, Error> {
    let Some(base) = sources.base()? else { return Ok(true) };
    let anchor = &base.header().heads;
    if anchor.iter().zip(applied).all(|(head, &at)| head.sequence <= at) {
        return Ok(true);
    }
    if applied.iter().any(|&at| at > 0) {
        return Ok(false);
    }
    base.for_each_entry(|entry| {
        store.restore(&entry, seen)?;
        write_if_much(store, options)
    })?;
    store.pending.begin_at(anchor.iter().map(|head| head.sequence).collect());
    Ok(true)
}

fn write_if_much(store: &Store, options: &Options) -> Result<(), Error> {
    if store.pending.bytes() >= options.tick_after_bytes
        && let Some(selection) = store.select(Take::All)
    {
        store.write(&selection)?;
    }
    Ok(())
}
