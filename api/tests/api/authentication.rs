//! Who may do what, against the real program: keys, tokens, and attacks on both.

use std::path::Path;

use backstitch_api::http::{Access, routes};
use backstitch_core::access::Permission;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::guarded::{FIRST_KEY, Guarded, is_refused};
use crate::process::backstitch;
use crate::server::{TWO_STEPS, answer};
use crate::tokens::{SECRET, claims, hs256, hs256_with, now, signed};

/// A route's path with something in place of its parameters.
fn filled(path: &str) -> String {
    let segments: Vec<_> =
        path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    segments.join("/")
}

#[tokio::test]
async fn only_life_and_readiness_are_told_to_everybody() {
    let server = Guarded::start();
    for route in routes() {
        let request = server.ask(route.method, &filled(route.path), "").json(&json!({}));
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        if route.access == Access::Open {
            assert_eq!(status, StatusCode::OK, "{route:?}");
            continue;
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{route:?}");
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"backstitch\"");
        let body: Value = response.json().await.expect("an envelope");
        assert_eq!(body["error_code"], "UNAUTHENTICATED");
    }
    let open: Vec<_> = routes().into_iter().filter(|own| own.access == Access::Open).collect();
    let open: Vec<_> = open.iter().map(|own| own.path).collect();
    let described = ["/openapi.json", "/docs", "/docs/page.css", "/docs/page.js"];
    let expected = [&["/health", "/ready"][..], &described, &["/orchestrator/health"]].concat();
    assert_eq!(open, expected);
}

#[tokio::test]
async fn each_permission_opens_its_own_routes_and_no_others() {
    let server = Guarded::start();
    let none = hs256(&claims("nobody", &[]), SECRET.as_bytes());
    let tokens = Permission::WORDS
        .map(|(own, word)| (Some(own), hs256(&claims("one", &[word]), SECRET.as_bytes())));
    for route in routes() {
        let Access::Needs(needed) = route.access else { continue };
        for (own, token) in tokens.iter().chain([&(None, none.clone())]) {
            let request = server.ask(route.method, &filled(route.path), token);
            let response = request.json(&json!({})).send().await.expect("an answer");
            let (status, headers) = (response.status(), response.headers().clone());
            let body = serde_json::from_str(&response.text().await.expect("a text"));
            let body = body.unwrap_or(Value::Null);
            assert_eq!(is_refused(status, &body), *own != Some(needed), "{route:?} {own:?} {body}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{route:?}");
            if *own != Some(needed) {
                assert_eq!(body["details"]["permission"], needed.word());
                let told = headers["www-authenticate"].to_str().expect("text");
                assert!(told.contains(&format!("scope=\"{}\"", needed.word())), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let server = Guarded::start();
    let (issuer, good) = (&server.issuer, claims("ann", &["workflows:read"]));
    for token in [hs256(&good, SECRET.as_bytes()), issuer.rs256(&good), issuer.es256(&good)] {
        assert_eq!(server.get("/api/v1/workflows", &token).await.0, StatusCode::OK);
    }
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(name);
        claims
    };
    let secret = SECRET.as_bytes();
    let none = json!({ "alg": "none" });
    let set = issuer.key_set();
    let mut changed = issuer.rs256(&good);
    changed.replace_range(30..31, if &changed[30..31] == "A" { "B" } else { "A" });
    let wrong = [
        ("expired", hs256(&with("exp", json!(now() - 5)), secret)),
        ("no expiry", hs256(&without("exp"), secret)),
        ("expiry as text", hs256(&with("exp", json!("9999999999")), secret)),
        ("not yet", hs256(&with("nbf", json!(now() + 600)), secret)),
        ("not yet as text", hs256(&with("nbf", json!("0")), secret)),
        ("other audience", issuer.rs256(&with("aud", json!("billing")))),
        ("no audience", issuer.rs256(&without("aud"))),
        ("other issuer", issuer.es256(&with("iss", json!("https://evil.test")))),
        ("no issuer", issuer.es256(&without("iss"))),
        ("no subject", hs256(&without("sub"), secret)),
        ("subject of a key", hs256(&with("sub", json!("key_1")), secret)),
        ("bad tenant", hs256(&with("namespace", json!("a/b")), secret)),
        ("other secret", hs256(&good, b"another secret that is long enough, too")),
        ("none", signed(&none, &good, |_| Vec::new())),
        ("None", signed(&json!({ "alg": "None" }), &good, |_| Vec::new())),
        ("none with a signature", hs256_with(&none, &good, secret)),
        ("public key as secret", hs256(&good, &issuer.modulus())),
        ("key set as secret", hs256(&good, set.to_string().as_bytes())),
        (
            "HS256 under the id of the RSA key",
            hs256_with(&json!({ "alg": "HS256", "kid": "r" }), &good, &issuer.modulus()),
        ),
        ("RS256 that says ES256", issuer.rs256_with(&json!({ "alg": "ES256", "kid": "e" }), &good)),
        (
            "RS256 under another id",
            issuer.rs256_with(&json!({ "alg": "RS256", "kid": "x" }), &good),
        ),
        (
            "a secret of the key set",
            hs256_with(
                &json!({ "alg": "HS256", "kid": "o" }),
                &good,
                b"a secret that everybody can read, so it is none",
            ),
        ),
        (
            "a key of its own",
            issuer
                .rs256_with(&json!({ "alg": "RS256", "jwk": set["keys"][0] , "kid": "y" }), &good),
        ),
        ("HS512", hs256_with(&json!({ "alg": "HS512" }), &good, secret)),
        ("changed", changed),
        ("no signature", hs256(&good, secret).rsplit_once('.').expect("dots").0.to_owned() + "."),
        ("too long", hs256(&with("more", json!("x".repeat(9_000))), secret)),
        ("no token", "abc".to_owned()),
        ("no key", "bst_0000000000000000_00".to_owned()),
        ("key of the settings, nearly", FIRST_KEY[..38].to_owned()),
    ];
    for (what, token) in &wrong {
        let (status, body) = server.get("/api/v1/workflows", token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {body}");
        assert_eq!(body["error_code"], "UNAUTHENTICATED", "{what}");
    }
    let twice = server.ask("GET", "/api/v1/workflows", FIRST_KEY).header("x-api-key", FIRST_KEY);
    assert_eq!(answer(twice).await.0, StatusCode::UNAUTHORIZED);
    let basic = server.ask("GET", "/api/v1/workflows", "").basic_auth("ann", Some(FIRST_KEY));
    assert_eq!(answer(basic).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_survives_a_kill_until_it_is_revoked_and_stands_nowhere() {
    let mut server = Guarded::start();
    let (id, key) = server.key(&["workflows:write", "workflows:execute"], "default").await;
    let define = |server: &Guarded| {
        let request = server.ask("POST", "/api/v1/workflows", "").header("x-api-key", &key);
        request.header("content-type", "application/yaml").body(TWO_STEPS)
    };
    assert_eq!(answer(define(&server)).await.0, StatusCode::CREATED);
    server.start_again();
    assert_eq!(answer(define(&server)).await.0, StatusCode::OK);
    let execute = "/api/v1/workflows/two/execute";
    let request = server.ask("POST", execute, &key).header("x-user-id", "mallory");
    let (_, run) = answer(request.json(&json!({ "wait_seconds": 60 }))).await;
    assert_eq!(run["submitted_by"], id.as_str());
    let said = server.logged(["a request to change something", "mallory"]);
    assert_eq!((&said["actor"], &said["on_behalf_of"]), (&json!(id), &json!("mallory")));
    let path = format!("/api/v1/admin/api-keys/{id}");
    let revoke = || server.ask("DELETE", &path, FIRST_KEY).json(&json!({ "reason": "lost" }));
    assert_eq!(answer(revoke()).await.0, StatusCode::OK);
    assert_eq!(answer(revoke()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(answer(define(&server)).await.0, StatusCode::UNAUTHORIZED);
    let (_, audit) = server.get("/api/v1/audit?order=asc", FIRST_KEY).await;
    let deed = |row: &Value| (row["action"].clone(), row["actor"].clone(), row["target"].clone());
    let deeds: Vec<_> = audit["audit"].as_array().expect("rows").iter().map(deed).collect();
    let (first, own) = (json!("key_configured"), json!(id));
    assert_eq!(
        deeds,
        [
            (json!("key.created"), first.clone(), own.clone()),
            (json!("workflow.defined"), own.clone(), json!("two")),
            (json!("key.revoked"), first, own),
        ]
    );
    server.start_again();
    assert_eq!(answer(define(&server)).await.0, StatusCode::UNAUTHORIZED);
    server.process.kill().expect("it can be killed");
    server.process.wait().expect("it ends");
    for found in files(&server.folder.path().join("data")) {
        let bytes = std::fs::read(&found).expect("a file");
        // Segments are filled with zeros ahead.
        let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = &bytes[..written];
        let holds = |text: &str| bytes.windows(text.len()).any(|own| own == text.as_bytes());
        assert!(!holds(&key) && !holds(FIRST_KEY), "{}", found.display());
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn nobody_gives_away_more_than_they_have_or_sees_another_tenant() {
    let server = Guarded::start();
    let (_, maker) = server.key(&["keys:write", "workflows:read"], "default").await;
    let keys = "/api/v1/admin/api-keys";
    let wish = |words: &[&str]| json!({ "name": "more", "permissions": words });
    let (status, body) = server.post(keys, &maker, &wish(&["workflows:write", "*"])).await;
    assert!(is_refused(status, &body), "{body}");
    assert_eq!(body["details"]["permissions"], json!(["workflows:write", "*"]));
    assert_eq!(server.post(keys, &maker, &wish(&["workflows:read"])).await.0, StatusCode::CREATED);
    let (status, _) = server.post(keys, FIRST_KEY, &wish(&["workflow:read"])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = server.post(keys, &maker, &wish(&["keys:write"; 12_000])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    let (id, other) = server.key(&["*"], "other").await;
    let define = |token: &str| {
        let request = server.ask("POST", "/api/v1/workflows", token);
        answer(request.header("content-type", "application/yaml").body(TWO_STEPS))
    };
    assert_eq!(define(FIRST_KEY).await.0, StatusCode::CREATED);
    let run = json!({ "wait_seconds": 60 });
    let execute = "/api/v1/workflows/two/execute";
    let (_, ours) = server.post(execute, FIRST_KEY, &run).await;
    assert_eq!(server.post(execute, &other, &run).await.0, StatusCode::NOT_FOUND);
    assert_eq!(define(&other).await.0, StatusCode::CREATED);
    let (_, theirs) = server.post(execute, &other, &run).await;
    let path = |run: &Value| {
        format!("/api/v1/executions/{}", run["execution_id"].as_str().expect("an id"))
    };
    for (run, own, foreign) in [(&ours, FIRST_KEY, other.as_str()), (&theirs, &other, FIRST_KEY)] {
        assert_eq!(server.get(&path(run), own).await.0, StatusCode::OK);
        for below in ["", "/events", "/why", "/diff?from=1&to=2", "/export"] {
            let (status, body) = server.get(&format!("{}{below}", path(run)), foreign).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{below}: {body}");
        }
        let id = run["execution_id"].as_str().expect("an id");
        let saga = server.get(&format!("/infrastructure/saga/{id}"), foreign).await;
        assert_eq!(saga.0, StatusCode::NOT_FOUND);
        let cancel = server.post(&format!("/v1/cancel/{id}"), foreign, &json!({})).await;
        assert_eq!(cancel.0, StatusCode::NOT_FOUND);
        let (_, list) = server.get("/api/v1/executions", foreign).await;
        assert_eq!(list["executions"].as_array().map(Vec::len), Some(1));
    }
    for path in ["/metrics", "/api/v1/events", "/api/v1/replays", "/api/v1/admin/views"] {
        let (status, body) = server.get(path, &other).await;
        assert!(is_refused(status, &body), "{path}: {body}");
    }
    let (_, seen) = server.get(keys, &other).await;
    let seen: Vec<_> = seen["api_keys"].as_array().expect("keys").iter().collect();
    assert_eq!(seen.iter().map(|key| key["key_id"].as_str()).collect::<Vec<_>>(), [Some(&*id)]);
}

#[tokio::test]
async fn the_command_line_makes_lists_and_revokes_keys() {
    let server = Guarded::start();
    let run = |arguments: &[&str], token: &str| {
        let mut command = backstitch(arguments);
        command.args(["--server", &server.url]).env("BACKSTITCH_TOKEN", token);
        let output = command.output().expect("the program starts");
        let text = |bytes| String::from_utf8(bytes).expect("text").trim_end().to_owned();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let create =
        ["token", "create", "--name", "ci", "--permission", "executions:read", "--expires", "90d"];
    let (code, key, said) = run(&create, FIRST_KEY);
    assert_eq!((code, key.starts_with("bst_")), (Some(0), true), "{said}");
    let (code, _, said) = run(&["list"], "");
    assert!(code == Some(1) && said.contains("--token"), "{said}");
    assert_eq!(run(&["list"], &key).0, Some(0));
    let (code, _, said) = run(&["limits"], &key);
    assert!(code == Some(1) && said.contains("limits:read"), "{said}");
    let (_, shown, _) = run(&["token", "list"], FIRST_KEY);
    assert!(shown.contains("executions:read") && !shown.contains(&key), "{shown}");
    let id = format!("key_{}", key.split('_').nth(1).expect("an id"));
    assert_eq!(run(&["token", "revoke", &id], FIRST_KEY).0, Some(0));
    assert_eq!(run(&["list"], &key).0, Some(1));
}

#[tokio::test]
async fn a_web_page_drives_no_server_of_its_reader() {
    let server = Guarded::start();
    let submit = |kind: &str| {
        let request = server.ask("POST", "/api/v1/workflows", FIRST_KEY);
        request.header("content-type", kind.to_owned()).body(TWO_STEPS)
    };
    let page = submit("application/yaml").header("origin", "https://evil.test");
    assert_eq!(answer(page).await.1["error_code"], "FORBIDDEN_HOST");
    let rebound = submit("application/yaml").header("host", "evil.test");
    assert_eq!(answer(rebound).await.1["error_code"], "FORBIDDEN_HOST");
    assert_eq!(answer(submit("text/plain")).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (_, list) = server.get("/api/v1/workflows", FIRST_KEY).await;
    assert_eq!(list["workflows"], json!([]));
}
