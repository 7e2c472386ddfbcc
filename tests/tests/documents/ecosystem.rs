//! Document 002: greetings, and analyses over two services.

use serde_json::{Value, json};

use super::{Scene, letters, on_runtime, printed, standing};

/// As printed, with `service_call` led to the service.
fn served(scene: &Scene, name: &str) -> Value {
    let mut definition = printed(name);
    for action in definition["actions"].as_array_mut().expect("a list") {
        assert_eq!(action["action_type"], "service_call");
        let config = action["config"].take();
        let word = |field: &str| config[field].as_str().expect("a text");
        let url = scene.service.url(&format!("/{}{}", word("service"), word("endpoint")));
        let part = if word("method") == "GET" { "query" } else { "body" };
        action["action_type"] = json!("http");
        action["config"] = json!({ "method": word("method"), "url": url });
        action["config"][part] = config["parameters"].clone();
    }
    definition
}

#[test]
fn greetings_complete_as_printed() {
    on_runtime(async {
        let scene = Scene::open().await;
        let greetings = [
            ("002-hello-world.json", "hello-world", "greet"),
            ("002-hello-world-service.yaml", "hello-world-workflow", "notify"),
        ];
        for (name, id, step) in greetings {
            let (defined, unknown) = scene.define(&printed(name), "UNKNOWN_TASK_TYPE").await;
            assert_eq!((defined.as_str(), unknown.len()), (id, 0));
            let message = format!("a greeting of {id}");
            let run = scene.run(id, json!({ "message": message })).await;
            assert_eq!(
                (&run["status"], standing(&run, [step])),
                (&json!("completed"), ["succeeded"])
            );
            assert!(scene.words().contains(&message), "nobody was greeted by {id}");
        }
    });
}

#[test]
fn analyses_end_as_printed() {
    on_runtime(async {
        let scene = Scene::open().await;
        let url = json!({ "document_url": "https://example.org/a.md" });
        let analyses = [
            ("002-document-analysis.json", "analyze", url.clone()),
            ("002-document-quality-analysis.yaml", "fetch_doc", url),
            (
                "002-pr-confidence-analysis.yaml",
                "fetch_pr",
                json!({ "pr_number": 7, "repository": "shop" }),
            ),
        ];
        for (name, first, input) in analyses {
            let (id, unknown) = scene.define(&printed(name), "UNKNOWN_TASK_TYPE").await;
            assert!(!unknown.is_empty());
            let run = scene.run(&id, input).await;
            let missing = (first.to_owned(), "TASK_EXECUTOR_NOT_FOUND".to_owned());
            assert_eq!((letters(&run), &run["status"]), (vec![missing], &json!("failed")));
        }
    });
}

#[test]
fn analyses_complete_with_their_services() {
    on_runtime(async {
        let scene = Scene::open().await;
        let content = "# A document";
        let pr = json!({ "title": "Mend the till", "files": [{ "path": "till.rs" }] });
        let answers = [
            ("/source_agent/fetch", json!({ "content": content })),
            ("/source_agent/github/pr", pr.clone()),
            ("/analysis_service/analyze", json!({ "quality": 0.9 })),
            ("/analysis_service/calculate_confidence", json!({ "confidence": 0.8 })),
        ];
        for (path, body) in answers {
            scene.service.answers(path, 200, body);
        }
        let document = "https://example.org/a.md";
        let url = json!({ "document_url": document });
        let analyses = [
            (
                "002-document-analysis.json",
                url.clone(),
                vec![("POST", "/analysis_service/analyze", "", json!({ "url": document }))],
            ),
            (
                "002-document-quality-analysis.yaml",
                url,
                vec![
                    ("POST", "/source_agent/fetch", "", json!({ "url": document })),
                    ("POST", "/analysis_service/analyze", "", json!({ "content": content })),
                ],
            ),
            (
                "002-pr-confidence-analysis.yaml",
                json!({ "pr_number": 7, "repository": "shop" }),
                vec![
                    ("GET", "/source_agent/github/pr", "pr_number=7&repository=shop", Value::Null),
                    (
                        "POST",
                        "/analysis_service/calculate_confidence",
                        "",
                        json!({ "pr_data": pr }),
                    ),
                ],
            ),
        ];
        for (name, input, expected) in analyses {
            let (id, _) = scene.define(&served(&scene, name), "UNKNOWN_TASK_TYPE").await;
            let run = scene.run(&id, input).await;
            assert_eq!(run["status"], "completed", "{name}: {run:#}");
            let calls = scene.service.calls();
            let own = |call: &super::Call| {
                (call.method.clone(), call.path.clone(), call.query.clone(), call.body.clone())
            };
            let owned = |(method, path, query, body): &(&str, &str, &str, Value)| {
                ((*method).to_owned(), (*path).to_owned(), (*query).to_owned(), body.clone())
            };
            let calls: Vec<_> = calls.iter().map(own).collect();
            assert_eq!(calls, expected.iter().map(owned).collect::<Vec<_>>(), "{name}");
        }
    });
}

/// What the document requires of a run's input is required.
#[test]
fn a_greeting_without_its_message_is_refused() {
    on_runtime(async {
        let scene = Scene::open().await;
        let (id, _) = scene.define(&printed("002-hello-world.json"), "UNKNOWN_TASK_TYPE").await;
        let path = format!("/api/v1/workflows/{id}/execute");
        let (status, body) =
            super::exchange(scene.server.address(), "POST", &path, &json!({ "input": {} })).await;
        assert_eq!(status, 422, "{body:#}");
        assert!(body.to_string().contains("message"), "{body:#}");
    });
}
