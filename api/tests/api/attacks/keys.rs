//! Keys that would do more than whoever made them, or longer.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::{FIRST_KEY, Guarded, is_refused};
use crate::server::answer;
use crate::tokens::{SECRET, claims, hs256};

const KEYS: &str = "/api/v1/admin/api-keys";

async fn make(server: &Guarded, token: &str, body: Value) -> (StatusCode, Value) {
    let mut wish = json!({ "name": "made", "permissions": ["keys:write"] });
    wish.as_object_mut()
        .into_iter()
        .for_each(|own| own.extend(body.as_object().cloned().unwrap_or_default()));
    server.post(KEYS, token, &wish).await
}

async fn revoke(server: &Guarded, token: &str, id: &Value, body: Value) -> (StatusCode, Value) {
    let path = format!("{KEYS}/{}", id.as_str().expect("an id"));
    answer(server.ask("DELETE", &path, token).json(&body)).await
}

async fn counts(server: &Guarded, key: &Value) -> bool {
    let token = key["token"].as_str().expect("a key");
    server.get("/api/v1/workflows", token).await.0 != StatusCode::UNAUTHORIZED
}

fn text(key: &Value) -> &str {
    key["token"].as_str().expect("a key")
}

#[tokio::test]
async fn a_key_made_by_a_key_ends_with_it() {
    let mut server = Guarded::start();
    let (_, maker) = make(&server, FIRST_KEY, json!({ "expires_in": "1h" })).await;
    let until = &maker["expires_at"];
    let (_, child) = make(&server, text(&maker), json!({})).await;
    assert_eq!(&child["expires_at"], until, "no longer than the key that made it");
    let (status, told) = make(&server, text(&maker), json!({ "expires_in": "2h" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(told["details"]["problems"][0]["path"], "expires_at");
    let (_, grandchild) = make(&server, text(&child), json!({ "expires_in": "1m" })).await;
    let (_, told) = revoke(&server, FIRST_KEY, &maker["key_id"], json!({})).await;
    assert_eq!(told["made_with_it"], json!([child["key_id"], grandchild["key_id"]]));
    for key in [&maker, &child, &grandchild] {
        assert!(!counts(&server, key).await, "{key}");
    }
    server.start_again();
    assert!(!counts(&server, &grandchild).await);
    let (_, maker) = make(&server, FIRST_KEY, json!({})).await;
    let (_, child) = make(&server, text(&maker), json!({})).await;
    let kept = json!({ "keep_made": true });
    let (_, told) = revoke(&server, FIRST_KEY, &maker["key_id"], kept).await;
    assert_eq!(told["made_with_it"], json!([]));
    assert!(!counts(&server, &maker).await && counts(&server, &child).await);
}

#[tokio::test]
async fn nobody_revokes_a_key_that_may_do_more() {
    let server = Guarded::start();
    let (_, all) = make(&server, FIRST_KEY, json!({ "permissions": ["*"] })).await;
    let (_, weak) = make(&server, FIRST_KEY, json!({})).await;
    let (status, told) = revoke(&server, text(&weak), &all["key_id"], json!({})).await;
    assert!(is_refused(status, &told), "{told}");
    assert_eq!(told["details"]["permissions"], json!(["*"]));
    assert!(counts(&server, &all).await);
    assert_eq!(revoke(&server, text(&all), &weak["key_id"], json!({})).await.0, StatusCode::OK);
}

#[tokio::test]
async fn keys_of_other_namespaces_need_a_permission_of_their_own() {
    let server = Guarded::start();
    let token = |words: &[&str]| hs256(&claims("ann", words), SECRET.as_bytes());
    let (plain, admin) = (
        token(&["keys:read", "keys:write"]),
        token(&["keys:read", "keys:write", "namespaces:admin"]),
    );
    let other = || json!({ "namespace": "other" });
    let (status, told) = make(&server, &plain, other()).await;
    assert!(is_refused(status, &told), "{told}");
    let (status, key) = make(&server, &admin, other()).await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    let list = format!("{KEYS}?namespace=other");
    let (status, told) = server.get(&list, &plain).await;
    assert!(is_refused(status, &told), "{told}");
    let (_, told) = server.get(&list, &admin).await;
    assert_eq!(told["api_keys"][0]["key_id"], key["key_id"]);
    let (status, _) = revoke(&server, &plain, &key["key_id"], json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(counts(&server, &key).await);
    // Neither does it count in another namespace, whoever has it there.
    let (_, mighty) = server.key(&["*"], "third").await;
    let (status, told) = make(&server, &mighty, other()).await;
    assert!(is_refused(status, &told), "{told}");
    assert_eq!(revoke(&server, &admin, &key["key_id"], json!({})).await.0, StatusCode::OK);
    assert!(!counts(&server, &key).await);
}

#[tokio::test]
async fn one_tenant_does_not_take_the_keys_of_all() {
    let server = Guarded::start();
    let (_, first) = server.key(&["*"], "other").await;
    // Those that are expired make room for others, however many there were.
    let mut made = 0;
    for _ in 0..100_000 {
        let (status, told) = make(&server, &first, json!({ "expires_in": "200ms" })).await;
        match status {
            StatusCode::CREATED => made += 1,
            _ => assert_eq!(told["error_code"], "TOO_MANY_API_KEYS", "{told}"),
        }
        if made == 300 {
            break;
        }
    }
    assert_eq!(made, 300);
    let full = loop {
        let (status, told) = make(&server, &first, json!({})).await;
        if status != StatusCode::CREATED {
            break (status, told);
        }
    };
    assert_eq!(full.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (&full.1["error_code"], &full.1["details"]["max"]),
        (&json!("TOO_MANY_API_KEYS"), &json!(250))
    );
    assert_eq!(make(&server, FIRST_KEY, json!({})).await.0, StatusCode::CREATED);
}
