//! What a deed changed, from the journal: before it and behind it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::scripts::{HELD, define, removals};
use super::{Site, site};
use crate::attacks::tenants;
use crate::guarded::{FIRST_KEY, Guarded};
use crate::process::output;
use crate::server::{TWO_STEPS, answer};

/// The newest row of an action, whole.
async fn newest(site: &Site, action: &str) -> Value {
    let rows = site.rows(&format!("action={action}")).await;
    let position = rows[0]["position"].as_str().expect("a position");
    let (status, deed) = site.server.get(&format!("/api/v1/audit/{position}")).await;
    assert_eq!(status, StatusCode::OK, "{deed}");
    for (name, value) in rows[0].as_object().expect("an object") {
        assert_eq!(&deed[name], value, "{name}");
    }
    assert_eq!(deed["unknown"], Value::Null, "{deed}");
    deed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_a_workflow_is_shown_before_and_behind_it() {
    let site = site().await;
    define(&site, TWO_STEPS).await;
    let first = newest(&site, "workflow.defined").await;
    assert_eq!((&first["before"], &first["after"]["revision"]), (&Value::Null, &json!(1)));
    define(&site, &TWO_STEPS.replace("hello", "good day")).await;
    let second = newest(&site, "workflow.defined").await;
    assert_eq!(second["before"], first["after"]);
    assert_ne!(second["after"]["digest"], first["after"]["digest"]);
    let (_, diff) = site.server.get("/api/v1/workflows/two/diff").await;
    assert_eq!(second["changes"], diff["changes"]);
    assert_eq!(second["changes"].as_array().map(Vec::len), Some(1), "{second}");
    let disable = "/api/v1/workflows/two/disable";
    site.does("workflow.disabled", disable, json!({ "reason": "a break" })).await;
    let disabled = newest(&site, "workflow.disabled").await;
    let status = |side: &str| disabled[side]["status"].clone();
    assert_eq!((status("before"), status("after")), (json!("active"), json!("disabled")));
    let rollout = "/api/v1/workflows/two/rollout";
    for percent in [30, 60] {
        let wish = json!({ "stable": 1, "candidate": 2, "percent": percent });
        site.sends("rollout.set", Method::PUT, rollout, wish).await;
    }
    let set = newest(&site, "rollout.set").await;
    let percent = |side: &str| set[side]["arms"][1]["percent"].as_f64();
    assert_eq!((percent("before"), percent("after")), (Some(30.0), Some(60.0)), "{set}");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_a_run_is_shown_until_its_history_leaves() {
    let site = site().await;
    define(&site, HELD).await;
    let run = site.begins("held", json!({ "n": 1 })).await;
    let path = format!("/api/v1/executions/{run}");
    site.until(&path, |own| own["steps"]["hold"]["status"] == "waiting").await;
    site.does("execution.paused", &format!("{path}/pause"), json!({ "reason": "lunch" })).await;
    let paused = newest(&site, "execution.paused").await;
    let told = |deed: &Value, side: &str| {
        (deed[side]["status"].clone(), deed[side]["suspended"]["words"].clone())
    };
    assert_eq!(told(&paused, "before"), (json!("running"), Value::Null), "{paused}");
    assert_eq!(told(&paused, "after"), (json!("suspended"), json!("lunch")));
    site.does("execution.cancelled", &format!("{path}/cancel"), json!({ "reason": "no" })).await;
    let cancelled = newest(&site, "execution.cancelled").await;
    assert_eq!(cancelled["before"]["version"], paused["after"]["version"], "{cancelled}");
    assert_eq!(cancelled["after"]["status"], "compensating", "with what followed of it");
    // A run that is removed takes its history along, and its rows stay.
    define(&site, TWO_STEPS).await;
    define(&site, &TWO_STEPS.replace("hello", "hi")).await;
    let kept = site.run("two", json!({}), "completed").await;
    let fork = json!({ "from_step": "second", "reason": "again" });
    site.does("execution.forked", &format!("/api/v1/executions/{kept}/fork"), fork).await;
    let forked = newest(&site, "execution.forked").await;
    let target = forked["target"].as_str().expect("an id").to_owned();
    site.until(&format!("/api/v1/executions/{target}"), |own| own["status"] == "completed").await;
    removals(&site).await;
    let position = forked["position"].as_str().expect("a position");
    let (status, gone) = site.server.get(&format!("/api/v1/audit/{position}")).await;
    assert_eq!(
        (status, &gone["before"], &gone["after"]),
        (StatusCode::OK, &Value::Null, &Value::Null)
    );
    assert!(gone["unknown"].as_str().is_some_and(|why| why.contains(&target)), "{gone}");
    // One row for each partition that lost runs.
    let mut found = 0;
    for row in site.rows("action=runs.removed").await {
        let path = format!("/api/v1/audit/{}", row["position"].as_str().expect("a position"));
        let (_, removed) = site.server.get(&path).await;
        found += usize::from(removed["before"].to_string().contains(&target));
        assert_eq!(removed["after"], json!({ "executions": [] }));
    }
    assert_eq!(found, 1);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_the_store_is_shown_and_the_command_shows_it_too() {
    let site = site().await;
    let path = "/api/v1/admin/retention/policy";
    for days in ["30d", "60d"] {
        let policy = json!({ "rules": [{ "name": "old", "keep_for": days }] });
        site.sends("retention.policy_set", Method::PUT, path, policy).await;
    }
    let set = newest(&site, "retention.policy_set").await;
    let days = |side: &str| set[side]["policy"]["rules"][0]["keep_for"].clone();
    assert_eq!((days("before"), days("after")), (json!("30d"), json!("60d")), "{set}");
    let wish = json!({ "name": "ci", "permissions": ["workflows:read"] });
    let made = site.does("key.created", "/api/v1/admin/api-keys", wish).await;
    let created = newest(&site, "key.created").await;
    let scopes = &created["after"]["permissions"];
    assert_eq!((&created["before"], scopes), (&Value::Null, &json!(["workflows:read"])));
    let token = made["token"].as_str().expect("a text");
    let digest = backstitch_core::ids::Digest::of(token.as_bytes()).to_string();
    assert!(!created.to_string().contains(token) && !created.to_string().contains(&digest));
    let (first, again) = ("open", "close");
    for order in [first, again] {
        let path = format!("/api/v1/breakers/payments/{order}");
        site.does("breaker.set", &path, json!({ "reason": order })).await;
    }
    let order = newest(&site, "breaker.set").await;
    let word = |side: &str| order[side]["order"].clone();
    assert_eq!((word("before"), word("after")), (json!(first), json!(again)), "{order}");
    for (name, wait) in [("retries", 1), ("retries", 2)] {
        let path = format!("/api/v1/policies/{name}?reason=agreed");
        site.sends(
            "configuration.set",
            Method::PUT,
            &path,
            json!({ "description": format!("{wait}") }),
        )
        .await;
    }
    let object = newest(&site, "configuration.set").await;
    let says = |side: &str| object[side]["content"]["description"].clone();
    assert_eq!((says("before"), says("after")), (json!("1"), json!("2")), "{object}");
    assert_eq!(object["reason"], "agreed");
    for odd in ["1:0:99999", "9:0:1", "nonsense", "1:0", "1:0:1:3"] {
        let (status, refused) = site.server.get(&format!("/api/v1/audit/{odd}")).await;
        let code = refused["error_code"].as_str();
        assert_eq!((status, code), (StatusCode::NOT_FOUND, Some("AUDIT_ROW_NOT_FOUND")), "{odd}");
    }
    let url = site.server.url.clone();
    let position = set["position"].as_str().expect("a position").to_owned();
    let said = tokio::task::spawn_blocking(move || {
        let say = |arguments: &[&str]| {
            let said = output(&[&["audit", "--server", &url], arguments].concat());
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
            String::from_utf8(said.stdout).expect("UTF-8")
        };
        let filtered = say(&["--action", "key.created", "--since", "1h", "--actor", "ann"]);
        let by_request = say(&["--request-id", "breaker.set", "--json"]);
        (filtered, by_request, say(&[&position]))
    });
    let (filtered, by_request, one) = said.await.expect("no panic");
    assert_eq!(filtered.lines().count(), 2, "{filtered}");
    let by_request: Value = serde_json::from_str(&by_request).expect("JSON");
    assert_eq!(by_request["audit"].as_array().map(Vec::len), Some(2), "{by_request}");
    assert!(one.contains("before") && one.contains("60d") && one.contains("30d"), "{one}");
    site.server.stop().await;
}

#[tokio::test]
async fn a_deed_is_shown_to_its_own_tenant_with_what_they_may_read() {
    let server = Guarded::start();
    tenants::define(&server, FIRST_KEY, TWO_STEPS).await;
    let (_, other) = server.key(&["*"], "other").await;
    let (_, auditor) = server.key(&["audit:read"], "default").await;
    let (_, reader) = server.key(&["audit:read", "workflows:read"], "default").await;
    let disable = server.ask("POST", "/api/v1/workflows/two/disable", FIRST_KEY);
    let disable = disable.header("x-user-id", "ada").header("x-request-id", "abc");
    let (status, told) = answer(disable.json(&json!({ "reason": "a break" }))).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let (_, page) = server.get("/api/v1/audit?request_id=abc", &auditor).await;
    let row = &page["audit"][0];
    let said = (&row["actor"], &row["on_behalf_of"], &row["action"]);
    assert_eq!(said, (&json!("key_configured"), &json!("ada"), &json!("workflow.disabled")));
    let (_, page) = server.get("/api/v1/audit?action=workflow.defined", &auditor).await;
    let path = format!("/api/v1/audit/{}", page["audit"][0]["position"].as_str().expect("one"));
    let (_, less) = server.get(&path, &auditor).await;
    assert_eq!((&less["after"]["revision"], &less["changes"]), (&json!(1), &Value::Null));
    let (_, more) = server.get(&path, &reader).await;
    assert!(more["changes"].as_array().is_some_and(|own| !own.is_empty()), "{more}");
    let (status, told) = server.get(&path, &other).await;
    let code = told["error_code"].as_str();
    assert_eq!((status, code), (StatusCode::NOT_FOUND, Some("AUDIT_ROW_NOT_FOUND")));
    let (_, page) = server.get("/api/v1/audit?request_id=abc", &other).await;
    assert_eq!(page["audit"], json!([]));
}
