//! Document 002's trace queries: what services were told, read off the journal.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::world::{World, submit};
use super::{SPAN, TRACE, parts};
use crate::server::Server;

fn texts<'a>(spans: &'a Value, field: &str) -> Vec<&'a str> {
    let spans = spans.as_array().expect("a list").iter();
    spans.map(|own| own[field].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_trace_shows_each_attempt_as_its_service_heard_it_and_after_a_restart() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let run = submit(&server.client, &server.url, "saga", &[("traceparent", &parent)]).await;
    world.until_heard("/told").await;
    let path = format!("/infrastructure/tracing/trace/{TRACE}");
    let told = loop {
        // The receiver of the callback hears of it before the journal has its answer.
        let (status, told) = server.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        if told["spans"].as_array().is_some_and(|own| own.len() == 6) {
            break told;
        }
    };
    let spans = &told["spans"];
    assert_eq!(texts(spans, "kind"), ["run", "step", "step", "step", "undo", "callback"]);
    let names = ["saga", "charge", "charge", "ship", "charge", "workflow.failed"];
    assert_eq!(texts(spans, "name"), names);
    let words = ["compensated", "failed", "succeeded", "failed", "succeeded", "succeeded"];
    assert_eq!(texts(spans, "status"), words);
    let heard = world.heard();
    let heard: Vec<_> = heard.iter().map(|own| parts(&own.traceparent)[2]).collect();
    let ids = texts(spans, "span_id");
    assert_eq!(ids[1..], heard);
    assert_eq!(texts(spans, "parent_span_id"), [SPAN, ids[0], ids[0], ids[0], ids[0], ids[0]]);
    assert_eq!(told["executions"][0]["execution_id"], *run);
    assert_eq!(spans[3]["error"]["error_code"], "HTTP_STATUS", "{told}");

    let (_, listed) = server.get("/api/v1/executions").await;
    assert_eq!(listed["executions"][0]["trace_id"], TRACE);
    let (_, stats) = server.get("/infrastructure/tracing/stats").await;
    assert_eq!(
        (&stats["traces"], &stats["spans"], &stats["errors"]),
        (&json!(1), &json!(6), &json!(3))
    );
    assert_eq!(stats["error_share"], 0.5, "{stats}");
    assert_eq!(stats["services"][&world.url]["spans"], 5, "{stats}");

    let server = Server::start_in(server.stop().await).await;
    assert_eq!(server.get(&path).await.1, told);
    server.stop().await;
}

#[tokio::test]
async fn a_service_is_named_in_several_ways_and_a_trace_has_all_runs_of_a_family() {
    let (server, world) = (Server::start().await, World::start().await);
    world.define(&server.client, &server.url).await;
    let run = submit(&server.client, &server.url, "family", &[]).await;
    world.until_heard("/last").await;
    let (_, told) = server.get(&format!("/infrastructure/tracing/trace/{}", &run[9..])).await;
    let mut workflows = texts(&told["executions"], "workflow_id");
    workflows.sort_unstable();
    assert_eq!(workflows, ["family", "family", "plain"], "the loop's chunk is a run of it");
    let spans = told["spans"].as_array().expect("spans");
    let root: Vec<_> = spans.iter().filter(|own| own["parent_span_id"].is_null()).collect();
    assert!(matches!(root[..], [own] if own["execution_id"] == *run), "{told}");
    for own in spans.iter().filter(|own| !own["parent_span_id"].is_null()) {
        let above = spans.iter().find(|other| other["span_id"] == own["parent_span_id"]);
        assert!(above.is_some(), "{own} hangs below nothing");
    }

    let address = world.url.trim_start_matches("http://");
    let host = address.split(':').next().expect("a host");
    for name in [world.url.replace('/', "%2F"), address.to_owned(), host.to_owned()] {
        let (status, told) = server.get(&format!("/infrastructure/tracing/service/{name}")).await;
        assert_eq!(status, StatusCode::OK, "{told}");
        let traces = texts(&told["traces"], "trace_id");
        assert_eq!(traces, [&run[9..]; 3], "{name}: {told}");
    }
    let (_, nobody) = server.get("/infrastructure/tracing/service/127.0.0.2").await;
    assert_eq!(nobody["traces"], json!([]));
    let unknown = format!("/infrastructure/tracing/trace/{TRACE}");
    assert_eq!(server.get(&unknown).await.0, StatusCode::NOT_FOUND);
    let bad = format!("/infrastructure/tracing/trace/{}", TRACE.to_uppercase());
    assert_eq!(server.get(&bad).await.0, StatusCode::BAD_REQUEST);
    server.stop().await;
}
