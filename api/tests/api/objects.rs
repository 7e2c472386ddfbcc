//! Objects of configuration: made, changed, found and removed by HTTP.

use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::server::{Server, answer};

/// One of each kind, with another one to have it say instead.
fn each() -> [(&'static str, &'static str, Value, Value); 5] {
    [
        ("policies", "policy", json!({ "description": "a" }), json!({ "description": "b" })),
        ("environments", "environment", json!({ "timeout": "10s" }), json!({ "timeout": "20s" })),
        ("adapters", "adapter", json!({ "url": "http://a/" }), json!({ "url": "http://b/" })),
        (
            "alerts/channels",
            "alert channel",
            json!({ "format": "backstitch", "url": "http://a/" }),
            json!({ "format": "backstitch", "url": "http://b/" }),
        ),
        (
            "alerts/rules",
            "alert rule",
            json!({ "on": "run_failed", "channels": ["a"] }),
            json!({ "on": "dead_letter", "channels": ["a"] }),
        ),
    ]
}

async fn put(
    server: &Server,
    path: &str,
    header: Option<(reqwest::header::HeaderName, &str)>,
    body: &Value,
) -> (StatusCode, Value) {
    let mut request = server.request(Method::PUT, path).json(body);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    answer(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_each_kind_is_made_changed_listed_and_removed_and_outlives_the_server() {
    let mut server = Server::start().await;
    for (collection, kind, first, second) in each() {
        let all = format!("/api/v1/{collection}");
        let one = format!("{all}/one?reason=agreed");
        let (status, made) = put(&server, &one, None, &first).await;
        assert_eq!((status, &made["revision"]), (StatusCode::CREATED, &json!(1)), "{made}");
        assert_eq!((&made["kind"], &made["content"]), (&json!(kind), &first));
        let records = server.records().await;
        let (status, same) = put(&server, &one, None, &first).await;
        assert_eq!((status, &same), (StatusCode::OK, &made));
        assert_eq!(server.records().await, records, "what it says already is not recorded again");
        let (status, changed) = put(&server, &one, None, &second).await;
        assert_eq!((status, &changed["revision"]), (StatusCode::OK, &json!(2)), "{changed}");
        assert_eq!(changed["created_at"], made["created_at"]);
        let (status, _) = put(&server, &format!("{all}/another"), None, &first).await;
        assert_eq!(status, StatusCode::CREATED);
    }
    let folder = server.stop().await;
    server = Server::start_in(folder).await;
    for (collection, kind, first, second) in each() {
        let all = format!("/api/v1/{collection}");
        let (_, listed) = server.get(&all).await;
        let found: Vec<_> = listed["objects"].as_array().expect("a list").iter().collect();
        let said: Vec<_> = found.iter().map(|own| (&own["name"], &own["content"])).collect();
        assert_eq!(said, [(&json!("another"), &first), (&json!("one"), &second)]);
        let one = format!("{all}/one");
        let (_, shown) = server.get(&one).await;
        assert_eq!((&shown, &shown["revision"]), (found[1], &json!(2)));
        let removal = server.request(Method::DELETE, &format!("{one}?reason=over"));
        assert_eq!(answer(removal).await, (StatusCode::OK, shown));
        let (status, gone) = server.get(&one).await;
        assert_eq!(
            (status, &gone["error_code"]),
            (StatusCode::NOT_FOUND, &json!("OBJECT_NOT_FOUND"))
        );
        assert!(gone["message"].as_str().is_some_and(|own| own.contains(kind)), "{gone}");
        let audit = format!("/api/v1/audit?target={collection}/one&order=asc");
        let (_, audit) = server.get(&audit).await;
        let rows = audit["audit"].as_array().expect("a list").iter();
        let rows: Vec<_> = rows.map(|row| (&row["action"], &row["detail"])).collect();
        let (set, removed) = (json!("configuration.set"), json!("configuration.removed"));
        let details = ["revision 1: agreed", "revision 2: agreed", "over"].map(Value::from);
        assert_eq!(rows, [(&set, &details[0]), (&set, &details[1]), (&removed, &details[2])]);
    }
}

#[tokio::test]
async fn a_change_is_made_only_if_the_object_is_as_expected() {
    let server = Server::start().await;
    let (path, content) = ("/api/v1/policies/p", json!({ "description": "a" }));
    let (status, _) = put(&server, path, Some((IF_MATCH, "*")), &content).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let request = server.request(Method::PUT, path).json(&content).header(IF_NONE_MATCH, "*");
    let made = request.send().await.expect("an answer");
    let tag = made.headers()[ETAG].to_str().expect("a text").to_owned();
    assert_eq!(made.status(), StatusCode::CREATED);
    let (status, _) = put(&server, path, Some((IF_NONE_MATCH, "*")), &content).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let other = json!({ "description": "b" });
    let (status, _) = put(&server, path, Some((IF_MATCH, &tag)), &other).await;
    assert_eq!(status, StatusCode::OK);
    let late = server.request(Method::DELETE, path).header(IF_MATCH, &tag);
    let (status, refused) = answer(late).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{refused}");
    assert_eq!(server.get(path).await.1["content"], other);
}

#[tokio::test]
async fn what_is_no_object_is_refused_with_its_place() {
    let server = Server::start().await;
    let (status, refused) = put(&server, "/api/v1/policies/a%20b", None, &json!([])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let paths = refused["details"]["problems"].as_array().expect("problems").iter();
    assert_eq!(paths.map(|own| &own["path"]).collect::<Vec<_>>(), ["name", ""]);
    let (status, _) = put(&server, "/api/v1/policies/a?cause=b", None, &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
