//! Document 001: the customer's onboarding, and the bare router.

use serde_json::{Value, json};

use super::{Scene, letters, on_runtime, paths, printed, send, standing};

const STEPS: [&str; 4] =
    ["validate-customer", "create-account", "send-welcome-email", "notify-team"];

/// As printed, with each adapter led to a path of the service that has its name.
fn served(scene: &Scene) -> Value {
    let mut definition = printed("001-customer-onboarding.yaml");
    for step in definition["workflow"]["steps"].as_array_mut().expect("a list") {
        let path = format!("/{}", step["adapter"].as_str().expect("a text"));
        scene.service.answers(&path, 200, json!({ "by": path }));
        let url = scene.service.url(&path);
        step["adapter"] = json!("http");
        step["with"] = json!({ "method": "POST", "url": url, "body": "{{ input }}" });
    }
    definition
}

#[test]
fn the_onboarding_ends_as_printed() {
    on_runtime(async {
        let scene = Scene::open().await;
        let definition = printed("001-customer-onboarding.yaml");
        let (id, unknown) = scene.define(&definition, "UNKNOWN_TASK_TYPE").await;
        assert_eq!((id.as_str(), unknown.len()), ("customer-onboarding", 5));
        let run = scene.run(&id, json!({ "customer": 7 })).await;
        assert_eq!(run["status"], "failed");
        assert_eq!(standing(&run, STEPS), ["failed", "pruned", "pruned", "pruned"]);
        let missing = ("validate-customer".to_owned(), "TASK_EXECUTOR_NOT_FOUND".to_owned());
        assert_eq!(letters(&run), [missing]);
    });
}

#[test]
fn the_onboarding_goes_on_without_its_optional_step_and_completes() {
    on_runtime(async {
        let scene = Scene::open().await;
        let definition = served(&scene);
        scene.service.answers("/email-service", 422, json!({ "error": "no such mailbox" }));
        let (id, unknown) = scene.define(&definition, "UNKNOWN_TASK_TYPE").await;
        assert_eq!(unknown, ["workflow.steps[1].compensation"]);
        let input = json!({ "customer": 7 });
        let run = scene.run(&id, input.clone()).await;
        assert_eq!(run["status"], "completed");
        let (done, failed) = ("succeeded", "failed");
        assert_eq!(standing(&run, STEPS), [done, done, failed, done]);
        assert!(letters(&run).is_empty());
        let calls = scene.service.calls();
        let adapters = ["/data-validation", "/billing-system", "/email-service", "/slack-adapter"];
        assert_eq!(paths(&calls), adapters);
        assert!(calls.iter().all(|call| call.method == "POST" && call.body == input));
    });
}

/// Nothing performs `delete-account` here: the account is not left behind in silence.
#[test]
fn an_onboarding_that_fails_says_what_it_could_not_undo() {
    on_runtime(async {
        let scene = Scene::open().await;
        let definition = served(&scene);
        scene.service.answers("/slack-adapter", 422, json!({ "error": "no such channel" }));
        let (id, _) = scene.define(&definition, "UNKNOWN_TASK_TYPE").await;
        let run = scene.run(&id, json!({ "customer": 8 })).await;
        assert_eq!(run["status"], "compensation_failed");
        assert_eq!(run["steps"]["create-account"]["undo"]["status"], "failed");
        let letters = letters(&run);
        let about = |own: &(String, String)| own.0 == "create-account";
        assert_eq!(letters.len(), 2, "{letters:?}");
        let undo = letters.iter().find(|own| about(own)).expect("the undo has its letter");
        assert_eq!(undo.1, "TASK_EXECUTOR_NOT_FOUND");
    });
}

#[test]
fn the_router_chooses_as_printed() {
    on_runtime(async {
        let scene = Scene::open().await;
        let (id, unknown) = scene.define(&printed("001-router.yaml"), "UNKNOWN_TASK_TYPE").await;
        assert_eq!(unknown.len(), 3, "{unknown:?}");
        let chosen = [
            (json!({ "amount": 20_000, "region": "EU" }), 0),
            (json!({ "amount": 20, "region": "EU" }), 1),
            (json!({ "amount": 10_000, "region": "US" }), 2),
        ];
        let routes = ["high-value-processor", "gdpr-compliant-processor", "standard-processor"];
        for (input, at) in chosen.clone() {
            let run = scene.run(&id, input.clone()).await;
            let missing = (routes[at].to_owned(), "CHILD_WORKFLOW_NOT_FOUND".to_owned());
            assert_eq!((letters(&run), &run["status"]), (vec![missing], &json!("failed")));
            let expected = [0, 1, 2].map(|own| if own == at { "failed" } else { "pruned" });
            assert_eq!(standing(&run, routes), expected, "{input}");
        }
        for name in routes {
            let with = json!({ "by": name, "amount": "{{ input.amount }}" });
            let step = json!({ "id": "only", "type": "transform", "with": with });
            let workflow = json!({ "id": name, "steps": [step] });
            scene.define(&workflow, "UNKNOWN_TASK_TYPE").await;
        }
        for (input, at) in chosen {
            let run = scene.run(&id, input.clone()).await;
            assert_eq!(run["status"], "completed", "{run:#}");
            let expected = [0, 1, 2].map(|own| if own == at { "succeeded" } else { "pruned" });
            assert_eq!(standing(&run, routes), expected, "{input}");
            let answer = json!({ "by": routes[at], "amount": input["amount"] });
            assert_eq!(run["steps"][routes[at]]["output"]["only"], answer);
        }
    });
}

/// A step in `man-mode` waits until somebody lets it pass.
#[test]
fn a_step_in_man_mode_waits_for_a_person() {
    on_runtime(async {
        let scene = Scene::open().await;
        let step = json!({ "id": "pay", "adapter": "noop", "man-mode": true });
        let definition = json!({ "workflow": { "name": "manned", "steps": [step] } });
        let (id, _) = scene.define(&definition, "NOT_IN_FORCE").await;
        let path = format!("/api/v1/workflows/{id}/execute");
        let at = scene.server.address();
        let begun = send(at, "POST", &path, &json!({ "input": {} })).await;
        let run = super::text(&begun["execution_id"]);
        while scene.show(&run).await["steps"]["approve-pay"]["status"] != "waiting" {}
        assert_eq!(standing(&scene.show(&run).await, ["pay"]), ["pending"]);
        let path = format!("/api/v1/executions/{run}/signals/approve-pay");
        send(at, "POST", &path, &json!({ "payload": { "by": "ann" } })).await;
        let shown = loop {
            let shown = scene.show(&run).await;
            if !shown["completed_at"].is_null() {
                break shown;
            }
        };
        assert_eq!(standing(&shown, ["approve-pay", "pay"]), ["succeeded", "succeeded"]);
    });
}
