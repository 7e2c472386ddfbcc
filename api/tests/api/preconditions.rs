//! `ETag`, `If-Match` and `If-None-Match` of definitions, and parts of them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, TWO_STEPS, answer};

const TWO: &str = "/api/v1/workflows/two";

/// Sends a request with a header; answers its status, its tag and its body.
async fn asked(
    server: &Server,
    (method, path): (Method, &str),
    (name, value): (&'static str, &str),
    body: Option<&Value>,
) -> (StatusCode, String, Value) {
    let request = server.request(method, path).header(name, value);
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let tag = response.headers().get("etag").map(|own| own.to_str().expect("a text").to_owned());
    let body = response.text().await.expect("a text");
    (status, tag.unwrap_or_default(), serde_json::from_str(&body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_names_the_definition_and_what_is_shown_is_as_it_stands() {
    let server = Server::start().await;
    server.define(TWO_STEPS).await;
    let get = (Method::GET, TWO);
    let (status, tag, shown) = asked(&server, get.clone(), ("accept", "*/*"), None).await;
    assert_eq!(
        (status, &*tag),
        (StatusCode::OK, &*format!("\"{}\"", shown["digest"].as_str().expect("a digest")))
    );
    server.define(&TWO_STEPS.replace("hello", "bye")).await;
    let (_, other, _) = asked(&server, get, ("accept", "*/*"), None).await;
    assert_ne!(other, tag);
    let first = (Method::GET, "/api/v1/workflows/two?revision=1");
    let (_, own, _) = asked(&server, first.clone(), ("accept", "*/*"), None).await;
    assert_eq!(own, tag, "the first revision is as it was");
    // The same definition, and yet the workflow does not stand as it did.
    let disable = "/api/v1/workflows/two/disable";
    let why = json!({ "reason": "out of order" });
    let (status, _) = server.post(disable, &why).await;
    assert_eq!(status, StatusCode::OK);
    let (status, own, body) = asked(&server, first, ("if-none-match", &tag), None).await;
    assert_eq!((status, own), (StatusCode::OK, tag));
    assert_eq!(body["status"], "disabled");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_overwrites_what_they_have_not_seen() {
    let server = Server::start().await;
    let text = |output: u32| json!({ "id": "own", "steps": [{ "id": "a", "type": "noop", "with": { "output": output } }] });
    let post = (Method::POST, "/api/v1/workflows");
    let only_new = ("if-none-match", "*");
    let (status, tag, _) = asked(&server, post.clone(), only_new, Some(&text(1))).await;
    assert!(status == StatusCode::CREATED && !tag.is_empty());
    let before = server.records().await;
    let (status, _, told) = asked(&server, post.clone(), only_new, Some(&text(2))).await;
    assert_eq!(
        (status, &told["error_code"]),
        (StatusCode::PRECONDITION_FAILED, &json!("PRECONDITION_FAILED"))
    );
    assert_eq!(server.records().await, before, "nothing was recorded");
    let (status, next, _) = asked(&server, post.clone(), ("if-match", &tag), Some(&text(2))).await;
    assert!(status == StatusCode::CREATED && next != tag);
    for (method, path) in [
        post.clone(),
        (Method::POST, "/workflows"),
        (Method::PATCH, "/api/v1/workflows/own"),
        (Method::PUT, "/workflows/own"),
        (Method::PUT, "/v1/workflows/own"),
    ] {
        let (status, _, told) =
            asked(&server, (method, path), ("if-match", &tag), Some(&text(3))).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{path}: {told}");
        assert_eq!(
            json!(format!("\"{}\"", told["details"]["digest"].as_str().expect("a digest"))),
            json!(next)
        );
    }
    let (status, ..) = asked(&server, post, ("if-none-match", &next), Some(&text(3))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_makes_a_new_revision_of_what_was_submitted() {
    let server = Server::start().await;
    let body = "id: own\ndescription: old\ntags: [a]\nvariables: { x: 1, y: 2 }\n\
                steps: [{ id: a, type: noop }]\n";
    server.define(body).await;
    let patch = async |part: Value| {
        let request = server.request(Method::PATCH, "/api/v1/workflows/own");
        let request = request.header("content-type", "application/merge-patch+json");
        answer(request.body(part.to_string())).await
    };
    let (status, told) = patch(json!({ "description": null, "variables": { "x": 3 } })).await;
    assert_eq!((status, &told["revision"]), (StatusCode::OK, &json!(2)), "{told}");
    let (_, shown) = server.get("/api/v1/workflows/own").await;
    let definition = &shown["definition"];
    assert_eq!(definition["variables"], json!({ "x": 3, "y": 2 }));
    assert_eq!((definition.get("description"), &definition["tags"]), (None, &json!(["a"])));
    let (_, told) = patch(json!({ "tags": ["a"] })).await;
    assert_eq!((&told["revision"], &told["created"]), (&json!(2), &json!(false)), "no change");
    let (status, told) = patch(json!({ "steps": [] })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
    let request = server.request(Method::PATCH, "/api/v1/workflows/nobody").json(&json!({}));
    assert_eq!(answer(request).await.0, StatusCode::NOT_FOUND);
    // Parts that are put in at the same time are all there in the end.
    let parts = (0..6).map(|at| patch(json!({ "variables": { format!("v{at}"): at } })));
    for (status, told) in futures_util::future::join_all(parts).await {
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    let (_, shown) = server.get("/api/v1/workflows/own").await;
    assert_eq!(shown["definition"]["variables"].as_object().map(serde_json::Map::len), Some(8));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_are_told_apart_and_every_value_has_its_origin() {
    let server = Server::start().await;
    server.define("{id: own, steps: [{id: a, type: noop}]}").await;
    let next = "{id: own, name: New, defaults: {timeout: 5s}, steps: [{id: b, type: noop}, \
                {id: a, type: noop, timeout: 1s}]}";
    server.define(next).await;
    let (status, told) = server.get("/api/v1/workflows/own/diff").await;
    assert_eq!((status, &told["from"], &told["to"]), (StatusCode::OK, &json!(1), &json!(2)));
    let paths = |told: &Value| -> Vec<String> {
        let changes = told["changes"].as_array().expect("changes").iter();
        changes.map(|own| own["path"].as_str().expect("a path").to_owned()).collect()
    };
    assert_eq!(paths(&told), ["/defaults", "/name", "/steps/a/timeout", "/steps/b"]);
    let (_, back) = server.get("/api/v1/workflows/own/diff?from=2&to=1").await;
    assert_eq!(paths(&back), paths(&told));
    assert_eq!(paths(&server.get("/api/v1/workflows/own/diff?to=1").await.1), [""; 0]);
    for wrong in ["diff?to=3", "effective?revision=3"] {
        let (status, _) = server.get(&format!("/api/v1/workflows/own/{wrong}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{wrong}");
    }
    let (_, shown) = server.get("/api/v1/workflows/own/effective").await;
    let timeouts = ["/steps/0/timeout", "/steps/1/timeout"].map(|at| shown.pointer(at).cloned());
    let is = |value: &str, origin: &str| Some(json!({ "value": value, "origin": origin }));
    assert_eq!(timeouts, [is("5s", "defaults"), is("1s", "step")]);
    server.stop().await;
}
