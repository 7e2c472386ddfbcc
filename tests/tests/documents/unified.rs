//! Document 000: the compliance check and its webhook.

use serde_json::{Value, json};

use super::{Scene, letters, on_runtime, paths, printed, standing};

const TASKS: [&str; 3] = ["collect-data", "analyze-compliance", "generate-report"];
const WEBHOOK: &str = "/webhooks/compliance";

/// As printed, but for the host of the webhook.
fn definition(scene: &Scene) -> Value {
    let mut definition = printed("000-compliance-check.json");
    let webhook = &mut definition["notifications"]["webhook"][0];
    assert_eq!(*webhook, json!(format!("https://company.com{WEBHOOK}")));
    *webhook = scene.service.url(WEBHOOK).into();
    definition
}

#[test]
fn the_compliance_check_ends_as_printed_and_tells_its_webhook() {
    on_runtime(async {
        let scene = Scene::open().await;
        scene.service.answers(WEBHOOK, 200, json!({}));
        let (id, unknown) = scene.define(&definition(&scene), "UNKNOWN_TASK_TYPE").await;
        let places = [0, 1, 2].map(|at| format!("tasks[{at}].task_type"));
        assert_eq!((id.as_str(), unknown), ("compliance-check-workflow", places.to_vec()));
        let run = scene.run(&id, json!({})).await;
        let run = scene.told(&run).await;
        assert_eq!(run["status"], "failed");
        assert_eq!(standing(&run, TASKS), ["failed", "pruned", "pruned"]);
        let missing = ("collect-data".to_owned(), "TASK_EXECUTOR_NOT_FOUND".to_owned());
        assert_eq!(letters(&run), [missing]);
        let calls = scene.service.calls();
        assert_eq!(paths(&calls), [WEBHOOK]);
        assert_eq!(calls[0].body["data"]["status"], "failed");
        assert_eq!(calls[0].body["data"]["execution_id"], run["execution_id"]);
    });
}

#[test]
fn the_compliance_check_completes_with_its_services() {
    on_runtime(async {
        let scene = Scene::open().await;
        scene.service.answers(WEBHOOK, 200, json!({}));
        let mut definition = definition(&scene);
        let mut given = Vec::new();
        for task in definition["tasks"].as_array_mut().expect("a list") {
            let path = format!("/{}", task["task_type"].as_str().expect("a text"));
            scene.service.answers(&path, 200, json!({ "done": path }));
            let body = task["parameters"].clone();
            let url = scene.service.url(&path);
            task["task_type"] = json!("http");
            task["parameters"] = json!({ "method": "POST", "url": url, "body": body });
            given.push((path, body));
        }
        let (id, unknown) = scene.define(&definition, "UNKNOWN_TASK_TYPE").await;
        assert!(unknown.is_empty(), "{unknown:?}");
        let run = scene.run(&id, json!({})).await;
        let run = scene.told(&run).await;
        assert_eq!(run["status"], "completed");
        assert_eq!(standing(&run, TASKS), ["succeeded"; 3]);
        let calls = scene.service.calls();
        for ((call, (path, body)), task) in calls.iter().zip(&given).zip(TASKS) {
            assert_eq!((&call.path, &call.body), (path, body));
            assert_eq!(call.key, format!("{task}/1"));
        }
        assert_eq!(calls.len(), 4);
        assert_eq!(
            (calls[3].path.as_str(), &calls[3].body["data"]["status"]),
            (WEBHOOK, &json!("completed"))
        );
    });
}
