//! The first key of a store whose server does not run.

use std::collections::BTreeMap;

use backstitch_core::api_keys::evolve;
use backstitch_core::event::{Event, PartitionEvent};
use backstitch_core::ids::{Digest, PartitionId, StreamId};
use backstitch_journal::{Journal, Options, verify};
use replay_tool::{Screen, run};

use crate::directory::Writing;

const KEY: [&str; 5] = ["key", "--name", "first", "--permission", "*"];

#[test]
fn a_key_is_made_without_a_server_and_only_its_hash_is_kept() {
    let written = Writing::new().close();
    let text = written.text(&KEY);
    let text = text.trim_end();
    let made = written.json(&[&KEY[..], &["--namespace", "other", "--expires", "90d"]].concat());
    assert_eq!((&made["namespace"], &made["created_by"]), (&"other".into(), &"operator".into()));
    assert!(made["expires_at"].is_string() && made["token"].is_string(), "{made}");
    assert!(verify(written.path()).unwrap().ok);
    let opened = Journal::open(written.path(), Options::default()).unwrap();
    let own = opened.journal.history(&StreamId::Partition(PartitionId(0))).unwrap();
    let mut known = BTreeMap::new();
    for record in own.unwrap() {
        if let Event::Partition(PartitionEvent::ApiKey(event)) = &record.event {
            evolve(&mut known, event, record.recorded_at);
        }
    }
    let id = format!("key_{}", text.split('_').nth(1).unwrap());
    let key = &known[id.as_str()];
    assert_eq!((known.len(), key.digest), (2, Digest::of(text.as_bytes())));
    assert_eq!((key.permissions.join(" "), &*key.namespace), ("*".to_owned(), "default"));
}

#[test]
fn a_key_that_can_not_be_is_refused() {
    let written = Writing::new().close();
    let wrong = written.ask(&["key", "--name", "a", "--permission", "everything"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.complaints.contains("permissions[0]"), "{}", wrong.complaints);
    let online = run_online();
    assert_eq!(online, 2, "a server makes keys by itself");
    assert_eq!(written.json(&["stats"])["records"], 0);
}

fn run_online() -> u8 {
    let line = [&["replay-tool", "--server", "http://127.0.0.1:9"][..], &KEY].concat();
    run(line, Screen::default(), &mut Vec::new(), &mut Vec::new())
}
