//! The trace that a run belongs to, as clients and services meet it.

mod export;
mod queries;
mod world;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{folder, serve_again};
use crate::server::{Server, answer};
use world::{World, submit};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parts(traceparent: &str) -> Vec<&str> {
    traceparent.split('-').collect()
}

#[tokio::test]
async fn every_attempt_is_called_in_the_trace_of_the_submission() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=x")];
    let run = submit(&server.client, &server.url, "saga", &headers).await;
    world.until_heard("/told").await;
    let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
    assert_eq!((&shown["status"], &shown["trace_id"]), (&json!("compensated"), &json!(TRACE)));

    let heard = world.heard();
    let paths: Vec<_> = heard.iter().map(|own| own.path.as_str()).collect();
    assert_eq!(paths, ["/charge", "/charge", "/ship", "/refund", "/told"]);
    let mut spans = vec![SPAN.to_owned()];
    for own in &heard {
        let [version, trace, span, flags] = parts(&own.traceparent)[..] else { panic!("{own:?}") };
        assert_eq!((version, trace, flags), ("00", TRACE, "01"), "{own:?}");
        assert_eq!(own.tracestate, "vendor=x");
        assert!(!spans.contains(&span.to_owned()), "each attempt is a span of its own: {heard:?}");
        spans.push(span.to_owned());
    }
    let path = format!("/api/v1/executions/{run}/events");
    let (_, events) = server.get(&path).await;
    let told = events["events"].as_array().expect("events").iter();
    let told: Vec<_> = told.filter(|own| own["type"] == "ExecutionTraced").collect();
    let data = json!({
        "trace_id": TRACE, "parent_span_id": SPAN, "sampled": true, "tracestate": "vendor=x",
    });
    assert!(matches!(told[..], [own] if own["data"] == data), "{events}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_traceparent_is_ignored() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let whole = format!("00-{TRACE}-{SPAN}-01");
    let wrong: [&[(&str, &str)]; 4] = [
        &[],
        &[("traceparent", "00-what-is-this"), ("tracestate", "vendor=x")],
        &[("traceparent", &whole), ("traceparent", &whole)],
        &[("tracestate", "vendor=x")],
    ];
    for headers in wrong {
        let run = submit(&server.client, &server.url, "plain", headers).await;
        let (_, shown) = server.get(&format!("/api/v1/executions/{run}")).await;
        assert_eq!(shown["trace_id"], run[9..], "its own");
        world.until_heard("/plain").await;
        let heard = world.take();
        assert_eq!(parts(&heard[0].traceparent)[1], &run[9..]);
        assert_eq!(heard[0].tracestate, "");
    }
    server.stop().await;
}

#[tokio::test]
async fn children_and_items_are_in_the_trace_of_the_run_above() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let run = submit(&server.client, &server.url, "family", &[]).await;
    world.until_heard("/last").await;
    let heard = world.heard();
    let paths: Vec<_> = heard.iter().map(|own| own.path.as_str()).collect();
    assert_eq!(paths, ["/plain", "/item", "/last"]);
    let traces: Vec<_> = heard.iter().map(|own| parts(&own.traceparent)[1]).collect();
    assert_eq!(traces, [&run[9..]; 3]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_in_the_same_trace_and_names_the_same_spans() {
    let (folder, world) = (folder(), World::start().await);
    let data_dir = folder.path().join("data");
    let (mut process, url, _) = serve_again(&data_dir);
    let client = crate::forms::client();
    world.define(&client, &url).await;
    world.hold("/charge");
    let parent = format!("00-{TRACE}-{SPAN}-00");
    let run = submit(&client, &url, "saga", &[("traceparent", &parent)]).await;
    world.until_heard("/charge").await;
    process.kill().expect("it runs");
    process.wait().expect("it ended");
    let first = world.take();
    assert_eq!(first[0].attempt, "1");

    let (mut process, url, recovered) = serve_again(&data_dir);
    assert_eq!(recovered, 1);
    world.until_heard("/told").await;
    let shown: Value = answer(client.get(format!("{url}/api/v1/executions/{run}"))).await.1;
    assert_eq!((&shown["status"], &shown["trace_id"]), (&json!("compensated"), &json!(TRACE)));
    for own in world.heard() {
        let said = parts(&own.traceparent);
        assert_eq!((said[1], said[3]), (TRACE, "00"), "not sampled, as it was submitted");
        assert_ne!(said[2], parts(&first[0].traceparent)[2], "another attempt is another span");
    }
    process.kill().expect("it runs");
    process.wait().expect("it ended");
}

#[tokio::test]
async fn the_documents_paths_take_a_traceparent_too() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let posts =
        [("/workflows/plain/execute", json!({})), ("/v1/run", json!({ "workflow": "plain" }))];
    for (path, body) in posts {
        let request = server.request(reqwest::Method::POST, path).json(&body);
        let (status, begun) = answer(request.header("traceparent", &parent)).await;
        assert!([StatusCode::OK, StatusCode::ACCEPTED].contains(&status), "{begun}");
        world.until_heard("/plain").await;
        assert_eq!(parts(&world.take()[0].traceparent)[1], TRACE, "{path}");
    }
    server.stop().await;
}
