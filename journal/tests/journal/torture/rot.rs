//! Bit rot over a whole directory at rest: each flipped bit is refused, healed, reported or
//! harmless, and with the archive everything comes back by salvage.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    Error, Journal, Reader, SalvageRequest, VerifyOptions, salvage, unheard, verify_with,
};

use super::count;
use super::life::options;
use super::promises::checkpoint_of;
use crate::archive::settle;
use crate::crash::count_from_environment;
use crate::cut::cut_now;
use crate::damage::{choose, copy, files_below};
use crate::erased::check_history;
use crate::workload::{Dice, Writer, event_of, length_of, nobody};

const FLIPS: u64 = 60;
const FLIPS_LONG: u64 = 1_000;

type Histories = BTreeMap<StreamId, u64>;

/// What became of the flips.
#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    healed: u32,
    reported: u32,
    harmless: u32,
    salvaged_whole: u32,
    identity_lost: u32,
}

/// A directory with a base, an archive, a log, contents, a store, views and checkpoints.
fn quiet(directory: &Path) -> Histories {
    let opened = Journal::open(directory, options(false)).expect("the directory is whole");
    let mut writer = Writer::take_over(opened, 7);
    writer.write(300, &nobody()).expect("the directory is whole");
    settle(&writer.journal, directory, 1);
    cut_now(&mut writer);
    writer.write(250, &nobody()).expect("the directory is whole");
    settle(&writer.journal, directory, 1);
    let histories = histories(&writer.journal).expect("the directory is whole");
    let live = histories.iter().filter_map(|(stream, version)| match stream {
        StreamId::Execution(run) if *version < length_of(run) => {
            Some((*run, Box::new(checkpoint_of(run, *version))))
        }
        _ => None,
    });
    writer.journal.checkpoint(live.collect());
    writer.journal.close().expect("the directory is whole");
    for part in ["archive/base.arc", "log", "blobs", "store", "views", "checkpoints", "identity"] {
        assert!(directory.join(part).exists(), "{part}");
    }
    assert!(files_of(&directory.join("blobs")) == files_of(&directory.join("archive/contents")));
    histories
}

/// The files below a directory, by what stands behind it in their paths.
fn files_of(directory: &Path) -> BTreeSet<PathBuf> {
    let mut files = Vec::new();
    files_below(directory, &mut files);
    let below = |file: &PathBuf| file.strip_prefix(directory).expect("it is below").to_owned();
    files.iter().map(below).collect()
}

/// Every history, compared with what was written.
fn histories(journal: &Journal) -> Result<Histories, String> {
    let (mut found, mut wrong) = (Histories::new(), None);
    let each = journal.for_each_history(|stream, records| {
        let StreamId::Execution(run) = stream else { return };
        wrong = wrong.take().or(check_history(&run, &records).err());
        found.insert(StreamId::Execution(run), records.len() as u64);
    });
    each.map_err(|e| e.to_string())?;
    wrong.map_or(Ok(found), Err)
}

/// The histories of a chain, all of it there.
fn kept(directory: &Path) -> Histories {
    let mut found = Histories::new();
    let reader = Reader::open(directory).expect("it is a data directory");
    let read = reader.for_each_record(|record| {
        let StreamId::Execution(run) = record.stream else { return true };
        assert!(record.event == event_of(&run, record.version), "{run}");
        found.insert(StreamId::Execution(run), record.version);
        true
    });
    read.expect("it is whole");
    found
}

struct Flip<'a> {
    work: &'a Path,
    damaged: PathBuf,
    /// The flipped file below the directory.
    file: &'a Path,
    expected: &'a Histories,
    place: String,
}

impl Flip<'_> {
    fn is_content(&self) -> bool {
        self.file.starts_with("blobs")
    }

    /// What verify says of it; nothing is changed.
    fn is_reported(&self) -> bool {
        let whole = VerifyOptions { store: true, scratch: Some(self.work.join("scratch")) };
        match verify_with(&self.damaged, &whole, &mut unheard()) {
            Ok(report) => !report.ok,
            Err(Error::Identity { .. } | Error::Foreign { .. } | Error::Damaged { .. }) => true,
            Err(error) => panic!("{}: {error}", self.place),
        }
    }

    /// Salvage gives everything back.
    fn salvage(&self, tally: &mut Tally) {
        let to = self.work.join("salvaged");
        drop(fs::remove_dir_all(&to));
        let request = SalvageRequest {
            from: self.damaged.clone(),
            to: to.clone(),
            dry_run: false,
            scratch: Some(self.work.join("scratch")),
            at: Timestamp(9),
            actor: "ann".to_owned(),
        };
        if let Err(error) = salvage(&request, &mut unheard()) {
            let identity = self.file == Path::new("identity");
            assert!(identity, "{}: not salvaged: {error}", self.place);
            tally.identity_lost += 1;
            return;
        }
        assert!(&kept(&to) == self.expected, "{}: salvage lost something", self.place);
        tally.salvaged_whole += 1;
    }

    /// What a start does with it.
    fn open(&self, reported: bool, tally: &mut Tally) {
        let place = &self.place;
        let opened = match Journal::open(&self.damaged, options(false)) {
            Err(Error::Damaged { .. } | Error::Identity { .. } | Error::Foreign { .. }) => {
                assert!(reported, "{place}: refused, but verify finds nothing");
                tally.refused += 1;
                return;
            }
            Err(error) => panic!("{place}: {error}"),
            Ok(opened) => opened,
        };
        let healed = opened.report.store_rebuilt.is_some() || opened.report.views_emptied.is_some();
        let served = histories(&opened.journal);
        drop(opened);
        if self.is_content() {
            assert!(reported && !self.is_reported(), "{place}: it is not put back");
            assert!(served.as_ref() == Ok(self.expected), "{place}");
            tally.healed += 1;
            return;
        }
        let served = served.unwrap_or_else(|wrong| panic!("{place}: {wrong}"));
        assert!(&served == self.expected, "{place}: another state is served");
        let still = self.is_reported();
        match (healed, reported, still) {
            (true, _, _) | (_, true, false) => tally.healed += 1,
            (false, _, true) => tally.reported += 1,
            (false, false, false) => tally.harmless += 1,
        }
    }
}

#[test]
fn no_flipped_bit_is_ever_served() {
    let work = tempfile::tempdir().unwrap();
    let source = work.path().join("quiet");
    let expected = quiet(&source);
    let mut files = Vec::new();
    files_below(&source, &mut files);
    files.sort();
    files.retain(|path| fs::metadata(path).is_ok_and(|status| status.len() > 0));
    // Half the flips fall where most bytes are, the others on any file.
    let sizes: Vec<u64> =
        files.iter().map(|path| fs::metadata(path).map_or(0, |m| m.len())).collect();
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    let mut tally = Tally::default();
    let flips = count("JOURNAL_FLIPS", FLIPS, FLIPS_LONG);
    for flip in 0..flips {
        let index = match flip % 2 {
            0 => dice.below(files.len() as u64) as usize,
            _ => {
                let mut at = dice.below(sizes.iter().sum());
                let inside = |size: &u64| {
                    let here = at < *size;
                    at = at.saturating_sub(*size);
                    here
                };
                sizes.iter().position(inside).expect("it is below the sum")
            }
        };
        let file = files[index].strip_prefix(&source).expect("it is below");
        let damaged = work.path().join("damaged");
        drop(fs::remove_dir_all(&damaged));
        copy(&source, &damaged);
        let mut content = fs::read(damaged.join(file)).unwrap();
        let at = choose(&mut dice, &content);
        content[at] ^= 1 << dice.below(8);
        fs::write(damaged.join(file), &content).unwrap();
        let place = format!("flip {flip}: byte {at} of {}", file.display());
        let flip = Flip { work: work.path(), damaged, file, expected: &expected, place };
        let reported = flip.is_reported();
        flip.salvage(&mut tally);
        flip.open(reported, &mut tally);
    }
    println!("{flips} flips: {tally:?}");
}
