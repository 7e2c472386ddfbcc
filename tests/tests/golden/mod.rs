//! Stores of every version that was ever released open for ever, and mean what they meant.
//!
//! `golden/store-N` holds a data directory as a killed server left it, each file compressed;
//! `golden/store-N.expected.json.zst` what that server had answered: lists, letters, and each
//! run with its events. Newer versions may say more, never something else.

use std::fs;
use std::path::{Path, PathBuf};

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::machine::replay;
use backstitch_core::report::{event_json, execution_json};
use backstitch_journal::{Journal, Options, verify};
use serde_json::Value;

use crate::crash::replayed::plans;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn unpack_file(from: &Path) -> Vec<u8> {
    let packed = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    zstd::decode_all(packed.as_slice()).expect("it was compressed whole")
}

/// Unpacks a directory of compressed files.
fn unpack(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the golden store is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            unpack(&path, &to.join(path.file_name().expect("it has a name")));
        } else {
            let name = path.file_stem().expect("each file has a name and `.zst`");
            fs::write(to.join(name), unpack_file(&path)).expect("it can be written");
        }
    }
}

/// Everything `expected` says is in `found`, which may say more.
fn assert_says(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or(&Value::Null);
                assert_says(found, expected, &format!("{place}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place} has another length");
            for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_says(found, expected, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

#[test]
fn the_first_format_opens_and_means_what_it_meant() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    unpack(&golden().join("store-1"), directory.path());
    let expected = unpack_file(&golden().join("store-1.expected.json.zst"));
    let expected: Value = serde_json::from_slice(&expected).expect("it is JSON");
    assert!(verify(directory.path()).expect("it can be read").ok);
    let options = Options { ballast_bytes: 0, ..Options::default() };
    let opened = Journal::open(directory.path(), options).expect("it opens");
    assert_eq!(opened.report.store_rebuilt, None, "the store is trusted as it was left");
    let journal = opened.journal;
    let workflows = opened.streams.into_iter().filter_map(|stream| {
        let records = journal.history(&stream).expect("it can be read")?;
        Some((stream, records))
    });
    let plans = plans(&workflows.collect());
    let runs = expected["executions"].as_object().expect("runs by id");
    assert_eq!(runs.len(), 22);
    for (id, expected) in runs {
        let run: ExecutionId = id.parse().expect("an id");
        let records = journal.history(&StreamId::Execution(run)).expect("it can be read");
        let records = records.expect("every run is there");
        let plan = match records.first().map(|first| &first.event) {
            Some(Event::Run(RunEvent::Submitted(first))) => plans[&first.digest].clone(),
            other => panic!("{id} begins with {other:?}"),
        };
        let events: Vec<Value> = records
            .iter()
            .map(|record| {
                let (word, data) = event_json(&record.event, Some(&plan));
                let at = record.recorded_at.to_string();
                serde_json::json!({
                    "type": word, "data": data, "version": record.version, "recorded_at": at,
                    "position": format!("1:{}:{}", run.partition, record.position),
                })
            })
            .collect();
        assert_says(&Value::from(events), &expected["events"], &format!("{id}.events"));
        let events = records.iter().map(|record| (&record.event, record.recorded_at));
        let state = replay(run, &plan, events).expect("every event fits");
        assert_says(&execution_json(&state), &expected["state"], id);
    }
    journal.close().expect("it closes");
    assert!(verify(directory.path()).expect("it can be read").ok);
}
