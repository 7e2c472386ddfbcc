//! What is handed out where the task that does so gets less than everything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstitch_core::history::EventFilter;
use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;
use backstitch_journal::Options;
use serde_json::json;
use tokio::sync::oneshot;

use super::{Follower, NEWS_MAX};
use crate::handle::{Handle, Request};
use crate::{Config, Engine};

const RUNS: usize = 20;
const WAIT_MAX: Duration = Duration::from_secs(60);

fn engine(directory: &Path) -> Engine {
    let config = Config {
        data_dir: directory.to_owned(),
        journal: Options { partitions: 4, ballast_bytes: 0, ..Options::default() },
        registry: Arc::new(Registry::builtin(HttpConfig::default()).expect("executors")),
        signer: Default::default(),
        secrets: Default::default(),
        attempts_max: 8,
        slots: crate::slots::Settings::default(),
        breakers: crate::breakers::Settings::default(),
        fault_injection: false,
        hold: crate::hold::Hold::default(),
        cache_bytes_max: crate::cache::CACHE_BYTES_DEFAULT,
        drain: WAIT_MAX,
        shutdown: crate::Shutdown::Drain,
        policies: crate::policies::Settings::default(),
        retention: crate::retention::Settings::default(),
    };
    Engine::open(config).expect("the journal opens")
}

async fn run_some(handle: &Handle) {
    for _ in 0..RUNS {
        let request =
            Request::new(DEFAULT_NAMESPACE.into(), "w".to_owned(), json!({}), "test".to_owned());
        let (_, ended) = handle.submit_and_wait(request, WAIT_MAX).await.expect("accepted");
        ended.expect("it ends");
    }
}

/// Where events stand, until the last one of the journal.
async fn heard(follower: &mut Follower, handle: &Handle) -> Vec<(u16, u64)> {
    let newest = handle.newest_cursor().positions;
    let mut heard = Vec::new();
    while follower.positions.iter().zip(&newest).any(|(seen, newest)| seen < newest) {
        let next = tokio::time::timeout(WAIT_MAX, follower.next()).await;
        for one in next.expect("it is handed out").expect("it is read") {
            let event: serde_json::Value = serde_json::from_str(&one.json).expect("JSON");
            // Generation, partition and position.
            let place = event["position"].as_str().expect("a text").split(':').skip(1);
            let place: Vec<u64> = place.map(|own| own.parse().expect("a number")).collect();
            heard.push((u16::try_from(place[0]).expect("few"), place[1]));
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn what_found_no_room_is_read_once_for_all_who_follow() {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(directory.path());
    let handle = engine.handle();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(engine.run(async move { drop(stopped.await) }));
    let definition = json!({ "id": "w", "steps": [{ "id": "a", "type": "noop" }] });
    handle.define(&DEFAULT_NAMESPACE.into(), &definition, "test").await.expect("it is right");

    let all = EventFilter::default();
    let nobodys = EventFilter { workflow: Some("of-nobody".to_owned()), ..all.clone() };
    let mut follower = handle.follow(all, None).expect("it follows");
    let mut idle = handle.follow(nobodys, None).expect("it follows");
    for own in [&mut follower, &mut idle] {
        assert!(own.next().await.expect("nothing yet").is_empty() && own.is_idle());
    }
    let before = follower.positions.clone();
    let live = handle.live().clone();
    let room = live.0.news.reserve_many(NEWS_MAX).await.expect("nobody says anything");
    run_some(&handle).await;
    drop(room);
    run_some(&handle).await;

    let found = heard(&mut follower, &handle).await;
    for (partition, (first, last)) in (0..).zip(before.iter().zip(&follower.positions)) {
        let own = found.iter().filter(|(of, _)| *of == partition).map(|(_, position)| *position);
        assert!(own.eq(first + 1..=*last), "of partition {partition}: {found:?}");
    }
    // Whoever wanted none of it was not sent to read it: its seat is the one it took.
    assert!(idle.is_idle() && idle.pass_over());
    assert_eq!(idle.positions, follower.positions);
    drop((follower, idle, stop));
    running.await.expect("no panic").expect("a clean stop");
}
