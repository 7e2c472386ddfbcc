//! What the documents say of who may ask, of a server that asks who is there.

use std::process::Command;

use backstitch_api::http::{Access, Route, routes};
use backstitch_core::access::Permission;
use backstitch_tests::binaries;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::report::Report;
use super::{Scene, code};

#[expect(dead_code, reason = "the tests of the API make other tokens too")]
#[path = "../../../api/tests/api/tokens.rs"]
mod tokens;

/// How often a server is asked that counts a hundred times a second.
const ASKED_MAX: usize = 100_000;

pub async fn ask(report: &mut Report) {
    let mut program = Command::new(binaries::backstitch());
    program.env("ORCHESTRATOR_JWT_SECRET", tokens::SECRET);
    program.env("BACKSTITCH_JWT_ISSUER", tokens::ISSUER);
    program.env("BACKSTITCH_JWT_AUDIENCE", tokens::AUDIENCE);
    let scene = Scene::open_as(program).await;
    without_a_token(&scene, report).await;
    gateway(&scene, report).await;
    permissions(&scene, report).await;
    request_ids(&scene, report).await;
    too_often(report).await;
}

/// A route's path with something in place of its parameters.
fn filled(route: &Route) -> String {
    let segments = route.path.split('/').map(|own| if own.starts_with('{') { "x" } else { own });
    segments.collect::<Vec<_>>().join("/")
}

/// An answer with its head, whatever its length is told by.
async fn said(scene: &Scene, headers: &str, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(scene.at()).await.expect("the server listens");
    let asked = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(asked.as_bytes()).await.expect("it is sent");
    let mut told = String::new();
    stream.read_to_string(&mut told).await.expect("it answers text");
    told
}

async fn with_token(scene: &Scene, token: &str, method: &str, path: &str) -> (u16, Value) {
    let told = said(scene, &format!("authorization: Bearer {token}\r\n"), method, path).await;
    let status = told.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = told.split_once("\r\n\r\n").unwrap_or_default();
    (status.unwrap_or_default(), serde_json::from_str(body).unwrap_or_default())
}

fn token(claims: &Value) -> String {
    tokens::hs256(claims, tokens::SECRET.as_bytes())
}

async fn without_a_token(scene: &Scene, report: &mut Report) {
    let printed = routes().into_iter().filter(|own| own.path.starts_with("/orchestrator/"));
    let access_token = token(&tokens::claims("ann", &["*"]));
    for route in printed {
        let path = filled(&route);
        let (status, told) = scene.send(route.method, &path, "{}").await;
        if path == "/orchestrator/health" {
            report.holds("000-2", [(status == 200, &told)]);
            continue;
        }
        let is_envelope = told["success"] == false
            && ["error_code", "message", "timestamp"].iter().all(|name| told[name].is_string())
            && told["details"].is_object();
        report.holds(
            "000-2",
            [(status == 401, &path), (code(&told) == "UNAUTHENTICATED" && is_envelope, &told)],
        );
        let (status, told) = with_token(scene, &access_token, route.method, &path).await;
        report.holds("000-2", [(!matches!(status, 401 | 403), &told)]);
    }
}

/// Tokens of a gateway: those of this issuer for this audience, and no others.
async fn gateway(scene: &Scene, report: &mut Report) {
    let claims = || tokens::claims("ann", &["workflows:read"]);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(&claims)
    };
    let (status, told) = with_token(scene, &token(&claims()), "GET", "/v1/workflows").await;
    report.holds("003-77", [(status == 200, &told)]);
    for wrong in [
        with("iss", json!("https://gateway.test")),
        with("aud", json!("another-api")),
        with("exp", json!(tokens::now() - 3_600)),
        tokens::hs256(&claims(), b"what another gateway signs its tokens with"),
    ] {
        let (status, told) = with_token(scene, &wrong, "GET", "/v1/workflows").await;
        report.holds("003-77", [(status == 401 && code(&told) == "UNAUTHENTICATED", &told)]);
    }
}

/// Every permission but the one that a route needs, and then that one alone.
async fn permissions(scene: &Scene, report: &mut Report) {
    for printed in ["workflows:write", "workflows:cancel", "schedules:admin"] {
        report.holds("003-78", [(Permission::of_word(printed).is_some(), &printed)]);
    }
    for route in routes() {
        let Access::Needs(needed) = route.access else { continue };
        let (path, word) = (filled(&route), needed.word());
        let others: Vec<_> = Permission::WORDS.iter().map(|(_, own)| *own).collect();
        let others: Vec<_> = others.into_iter().filter(|own| *own != word).collect();
        let lacking = token(&tokens::claims("ann", &others));
        let (status, told) = with_token(scene, &lacking, route.method, &path).await;
        let names_it = code(&told) == "PERMISSION_DENIED" && told["details"]["permission"] == word;
        report.holds("003-78", [(status == 403 && names_it, &format!("{path}: {told}"))]);
        let having = token(&tokens::claims("ann", &[word]));
        let (status, told) = with_token(scene, &having, route.method, &path).await;
        let passes = status != 401 && told["details"]["permission"] != word;
        report.holds("003-78", [(passes, &format!("{path}: {told}"))]);
    }
}

/// The id that a request came with is in its answer, in the audit of what it did, and in the log.
async fn request_ids(scene: &Scene, report: &mut Report) {
    let token = token(&tokens::claims("ann", &["*"]));
    let headers =
        format!("authorization: Bearer {token}\r\nx-request-id: shared-1\r\nx-user-id: ada\r\n");
    let path = "/api/v1/cache?reason=row";
    let told = said(scene, &headers, "DELETE", path).await;
    let answered = told.starts_with("HTTP/1.1 200") && told.contains("x-request-id: shared-1\r\n");
    report.holds("002-82", [(answered, &told)]);
    let path = "/api/v1/audit?request_id=shared-1";
    let (_, audit) = with_token(scene, &token, "GET", path).await;
    let row = &audit["audit"][0];
    let is_it = row["action"] == "cache.emptied" && row["request_id"] == "shared-1";
    let for_whom = row["actor"] == "ann" && row["on_behalf_of"] == "ada";
    report.holds("002-82", [(is_it && for_whom, &audit)]);
    let path = "/api/v1/admin/logs?request_id=shared-1";
    let mut lines = String::new();
    for _ in 0..ASKED_MAX {
        lines = said(scene, &format!("authorization: Bearer {token}\r\n"), "GET", path).await;
        if lines.contains("a request to change something") {
            break;
        }
    }
    report.holds("002-82", [(lines.contains("\"shared-1\""), &lines)]);
}

/// With the switch of 002's file as printed.
async fn too_often(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("ecosystem.yaml");
    std::fs::write(&file, "enterprise: { rate_limiting_enabled: true }\n").expect("a file");
    let mut program = Command::new(binaries::backstitch());
    program.env("BACKSTITCH_CONFIG", &file);
    let scene = Scene::open_as(program).await;
    let mut told = String::new();
    for _ in 0..ASKED_MAX {
        told = said(&scene, "", "GET", "/workflows").await;
        if !told.starts_with("HTTP/1.1 200") {
            break;
        }
    }
    let refused = told.starts_with("HTTP/1.1 429") && told.contains("RATE_LIMITED");
    let after = told.lines().filter_map(|line| line.strip_prefix("retry-after: ")).next();
    let seconds = after.and_then(|own| own.parse::<u32>().ok());
    report.holds("002-63", [(refused, &told), (seconds.is_some_and(|own| own > 0), &told)]);
}
