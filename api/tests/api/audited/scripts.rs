//! What each action is done by, in short stories; each request is called after what it does.

use reqwest::Method;
use serde_json::{Value, json};

use super::Site;
use crate::callbacks::receiver::Receiver;
use crate::server::{TWO_STEPS, answer};

/// Waits for a signal behind a step that can be undone.
pub const HELD: &str = "
id: held
steps:
  - { id: first, type: noop, with: { output: { n: '{{ input.n }}' } }, undo: { type: noop } }
  - { id: hold, type: wait, needs: [first], with: { signal: go } }
";
const SUSPENDING: &str = "
id: suspending
on_failure: suspend
steps:
  - { id: bad, type: noop, retry: none, with: { fail: { message: busy } }, undo: { type: noop } }
  - { id: last, type: noop, needs: [bad] }
";
const TRIP: &str = "
id: trip
on_no_undo: suspend
steps:
  - { id: mail, type: noop }
  - { id: last, type: noop, needs: [mail], retry: none, undo: none, with: { fail: { permanent: true } } }
";
const HALTING: &str = "
id: halting
on_failure: halt
steps:
  - { id: first, type: noop, with: { output: { n: 1 } }, undo: { type: noop } }
  - { id: bad, type: noop, needs: [first], when: input.bad, retry: none, with: { fail: { permanent: true } } }
";
const ERASABLE: &str = "
id: erasable
erasable: true
steps: [{ id: only, type: noop, with: { output: '{{ input }}' } }]
";

pub async fn define(site: &Site, yaml: &str) {
    let request = site.request("workflow.defined", Method::POST, "/api/v1/workflows");
    let request = request.header("content-type", "application/yaml").body(yaml.to_owned());
    let (status, told) = answer(request).await;
    assert!(status.is_success(), "{told}");
}

fn why(reason: &str) -> Value {
    json!({ "reason": reason })
}

/// Definitions, roll-outs, and whether runs begin.
pub async fn workflows(site: &Site) {
    define(site, TWO_STEPS).await;
    define(site, &TWO_STEPS.replace("hello", "good day")).await;
    for (word, action) in [("disable", "workflow.disabled"), ("enable", "workflow.enabled")] {
        site.does(action, &format!("/api/v1/workflows/two/{word}"), why("a break")).await;
    }
    let rollout = "/api/v1/workflows/two/rollout";
    let wish = json!({ "stable": 1, "candidate": 2, "percent": 30, "reason": "try it" });
    site.sends("rollout.set", Method::PUT, rollout, wish).await;
    site.does("rollout.killed", &format!("{rollout}/kill"), why("no")).await;
    site.sends("rollout.ended", Method::DELETE, rollout, why("done")).await;
    define(site, "{ id: old, steps: [{ id: a, type: noop }] }").await;
    let old = "/api/v1/workflows/old";
    site.does("workflow.archived", &format!("{old}/archive"), why("old")).await;
    site.does("workflow.restored", &format!("{old}/restore"), why("not yet")).await;
    site.does("workflow.archived", &format!("{old}/archive"), why("now")).await;
    let purge = format!("{old}?purge=true");
    site.sends("workflow.purged", Method::DELETE, &purge, why("gone")).await;
}

/// What is done to runs under way.
pub async fn runs(site: &Site) {
    for yaml in [HELD, SUSPENDING, TRIP] {
        define(site, yaml).await;
    }
    let act = async |run: &str, action: &str, below: &str, body: Value| {
        site.does(action, &format!("/api/v1/executions/{run}/{below}"), body).await
    };
    let run = site.begins("held", json!({ "n": 1 })).await;
    act(&run, "execution.paused", "pause", why("lunch")).await;
    act(&run, "execution.resumed", "resume", why("back")).await;
    act(&run, "execution.signalled", "signals/later", json!({ "payload": 1 })).await;
    define(site, &HELD.replace("{{ input.n }}", "{{ input.n + 1 }}")).await;
    let wish = json!({ "revision": 2, "reason": "it counted wrong" });
    act(&run, "execution.migrated", "migrate", wish).await;
    act(&run, "execution.cancelled", "cancel", why("no more")).await;
    let run = site.begins("held", json!({ "n": 1 })).await;
    act(&run, "execution.forced", "cancel", json!({ "reason": "now", "force": true })).await;
    let run = site.run("suspending", json!({}), "suspended").await;
    act(&run, "step.overridden", "steps/bad/skip", why("by phone")).await;
    let run = site.run("suspending", json!({}), "suspended").await;
    act(&run, "execution.rolled_back", "rollback", why("start over")).await;
    let run = site.begins("trip", json!({})).await;
    let waits = |own: &Value| own["steps"]["mail"]["undo"]["status"] == "waiting";
    site.until(&format!("/api/v1/executions/{run}"), waits).await;
    let said = json!({ "step": "mail", "note": "they know" });
    act(&run, "undos.settled", "undos/accept", said).await;
}

/// A run that is begun from another's steps, and undoes them from then on.
pub async fn forks(site: &Site) {
    define(site, HALTING).await;
    let run = site.run("halting", json!({ "bad": true }), "failed").await;
    let wish = json!({
        "from_step": "bad", "input": { "bad": false }, "take_over": true, "reason": "mended",
    });
    site.does("execution.forked", &format!("/api/v1/executions/{run}/fork"), wish).await;
}

/// Dead letters, one by one.
pub async fn letters(site: &Site) {
    let letter = async || {
        let run = site.run("suspending", json!({}), "suspended").await;
        let (_, shown) = site.server.get(&format!("/api/v1/executions/{run}")).await;
        let letter = shown["dead_letters"][0]["letter_id"].as_str().expect("a letter").to_owned();
        format!("/api/v1/dlq/{letter}")
    };
    let own = letter().await;
    let given = json!({ "assignee": "bob", "reason": "knows it" });
    site.does("letter.assigned", &format!("{own}/assign"), given).await;
    site.does("letter.noted", &format!("{own}/notes"), json!({ "text": "asked" })).await;
    let edited = json!({ "input": { "output": 1 }, "reason": "the right card" });
    site.does("letter.edited", &format!("{own}/retry"), edited).await;
    site.does("letter.retried", &format!("{}/retry", letter().await), json!({})).await;
    site.does("letter.discarded", &format!("{}/discard", letter().await), why("no use")).await;
}

/// Dead letters by a filter. The canary does well, and is waited for.
pub async fn redrives(site: &Site) {
    for _ in 0..2 {
        site.run("suspending", json!({}), "suspended").await;
    }
    let wish = json!({
        "filter": { "workflow_id": "suspending" }, "reason": "it is back",
        "canary": { "count": 1, "wait": "10m" }, "input_patch": { "fail": null },
    });
    let begun = site.does("redrive.requested", "/api/v1/dlq/retries", wish).await;
    let own = format!("/api/v1/dlq/retries/{}", begun["redrive_id"].as_str().expect("an id"));
    site.until(&own, |shown| shown["letters"]["succeeded"] == 1).await;
    for (word, action) in [
        ("pause", "redrive.paused"),
        ("resume", "redrive.resumed"),
        ("cancel", "redrive.cancelled"),
    ] {
        site.does(action, &format!("{own}/{word}"), why("a while")).await;
    }
    // What it retried it did itself, which says what had it done.
    let id = begun["redrive_id"].as_str().expect("an id");
    let rows = site.rows(&format!("actor={id}")).await;
    assert!(!rows.is_empty() && rows.iter().all(|row| row["request_id"].is_null()), "{rows:?}");
}

/// Keys, breakers, the cache, and how long runs are kept.
pub async fn store(site: &Site) {
    let wish = json!({ "name": "ci", "permissions": ["workflows:read"] });
    let made = site.does("key.created", "/api/v1/admin/api-keys", wish).await;
    let id = made["key_id"].as_str().expect("an id");
    let path = format!("/api/v1/admin/api-keys/{id}");
    site.sends("key.revoked", Method::DELETE, &path, why("lost")).await;
    site.does("breaker.set", "/api/v1/breakers/payments/open", why("they migrate")).await;
    let path = "/api/v1/cache?reason=wrong";
    let (status, told) = answer(site.request("cache.emptied", Method::DELETE, path)).await;
    assert!(status.is_success(), "{told}");
    let policy = json!({ "rules": [{ "name": "old", "keep_for": "30d" }] });
    let path = "/api/v1/admin/retention/policy";
    site.sends("retention.policy_set", Method::PUT, path, policy).await;
    let policy = "/api/v1/policies/calm?reason=agreed";
    site.sends("configuration.set", Method::PUT, policy, json!({ "description": "a" })).await;
    let (status, told) =
        answer(site.request("configuration.removed", Method::DELETE, policy)).await;
    assert!(status.is_success(), "{told}");
    let levels = json!({ "levels": {} });
    site.sends("log_levels.set", Method::PUT, "/api/v1/admin/log-levels", levels).await;
    define(site, ERASABLE).await;
    let run = site.run("erasable", json!({ "name": "Ada" }), "completed").await;
    let (_, page) = site.server.get(&format!("/api/v1/executions/{run}/events")).await;
    let events = page["events"].as_array().expect("events");
    let kept = events.iter().find_map(|own| own["kept_beside"][0]["digest"].as_str());
    let path = format!("/api/v1/admin/payloads/{}/erase", kept.expect("one is kept"));
    site.does("payload.erased", &path, why("asked for")).await;
}

/// Callbacks: tried out, and sent again.
pub async fn callbacks(site: &Site) {
    let receiver = Receiver::start().await;
    let wish = json!({ "event": "step.failed", "url": receiver.url });
    site.does("callback.tried", "/api/v1/callbacks/test", wish).await;
    let told = json!({ "callbacks": [{ "event": "workflow.completed", "url": receiver.url }] });
    let begun = site.does("begins", "/api/v1/workflows/two/execute", told).await;
    let run = format!("/api/v1/executions/{}", begun["execution_id"].as_str().expect("an id"));
    site.until(&run, |own| own["callbacks"][0]["status"] == "delivered").await;
    let again = format!("{run}/callbacks/0/redeliver");
    site.does("callback.sent_again", &again, json!({})).await;
    site.until(&run, |own| own["callbacks"][0]["attempts"] == 2).await;
}

/// Recorded events delivered anew, to nobody.
pub async fn replays(site: &Site) {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", nobody.local_addr().expect("an address"));
    drop(nobody);
    let wish = json!({ "url": url, "from": "2001-01-01T00:00:00Z", "max_attempts": 20 });
    let begun = site.does("replay.requested", "/api/v1/replays", wish).await;
    let own = format!("/api/v1/replays/{}", begun["replay_id"].as_str().expect("an id"));
    site.does("replay.stopped", &format!("{own}/stop"), why("wrong address")).await;
    site.does("replay.resumed", &format!("{own}/resume"), json!({})).await;
}

/// Runs leave, come back from a file, and the log is cut.
pub async fn removals(site: &Site) {
    let run = site.run("two", json!({ "name": "x" }), "completed").await;
    let path = format!("/api/v1/executions/{run}/export");
    let file = site.server.request(Method::GET, &path).send().await.expect("an answer");
    let file = file.text().await.expect("a text");
    let wish = json!({ "confirm": true, "policy": { "rules": [{
        "name": "at once", "workflow": "two", "keep_count": 0,
    }] } });
    let path = "/api/v1/admin/retention/apply";
    site.does("runs.removed", path, wish).await;
    let done = site.until(path, |own| own["status"] != "running").await;
    assert_eq!(done["status"], "done", "{done}");
    let request = site.request("runs.imported", Method::POST, "/api/v1/import");
    let request = request.header("content-type", "application/x-ndjson").body(file);
    let (status, told) = answer(request).await;
    assert!(status.is_success() && told["imported"] == 1, "{told}");
    for _ in 0..16 {
        site.server.run("two", &json!({ "name": "x".repeat(40_000) })).await;
    }
    loop {
        let wish = json!({ "keep_for": "0s", "dry_run": false });
        let done = site.does("log.cut", "/api/v1/admin/cut", wish).await;
        if done["segments"].as_u64() > Some(0) {
            return;
        }
    }
}
