//! Dry runs over HTTP and from the command line.

use std::fs;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{folder, output};
use crate::server::Server;

const ORDER: &str = "
id: order
steps:
  - { id: reserve, type: noop, with: { output: { n: '{{ input.n }}' } }, undo: { type: noop } }
  - { id: charge, type: noop, needs: [reserve], with: { output: { paid: '{{ steps.reserve.output.n }}' } } }
outputs: { paid: '{{ steps.charge.output.paid }}' }
";

/// A second revision: it charges twice as much, and tells somebody.
fn dearer() -> String {
    let twice = ORDER.replace("steps.reserve.output.n }", "steps.reserve.output.n * 2 }");
    twice.replace("outputs:", "  - { id: tell, type: noop, needs: [charge] }\noutputs:")
}

async fn dry_run(server: &Server, body: &Value) -> (StatusCode, Value) {
    server.post("/api/v1/workflows/order/dry-run", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mocks_answer_and_nothing_is_recorded() {
    let server = Server::start().await;
    server.define(ORDER).await;
    let before = server.records().await;
    let mocks = json!({
        "reserve": { "output": { "n": 3 }, "delay_ms": 50 },
        "charge": { "error": { "status": 402 } },
    });
    let (status, shown) = dry_run(&server, &json!({ "mocks": mocks, "input": { "n": 9 } })).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    assert_eq!((&shown["status"], &shown["revision"]), (&json!("compensated"), &json!(1)));
    assert_eq!(shown["steps"]["charge"]["input"], json!({ "output": { "paid": 3 } }));
    assert_eq!((&shown["undo_order"], &shown["duration_ms"]), (&json!(["reserve"]), &json!(50)));
    assert_eq!(shown["unmocked"], json!(["reserve/undo"]));
    assert_eq!(server.records().await, before);
    let (_, runs) = server.get("/api/v1/executions").await;
    assert_eq!(runs["executions"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_run_meets_another_revision() {
    let server = Server::start().await;
    server.define(ORDER).await;
    let run = server.run("order", &json!({ "n": 5 })).await["execution_id"].clone();
    let (status, same) = dry_run(&server, &json!({ "input_of": run, "unmocked": "fail" })).await;
    assert_eq!((status, &same["status"]), (StatusCode::OK, &json!("completed")), "{same}");
    assert_eq!(same["comparison"]["first_divergence"], Value::Null, "{same:#}");
    assert_eq!(same["output"], json!({ "paid": 5 }));
    let definition: Value =
        backstitch_core::yaml::parse(dearer().as_bytes(), backstitch_core::yaml::Format::Yaml)
            .expect("YAML");
    let mocks = json!({ "charge": { "output": { "paid": 10 } } });
    let wish = json!({ "input_of": run, "definition": definition, "mocks": mocks });
    let (status, shown) = dry_run(&server, &wish).await;
    assert_eq!((status, &shown["revision"]), (StatusCode::OK, &Value::Null), "{shown}");
    assert_eq!((&shown["output"], &shown["unmocked"]), (&json!({ "paid": 10 }), &json!(["tell"])));
    let divergence = &shown["comparison"]["first_divergence"];
    assert_eq!(
        (&divergence["step"], &divergence["left"]),
        (&json!("charge"), &json!(5)),
        "{shown:#}"
    );
    // Without a mock: what was recorded was for another input, and is not used.
    let (_, shown) = dry_run(&server, &json!({ "input_of": run, "definition": definition })).await;
    assert_eq!(shown["differing"], json!(["charge"]));
    let recorded = json!({ "recorded": run, "definition": definition, "input": { "n": 1 } });
    let (_, shown) = dry_run(&server, &recorded).await;
    assert_eq!((&shown["output"], &shown["differing"]), (&json!({ "paid": 5 }), &json!([])));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_its_place() {
    let server = Server::start().await;
    server.define(ORDER).await;
    let paths = async |body: Value| {
        let (status, refused) = dry_run(&server, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{refused}");
        let problems = refused["details"]["problems"].as_array().cloned().unwrap_or_default();
        problems.iter().map(|own| own["path"].to_string()).collect::<Vec<_>>()
    };
    let wrong = json!({ "unmocked": "x", "starts_at": "soon", "recorded": "exec_1", "odd": 1 });
    assert_eq!(paths(wrong).await, ["\"odd\"", "\"recorded\"", "\"unmocked\"", "\"starts_at\""]);
    let wrong = json!({ "mocks": { "charg": {} }, "variables": [] });
    assert_eq!(paths(wrong).await, ["\"mocks.charg\"", "\"variables\""]);
    assert_eq!(paths(json!({ "revision": 7 })).await, ["\"revision\""]);
    let other =
        json!({ "definition": { "id": "other", "steps": [{ "id": "a", "type": "noop" }] } });
    assert_eq!(paths(other).await, ["\"definition\""]);
    let (status, _) = server.post("/api/v1/workflows/none/dry-run", &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let nobody = format!("exec_{:036x}", 1);
    let (status, _) = dry_run(&server, &json!({ "input_of": nobody })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.stop().await;
}

#[test]
fn the_command_line_plays_without_a_server() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let definition = file("order.yaml", ORDER);
    let mocks = file(
        "mocks.yaml",
        "{ reserve: { output: { n: 1 } }, charge: { error: { class: permanent, message: no credit } } }",
    );
    let said = |arguments: &[&str]| {
        let out = output(arguments);
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (code, lines) = said(&["dry-run", &definition, "--input", "{\"n\":2}", "--mocks", &mocks]);
    assert_eq!(code, Some(1), "{lines}");
    for words in ["no credit", "undone in this order: reserve", "COMPENSATED", "+00:00:00.000"] {
        assert!(lines.contains(words), "{lines}");
    }
    let (code, json) = said(&["dry-run", &definition, "--input", "{\"n\":2}", "--json"]);
    assert_eq!(code, Some(1), "its mock answers an empty object: {json}");
    let mocks =
        file("good.yaml", "{ reserve: { output: { n: 1 } }, charge: { output: { paid: 1 } } }");
    let (code, json) =
        said(&["dry-run", &definition, "--input", "{\"n\":2}", "--mocks", &mocks, "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &json["output"]), (Some(0), &json!({ "paid": 1 })));
    let wrong = file("wrong.yaml", "chrge: {}");
    let (code, lines) = said(&["dry-run", &definition, "--mocks", &wrong]);
    assert_eq!(code, Some(1));
    assert!(lines.contains("is it `charge`?"), "{lines}");
}
