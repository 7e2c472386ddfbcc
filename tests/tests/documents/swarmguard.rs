//! Document 003: the response to a threat.

use serde_json::{Value, json};

use super::{Scene, letters, on_runtime, paths, printed, standing};

const TASKS: [&str; 4] = ["enrich", "score", "block", "audit"];
const ENRICH: &str = "/v1/enrich";
const SCORE: &str = "/v1/score";
const BLOCK: &str = "/v1/block";
const AUDIT: &str = "/v1/log";

/// As printed, but for the hosts.
fn definition(scene: &Scene) -> Value {
    let mut definition = printed("003-auto-threat-response.yaml");
    let printed =
        ["http://threat-intel:8080", "http://api-gateway:8080", "http://audit-trail:8080"];
    for (at, host) in [0, 2, 3].into_iter().zip(printed) {
        let url = &mut definition["tasks"][at]["url"];
        let path = url.as_str().and_then(|url| url.strip_prefix(host)).expect("the printed host");
        *url = scene.service.url(path).into();
    }
    let features = json!({ "features": [0.1, 0.9], "ip": "203.0.113.7" });
    scene.service.answers(ENRICH, 200, features);
    scene.service.answers(BLOCK, 200, json!({ "status": "blocked" }));
    scene.service.answers(AUDIT, 200, json!({}));
    definition
}

/// The same, with the model behind the service.
fn served(scene: &Scene) -> Value {
    let mut definition = definition(scene);
    let score = definition["tasks"][1].as_object_mut().expect("a task");
    assert_eq!(score.remove("script"), Some(json!("threat_scoring_v2")));
    score["type"] = json!("http");
    score.insert("method".to_owned(), json!("POST"));
    score.insert("url".to_owned(), scene.service.url(SCORE).into());
    definition
}

#[test]
fn the_response_calls_what_it_can_and_ends_as_printed() {
    on_runtime(async {
        let scene = Scene::open().await;
        let (id, unknown) = scene.define(&definition(&scene), "UNKNOWN_TASK_TYPE").await;
        assert_eq!(unknown, ["tasks[1].type"]);
        let run = scene.run(&id, json!({ "indicator": "203.0.113.7" })).await;
        assert_eq!(run["status"], "failed");
        assert_eq!(standing(&run, TASKS), ["succeeded", "failed", "pruned", "pruned"]);
        let missing = ("score".to_owned(), "TASK_EXECUTOR_NOT_FOUND".to_owned());
        assert_eq!(letters(&run), [missing]);
        let calls = scene.service.calls();
        assert_eq!(paths(&calls), [ENRICH]);
        assert_eq!(calls[0].body, json!({ "indicator": "203.0.113.7" }));
    });
}

#[test]
fn the_response_blocks_high_risks_and_audits_every_one() {
    on_runtime(async {
        let scene = Scene::open().await;
        let (id, unknown) = scene.define(&served(&scene), "UNKNOWN_TASK_TYPE").await;
        assert!(unknown.is_empty(), "{unknown:?}");
        let risks = [
            // The service refuses to block, and the workflow goes on.
            (0.93, 422, "failed", vec![ENRICH, SCORE, BLOCK, AUDIT]),
            (0.93, 200, "blocked", vec![ENRICH, SCORE, BLOCK, AUDIT]),
            (0.8, 200, "skipped", vec![ENRICH, SCORE, AUDIT]),
        ];
        for (nth, (risk, status, result, expected)) in risks.into_iter().enumerate() {
            scene.service.answers(SCORE, 200, json!({ "risk": risk }));
            scene.service.answers(BLOCK, status, json!({ "status": "blocked" }));
            let run = scene.run(&id, json!({ "indicator": format!("203.0.113.{nth}") })).await;
            assert_eq!(run["status"], "completed", "{run:#}");
            let calls = scene.service.calls();
            assert_eq!(paths(&calls), expected);
            assert_eq!(calls[1].body, json!({ "features": [0.1, 0.9] }));
            if expected.len() == TASKS.len() {
                let reason = format!("High risk score: {risk}");
                assert_eq!(calls[2].body, json!({ "ip": "203.0.113.7", "reason": reason }));
            }
            let audited = &calls.last().expect("it was audited").body;
            assert_eq!(audited["workflow"], run["execution_id"]);
            assert_eq!(audited["action"], "threat_response");
            assert_eq!(audited["result"], result);
        }
    });
}

#[test]
fn what_is_cacheable_is_asked_once() {
    on_runtime(async {
        let scene = Scene::open().await;
        let (id, _) = scene.define(&served(&scene), "UNKNOWN_TASK_TYPE").await;
        scene.service.answers(SCORE, 200, json!({ "risk": 0.1 }));
        let first = scene.run(&id, json!({ "indicator": "203.0.113.7" })).await;
        assert_eq!(paths(&scene.service.calls()), [ENRICH, SCORE, AUDIT]);
        let second = scene.run(&id, json!({ "indicator": "203.0.113.7" })).await;
        assert_eq!(paths(&scene.service.calls()), [SCORE, AUDIT]);
        let own = &second["steps"]["enrich"];
        assert_eq!((&own["status"], &own["attempts"]), (&json!("succeeded"), &json!(0)));
        assert_eq!(own["output"], first["steps"]["enrich"]["output"]);
        let source = json!({ "execution_id": first["execution_id"], "step": "enrich" });
        assert_eq!(own["cached_from"], source);
    });
}
