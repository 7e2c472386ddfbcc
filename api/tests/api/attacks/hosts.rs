//! Whoever may submit runs would have the server call what only it can reach (SSRF).

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::tenants::{define, run};
use crate::guarded::{FIRST_KEY, Guarded};
use crate::service::Service;

const CALLS: &str = "
id: calls
steps:
  - { id: call, type: http, with: { url: '{{ input.url }}' }, retry: none }
";

const DENIED: &str = "HTTP_HOST_DENIED";

/// The code of what a run failed for.
fn cause(run: &Value) -> &Value {
    &run["error"]["details"]["cause"]["error_code"]
}

#[tokio::test]
async fn a_runs_data_leads_to_no_private_host() {
    let (server, service) = (Guarded::start(), Service::start().await);
    let address = service.url("x");
    let port = address.rsplit(':').next().and_then(|own| own.split('/').next()).expect("a port");
    define(&server, FIRST_KEY, CALLS).await;
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let input = json!({ "url": format!("http://{host}:{port}/x") });
        let failed = run(&server, FIRST_KEY, "calls", &input, 60).await;
        assert_eq!(cause(&failed), DENIED, "{host}: {failed}");
    }
    let submission = json!({ "wait_seconds": 60, "callbacks": [
        { "event": "workflow.completed", "url": address },
    ] });
    define(&server, FIRST_KEY, "{ id: noop, steps: [{ id: a, type: noop }] }").await;
    let (_, run) = server.post("/api/v1/workflows/noop/execute", FIRST_KEY, &submission).await;
    assert_eq!(run["status"], "completed", "{run}");
    let path = format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"));
    let failed = loop {
        let (_, shown) = server.get(&path, FIRST_KEY).await;
        if shown["callbacks"][0]["attempts"] != 0 {
            break shown["callbacks"][0].clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(failed["error"]["error_code"], DENIED, "{failed}");
    let example = json!({ "url": address, "event": "workflow.completed" });
    let (status, told) = server.post("/api/v1/callbacks/test", FIRST_KEY, &example).await;
    assert_eq!((status, &told["delivered"]), (StatusCode::OK, &json!(false)), "{told}");
    assert!(told["error"].to_string().contains(DENIED), "{told}");
    assert!(service.calls().is_empty(), "nobody was called: {:?}", service.calls());
}

#[tokio::test]
async fn what_a_definition_writes_or_the_operator_excepts_is_called() {
    let settings = ["--private-hosts", "deny except localhost"];
    let (server, service) = (Guarded::start_with(&settings), Service::start().await);
    let base = service.url("");
    let writes = format!(
        "{{ id: writes, steps: [{{ id: a, type: http, with: {{ url: '{base}{{{{ input.id }}}}' }} }}] }}"
    );
    define(&server, FIRST_KEY, &writes).await;
    define(&server, FIRST_KEY, CALLS).await;
    let done = run(&server, FIRST_KEY, "writes", &json!({ "id": "one" }), 60).await;
    assert_eq!(done["status"], "completed", "{done}");
    let named = json!({ "url": format!("{}two", base.replace("127.0.0.1", "localhost")) });
    let done = run(&server, FIRST_KEY, "calls", &named, 60).await;
    assert_eq!(done["status"], "completed", "{done}");
    let numbers = json!({ "url": format!("{base}three") });
    let failed = run(&server, FIRST_KEY, "calls", &numbers, 60).await;
    assert_eq!(cause(&failed), DENIED, "{failed}");
    let paths: Vec<_> = service.calls().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/one", "/two"]);
}
