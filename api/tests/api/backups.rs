//! Backups over HTTP, and a server over what was restored from one.

use backstitch_core::time::Timestamp;
use backstitch_journal::{RestorePoint, RestoreRequest, restore, unheard, verify};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

const BACKUPS: &str = "/api/v1/admin/backups";

/// Waits until no backup runs; answers the last one.
async fn ended(server: &Server) -> Value {
    loop {
        let (_, standing) = server.get(BACKUPS).await;
        if standing["running"].is_null() {
            return standing["ended"][0].clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_backed_up_and_another_goes_on_from_it() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let first = server.run("two", &json!({ "name": "Ann" })).await;
    let (status, begun) = server.post(BACKUPS, &json!({ "directory": "nightly" })).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let done = ended(&server).await;
    assert_eq!(done["result"], "whole", "{done}");
    let second = server.run("two", &json!({ "name": "Bob" })).await;
    let (_, again) = server.post(BACKUPS, &json!({ "directory": "nightly" })).await;
    assert_eq!(again["directory"], begun["directory"]);
    assert_eq!(ended(&server).await["result"], "whole");
    let (status, _) = answer(server.request(Method::DELETE, BACKUPS)).await;
    assert_eq!(status, StatusCode::OK);
    let folder = server.stop().await;
    let backup = folder.path().join("backups/nightly");
    assert!(verify(&backup).expect("it can be read").ok);
    let restored = tempfile::tempdir().expect("a temporary folder");
    let request = RestoreRequest {
        from: backup,
        to: restored.path().join("data"),
        point: RestorePoint::End,
        dry_run: false,
        at: Timestamp(4_000_000_000_000_000),
        reason: "a test".to_owned(),
        actor: "ann".to_owned(),
    };
    restore(&request, &mut unheard()).expect("it is restored");
    let server = Server::start_in(restored).await;
    let (_, info) = server.get("/info").await;
    assert_eq!(info["journal"]["generation"], 2, "{info}");
    let first_id = id_of(&first);
    for run in [first, second] {
        let id = run["execution_id"].as_str().expect("an id");
        let (status, shown) = server.get(&format!("/api/v1/executions/{id}")).await;
        assert_eq!((status, &shown["status"]), (StatusCode::OK, &run["status"]), "{shown}");
    }
    let third = server.run("two", &json!({})).await;
    assert_eq!(third["status"], "completed", "{third}");
    // An event is the same wherever it is met, and of the generation it was written under.
    for (run, generation) in [(&first_id, "1:"), (&id_of(&third), "2:")] {
        let whole = format!("/api/v1/events?execution_id={run}&limit=1000");
        let own = format!("/api/v1/executions/{run}/events");
        let of = async |path: &str| positions(&server.get(path).await.1["events"]);
        let (whole, own) = (of(&whole).await, of(&own).await);
        assert_eq!(whole, own);
        assert!(own.iter().all(|at| at.starts_with(generation)), "{own:?}");
    }
    let (_, audit) = server.get("/api/v1/audit?order=asc").await;
    let audited = positions(&audit["audit"]);
    assert!(audited[0].starts_with("1:"), "{audited:?}");
    let restored = audit["audit"].as_array().expect("rows").iter();
    let restored = restored.filter(|row| row["action"] == "store.restored");
    let restored: Vec<_> = restored.map(|row| row["position"].as_str().expect("text")).collect();
    assert!(!restored.is_empty() && restored.iter().all(|at| at.starts_with("2:")), "{restored:?}");
    server.stop().await;
}

fn id_of(run: &Value) -> String {
    run["execution_id"].as_str().expect("an id").to_owned()
}

fn positions(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| row["position"].as_str().expect("a position").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn places_outside_of_the_configured_one_are_refused() {
    let server = Server::start().await;
    for name in ["", "../elsewhere", "/elsewhere", "a/../../b", "./a"] {
        let (status, refused) = server.post(BACKUPS, &json!({ "directory": name })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {refused}");
    }
    let (status, refused) = server.post(BACKUPS, &json!({ "folder": "a" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
    let (_, standing) = server.get(BACKUPS).await;
    assert_eq!(standing, json!({ "running": null, "ended": [] }));
    server.stop().await;
}
