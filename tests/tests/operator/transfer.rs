//! Runs as files, between a server and directories without one; payloads kept apart.

use serde_json::{Value, json};

use super::{Scene, WAIT_SECONDS, ask, execute, on_runtime, send, told, told_json};

/// A payload of this many characters is kept beside its record.
const LARGE: usize = 100_000;

#[test]
fn runs_go_from_server_to_directory_and_back() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        let online = ["--server", url.as_str()];
        scene.define(at, "order", "compensate").await;
        let runs = [execute(at, "order", WAIT_SECONDS).await, execute(at, "order", 0).await];
        super::until(online, &runs[1], "completed");
        let file = |name: &str| scene.folder.path().join(name).to_str().expect("text").to_owned();
        let all = told_json(online, &["export", "-o", &file("all"), "--status", "completed"]);
        assert_eq!(all["executions"], 2);
        let both = ["export", &runs[0][..], &runs[1], "-o", &file("both"), "--redact", "nothing"];
        assert_eq!(told_json(online, &both)["executions"], 2);
        let shown = told(online, &["--json", "show", &runs[0]]);
        let same = told_json(online, &["import", &file("all")]);
        assert_eq!((&same["imported"], &same["skipped"]), (&json!(0), &json!(2)));
        server.kill().expect("the server can be killed");

        // Another store, which no server has.
        let other = Scene::new();
        let server = other.serve().await;
        server.kill().expect("the server can be killed");
        let data_dir = other.data_dir();
        let offline = ["--data-dir", data_dir.as_str()];
        assert!(told(offline, &["import", &file("all")]).starts_with("2 runs imported"));
        assert_eq!(told(offline, &["--json", "show", &runs[0]]), shown);
        let again = told_json(offline, &["import", &file("both")]);
        assert_eq!((&again["imported"], &again["skipped"]), (&json!(0), &json!(2)));
        assert!(told(offline, &["verify"]).contains("whole"));
        let server = other.serve().await;
        let url = format!("http://{}", server.address());
        let online = ["--server", url.as_str()];
        assert_eq!(told(online, &["--json", "show", &runs[0]]), shown);
        assert_eq!(told_json(online, &["list", "--status", "completed"])["count"], 2);
        let broken = file("broken");
        std::fs::write(&broken, "no export\n").expect("the file can be written");
        let refused = ask(online, &["import", &broken]);
        assert_eq!(refused.code, Some(1), "{}", refused.complaints);
        assert!(refused.complaints.contains("INVALID_EXPORT"), "{}", refused.complaints);
    });
}

#[test]
fn payloads_are_shown_and_erased_by_a_server() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        let online = ["--server", url.as_str()];
        scene.define(at, "order", "compensate").await;
        let body = json!({ "input": { "text": "x".repeat(LARGE) }, "wait_seconds": WAIT_SECONDS });
        let begun = send(at, "POST", "/api/v1/workflows/order/execute", &body).await;
        let run = begun["execution_id"].as_str().expect("a run has an id");
        let events = told_json(online, &["events", run]);
        let digests: Vec<&Value> =
            events["events"].as_array().expect("events").iter().flat_map(digest_of).collect();
        let digest = digests.first().and_then(|own| own.as_str()).expect("one is kept beside");
        let shown = told(online, &["payload", "show", digest]);
        assert!(shown.contains("kept") && shown.contains(run), "{shown}");
        let erase = ["payload", "erase", digest];
        let dry = told(online, &[&erase[..], &["--dry-run"]].concat());
        assert!(dry.starts_with("would be erased"), "{dry}");
        assert_eq!(ask(online, &erase).code, Some(2));
        let done = told(online, &[&erase[..], &["--reason", "asked for"]].concat());
        assert!(done.starts_with("erased"), "{done}");
        assert!(told(online, &["payload", "collect", "--dry-run"]).contains("would be removed"));
        server.kill().expect("the server can be killed");
    });
}

fn digest_of(event: &Value) -> impl Iterator<Item = &Value> {
    event["kept_beside"].as_array().into_iter().flatten().map(|own| &own["digest"])
}

#[test]
fn replays_and_cuts_are_asked_of_a_server() {
    on_runtime(async {
        let scene = Scene::new();
        let server = scene.serve().await;
        let (at, url) = (server.address(), format!("http://{}", server.address()));
        let online = ["--server", url.as_str()];
        scene.define(at, "order", "compensate").await;
        let run = execute(at, "order", WAIT_SECONDS).await;
        assert_eq!(told(online, &["replays", "list"]), "no replays\n");
        let hook = format!("http://{}/fine", scene.service.address());
        let start = ["replays", "start", "--url", &hook, "--execution", &run, "--rate", "1000"];
        let (before, begun) = (scene.service.calls(), told_json(online, &start));
        let ended = replayed(online, &begun);
        assert_eq!(ended["status"], "completed", "{ended}");
        let delivered = ended["delivered"].as_u64().expect("a number");
        let events = told_json(online, &["events", &run]);
        assert_eq!(Some(delivered), events["events"].as_array().map(|all| all.len() as u64));
        assert_eq!(scene.service.calls() as u64 - before as u64, delivered);
        let into = told_json(online, &["replays", "start", "--view", "runs"]);
        assert_eq!(replayed(online, &into)["status"], "completed");
        let list = told(online, &["replays", "list"]);
        assert!(list.contains("the view `runs`") && list.contains(&hook), "{list}");
        let late = ["replays", "stop", into["replay_id"].as_str().expect("text"), "--reason", "x"];
        assert!(ask(online, &late).complaints.contains("REPLAY_COMPLETED"));
        let plan = told(online, &["cut", "plan", "--keep-for", "1d"]);
        assert!(plan.starts_with("nothing would be cut\n"), "{plan}");
        assert_eq!(ask(online, &["cut", "apply", "--keep-for", "1d"]).code, Some(2));
        let done = told_json(online, &["cut", "apply", "--keep-for", "1d", "--confirm"]);
        assert_eq!((&done["dry_run"], &done["segments"]), (&json!(false), &json!(0)));
        server.kill().expect("the server can be killed");
    });
}

/// Asks until a replay rests.
fn replayed(place: [&str; 2], begun: &Value) -> Value {
    let id = begun["replay_id"].as_str().expect("a replay has an id");
    loop {
        let shown = told_json(place, &["replays", "show", id]);
        if shown["status"] != "running" {
            return shown;
        }
    }
}
