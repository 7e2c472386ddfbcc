//! Salvage: nothing provable is left behind, nothing that is not is written.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use backstitch_core::ids::{ExecutionId, PartitionId, StreamId};
use backstitch_core::time::Timestamp;
use backstitch_journal::{
    CheckedPart, Commit, Error, Journal, Options, Reader, Record, SalvageReport, SalvageRequest,
    StoreEvidence, VerifyOptions, salvage, unheard, verify, verify_with,
};

use crate::crash::count_from_environment;
use crate::damage::copy;
use crate::erased::check_history;
use crate::life::{check_open, check_served, quiet_directory, quiet_directory_with};
use crate::removal::finished;
use crate::restore::{commits, contents, unarchived};
use crate::workload::{Dice, Writer, nobody, options};

/// Damaged stores in one run of the tests; `JOURNAL_SALVAGES` asks for more.
const SALVAGES: u64 = 12;

fn salvaged(from: &Path, to: &Path) -> SalvageReport {
    let request = |dry_run| SalvageRequest {
        from: from.to_owned(),
        to: to.to_owned(),
        dry_run,
        scratch: Some(to.with_extension("scratch")),
        at: Timestamp(7_000_000),
        actor: "ann".to_owned(),
    };
    let before = contents(from);
    let said = salvage(&request(true), &mut unheard()).expect("it can be read");
    assert!(!to.exists(), "a dry run writes nothing");
    let report = salvage(&request(false), &mut unheard()).expect("it is salvaged");
    assert_eq!(SalvageReport { dry_run: true, ..report.clone() }, said);
    assert!(contents(from) == before, "the source is as it was");
    let checked = verify(to).expect("it can be read");
    // A payload beside the records that is damaged in the source is all that may be.
    let damaged = |directory: &Path| {
        let report = verify(directory).ok();
        let problems = report.into_iter().flat_map(|report| report.problems);
        let contents = problems.filter(|problem| problem.part == CheckedPart::Blobs);
        contents.map(|problem| problem.damage.detail).collect::<Vec<_>>()
    };
    let known = checked.ok || (damaged(to) == damaged(from) && checked.problems.len() == 1);
    assert!(known, "{checked:?}");
    report
}

fn histories(commits: &[Commit]) -> BTreeMap<StreamId, Vec<Record>> {
    let mut found: BTreeMap<StreamId, Vec<Record>> = BTreeMap::new();
    for record in commits.iter().flat_map(Commit::records) {
        found.entry(record.stream.clone()).or_default().push(record);
    }
    found.retain(|stream, _| matches!(stream, StreamId::Execution(_)));
    found
}

/// Versions and events; positions are others in a new generation.
fn facts(histories: &BTreeMap<StreamId, Vec<Record>>) -> BTreeMap<StreamId, Vec<(u64, String)>> {
    let fact = |record: &Record| (record.version, format!("{:?}", record.event));
    let all = histories.iter();
    all.map(|(stream, records)| (stream.clone(), records.iter().map(fact).collect())).collect()
}

fn sorted(mut commits: Vec<Commit>) -> Vec<Commit> {
    commits.sort_by_key(|commit| (commit.partition(), commit.sequence()));
    commits
}

/// Flips a bit of what is written in a file.
fn flip(path: &Path, dice: &mut Dice) {
    let mut content = fs::read(path).expect("it is there");
    let last = content.iter().rposition(|&byte| byte != 0).unwrap_or(0) as u64;
    content[dice.below(last + 1) as usize] ^= 1 << dice.below(8);
    fs::write(path, content).expect("there is space");
}

fn files(directory: &Path, part: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    crate::damage::files_below(&directory.join(part), &mut found);
    found.sort();
    found
}

#[test]
fn with_the_archive_everything_comes_back_to_the_byte() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    let kept = Options { log_segments_kept: 100, ..options() };
    let acknowledged = quiet_directory_with(&quiet, 900, kept);
    assert!(files(&quiet, "archive").len() >= 2, "segments are archived");
    let all = sorted(commits(&quiet));
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 1));
    for number in 0..count_from_environment("JOURNAL_SALVAGES", SALVAGES) {
        let (damaged, target) = (work.path().join("damaged"), work.path().join("target"));
        for leftover in [&damaged, &target] {
            drop(fs::remove_dir_all(leftover));
        }
        copy(&quiet, &damaged);
        // Both copies of a segment, each somewhere else; or one of them gone; no store either.
        let mut archived = files(&damaged, "archive");
        archived.retain(|path| path.extension().is_some_and(|kind| kind == "arc"));
        let chosen = &archived[dice.below(archived.len() as u64) as usize];
        let name = chosen.file_stem().unwrap().to_string_lossy().into_owned();
        let in_log = damaged.join(format!("log/{name}.seg"));
        match number % 4 {
            0 => flip(chosen, &mut dice),
            1 => flip(&in_log, &mut dice),
            2 => fs::remove_file(chosen).unwrap(),
            _ => fs::remove_file(&in_log).unwrap(),
        }
        drop(fs::remove_dir_all(damaged.join("store")));
        let report = salvaged(&damaged, &target);
        assert!(report.whole, "{report:?}");
        assert_eq!(report.generation, 1);
        assert!(sorted(commits(&target)) == all, "the same to the byte");
        check_open(&target, options(), &crate::life::lines(&acknowledged)).unwrap();
    }
}

#[test]
fn what_the_log_has_lost_the_store_gives_back() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    quiet_directory_with(&quiet, 700, unarchived());
    let all = facts(&histories(&commits(&quiet)));
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 2));
    for number in 0..count_from_environment("JOURNAL_SALVAGES", SALVAGES) {
        let (damaged, target) = (work.path().join("damaged"), work.path().join("target"));
        for leftover in [&damaged, &target] {
            drop(fs::remove_dir_all(leftover));
        }
        copy(&quiet, &damaged);
        let segments = files(&damaged, "log");
        match number % 3 {
            // The whole log but for what says whose it is.
            0 => fs::remove_file(&segments[0]).unwrap(),
            1 => {
                let mut content = fs::read(&segments[0]).unwrap();
                let at = 8_192 + dice.below(200_000) as usize;
                content[at..at + 30_000].fill(0x5A);
                fs::write(&segments[0], content).unwrap();
            }
            _ => (0..5).for_each(|_| flip(&segments[dice.below(2) as usize], &mut dice)),
        }
        let report = salvaged(&damaged, &target);
        assert!(report.runs_cut.is_empty(), "{report:?}");
        let lost: u64 = report.partitions.iter().map(|partition| partition.records_lost).sum();
        assert_eq!(lost, 0, "{report:?}");
        assert!(facts(&histories(&commits(&target))) == all, "every record is there");
        if !report.whole {
            assert_eq!((report.generation, report.store), (2, StoreEvidence::Proven));
        }
        let runs = check_served(&target, options(), &[]).unwrap();
        assert!(runs.len() >= all.len());
    }
}

/// In plain words: of each history all versions up to the first that is gone.
fn model(all: &[Commit], gone: impl Fn(&Commit) -> bool) -> HashMap<StreamId, u64> {
    let mut kept: HashMap<StreamId, u64> = HashMap::new();
    for commit in all.iter().filter(|commit| !gone(commit)) {
        for record in commit.records() {
            let last = kept.entry(record.stream).or_insert(0);
            if record.version == *last + 1 {
                *last = record.version;
            }
        }
    }
    kept.retain(|_, version| *version > 0);
    kept
}

#[test]
fn without_another_copy_histories_are_kept_to_their_first_gap() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    quiet_directory_with(&quiet, 500, unarchived());
    for part in ["store", "views"] {
        fs::remove_dir_all(quiet.join(part)).unwrap();
    }
    let all = commits(&quiet);
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 3));
    for _ in 0..count_from_environment("JOURNAL_SALVAGES", SALVAGES) {
        let (damaged, target) = (work.path().join("damaged"), work.path().join("target"));
        for leftover in [&damaged, &target] {
            drop(fs::remove_dir_all(leftover));
        }
        copy(&quiet, &damaged);
        // One commit is broken in its middle: all around it, in its group too, is whole.
        let victim = &all[dice.below(all.len() as u64 - 1) as usize];
        let broken = break_commit(&damaged, victim);
        assert!(broken, "the commit is in the log");
        let report = salvaged(&damaged, &target);
        assert!(!report.whole);
        assert_eq!(report.store, StoreEvidence::NotProven);
        let gone = |commit: &Commit| commit.head().hash == victim.head().hash;
        let is_last = |commit: &&Commit| {
            commit.partition() == victim.partition() && commit.sequence() > victim.sequence()
        };
        if !all.iter().any(|commit| is_last(&commit)) {
            continue;
        }
        let mut expected = model(&all, gone);
        let mut found: HashMap<StreamId, u64> = HashMap::new();
        let reader = Reader::open(&target).unwrap();
        for (stream, mut records) in histories(&commits(&target)) {
            let StreamId::Execution(run) = &stream else { continue };
            reader.give_back(&mut records).unwrap();
            check_history(run, &records).unwrap();
            found.insert(stream, records.len() as u64);
        }
        expected.retain(|stream, _| matches!(stream, StreamId::Execution(_)));
        assert_eq!(found, expected);
        drop(reader);
        let short = |run: &backstitch_journal::CutRun| (run.stream.clone(), run.last_version);
        for (run, version) in report.runs_cut.iter().map(short) {
            let stream = StreamId::Execution(run.parse().unwrap());
            assert_eq!(expected.get(&stream).copied().unwrap_or(0), version);
        }
        check_served(&target, options(), &[]).unwrap();
    }
}

/// Flips a bit inside of a commit's bytes, wherever they are in the log.
fn break_commit(directory: &Path, victim: &Commit) -> bool {
    for path in files(directory, "log") {
        let mut content = fs::read(&path).expect("it is there");
        let bytes = victim.bytes();
        if let Some(at) = content.windows(bytes.len()).position(|window| window == bytes) {
            content[at + bytes.len() / 2] ^= 1;
            fs::write(&path, content).expect("there is space");
            return true;
        }
    }
    false
}

#[test]
fn a_store_without_its_identity_or_the_end_of_its_log_is_salvaged() {
    let work = tempfile::tempdir().unwrap();
    let (quiet, target) = (work.path().join("quiet"), work.path().join("target"));
    let acknowledged = quiet_directory(&quiet, 200);
    let all = commits(&quiet);
    fs::remove_file(quiet.join("identity")).unwrap();
    let report = salvaged(&quiet, &target);
    assert!(report.whole, "{report:?}");
    check_open(&target, options(), &acknowledged).unwrap();
    // The log's end is gone; the store has seen it.
    let written = |path: &std::path::PathBuf| fs::read(path).unwrap().iter().any(|&b| b != 0);
    let last = files(&quiet, "log").into_iter().rfind(written).expect("there is a segment");
    let mut content = fs::read(&last).unwrap();
    content[8_192..].fill(0);
    fs::write(&last, content).unwrap();
    let report = salvaged(&quiet, &work.path().join("second"));
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    assert!(facts(&histories(&commits(&work.path().join("second")))) == facts(&histories(&all)));
}

#[test]
fn commits_out_of_their_order_are_put_back_and_foreign_ones_left_out() {
    let work = tempfile::tempdir().unwrap();
    let (one, other) = (work.path().join("one"), work.path().join("other"));
    quiet_directory_with(&one, 120, unarchived());
    quiet_directory_with(&other, 120, unarchived());
    let all = sorted(commits(&one));
    drop(fs::remove_dir_all(one.join("store")));
    let segment = one.join("log/0000000001.seg");
    let mut content = fs::read(&segment).unwrap();
    let first = 4_096;
    // The first groups change places, and another store's stand between.
    let (head, tail) = content.split_at_mut(first + 8_192);
    head[first..].swap_with_slice(&mut tail[..8_192]);
    let foreign = fs::read(other.join("log/0000000001.seg")).unwrap();
    let end = content.iter().rposition(|&byte| byte != 0).unwrap();
    let behind = (end + 1).next_multiple_of(512);
    content[behind..behind + 4_096].copy_from_slice(&foreign[first..first + 4_096]);
    fs::write(&segment, content).unwrap();
    assert!(!verify(&one).unwrap().ok);
    let target = work.path().join("target");
    let report = salvaged(&one, &target);
    let kept: u64 = report.partitions.iter().map(|partition| partition.commits_kept).sum();
    let rewritten: u64 = report.partitions.iter().map(|p| p.commits_rewritten).sum();
    assert!(kept + rewritten >= all.len() as u64 - 2, "one may span the cut: {report:?}");
    assert!(PartitionId(0) == all[0].partition());
}

/// Bits flipped anywhere, one for each salvage; `JOURNAL_FLIPS` asks for more.
const FLIPS: u64 = 16;

#[test]
fn no_single_flip_anywhere_costs_a_record() {
    let work = tempfile::tempdir().unwrap();
    let quiet = work.path().join("quiet");
    quiet_directory(&quiet, 900);
    let all = facts(&histories(&commits(&quiet)));
    let mut everything = files(&quiet, "");
    everything.retain(|path| fs::metadata(path).unwrap().len() > 0);
    assert!(everything.iter().any(|path| path.to_string_lossy().ends_with(".arc")));
    let mut dice = Dice(count_from_environment("JOURNAL_SEED", 5));
    let (mut found, mut harmless, mut rewritten) = (0, 0, 0);
    for number in 0..count_from_environment("JOURNAL_FLIPS", FLIPS) {
        let (damaged, target) = (work.path().join("damaged"), work.path().join("target"));
        for leftover in [&damaged, &target] {
            drop(fs::remove_dir_all(leftover));
        }
        copy(&quiet, &damaged);
        let chosen = &everything[dice.below(everything.len() as u64) as usize];
        let chosen = damaged.join(chosen.strip_prefix(&quiet).unwrap());
        flip(&chosen, &mut dice);
        let place = format!("flip {number} in {}", chosen.display());
        let scratch = Some(work.path().join("scratch"));
        let options = VerifyOptions { store: true, scratch };
        match verify_with(&damaged, &options, &mut unheard()) {
            Ok(report) if report.ok => harmless += 1,
            Ok(_) | Err(Error::Identity { .. }) => found += 1,
            Err(error) => panic!("{place}: {error}"),
        }
        let report = salvaged(&damaged, &target);
        assert!(report.runs_cut.is_empty(), "{place}: {report:?}");
        rewritten += u64::from(!report.whole);
        assert!(facts(&histories(&commits(&target))) == all, "{place}: every record is there");
    }
    println!("{found} found by verify, {harmless} harmless, {rewritten} chains written anew");
}

/// Behind a gap, too, what follows a removal under the same id is another life.
#[test]
fn a_run_that_began_anew_behind_a_gap_is_salvaged() {
    let work = tempfile::tempdir().unwrap();
    let data = work.path().join("data");
    let mut writer = Writer::take_over(Journal::open(&data, unarchived()).unwrap(), 3);
    writer.write(120, &nobody()).unwrap();
    let again = finished(&writer.journal)[0].execution;
    let lost = ExecutionId { digits: 4_242, ..again };
    writer.begin(&lost, 1).unwrap();
    writer.remove(&[again]).unwrap();
    writer.begin(&again, 1).unwrap();
    writer.journal.close().unwrap();
    drop(writer);
    let mut at = None;
    let reader = Reader::open(&data).unwrap();
    let found = reader.for_each_commit(|commit, location| {
        let is_lost = |record: &Record| record.stream == StreamId::Execution(lost);
        at = at.or(commit.records().iter().any(is_lost).then_some(location));
        true
    });
    found.unwrap();
    drop(reader);
    let at = at.expect("it was written");
    let segment = data.join(format!("log/{:010}.seg", at.segment));
    let mut content = fs::read(&segment).unwrap();
    content[usize::try_from(at.offset).unwrap() + 50] ^= 1;
    fs::write(&segment, content).unwrap();
    fs::remove_dir_all(data.join("store")).unwrap();
    let target = work.path().join("target");
    let report = salvaged(&data, &target);
    assert!(!report.whole && report.runs_cut.is_empty(), "{report:?}");
    let history = |run| Reader::open(&target).unwrap().history(&StreamId::Execution(run)).unwrap();
    assert_eq!(history(again).map(|records| records.len()), Some(1));
    assert_eq!(history(lost), None);
}
