//! What a definition is told about the `with` of its steps; and `noop` and `notification`,
//! which need no server.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use backstitch_core::failure::{EffectKnown, FailureClass};
use backstitch_core::ids::{ExecutionId, PartitionId};
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_executors::{Answer, HttpConfig, Registry, Task, codes};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One client for all the cases of a property.
static REGISTRY: OnceLock<Registry> = OnceLock::new();

fn registry() -> Registry {
    Registry::builtin(HttpConfig::default()).expect("a client can be built")
}

/// The problems as `path message` lines.
fn check(task_type: &str, with: Value, expected: &[&str]) {
    let found: Vec<String> = registry()
        .check(task_type, &with)
        .into_iter()
        .map(|(path, message)| format!("{path} {message}"))
        .collect();
    assert_eq!(found, expected, "{task_type} {with}");
}

async fn run(task_type: &'static str, attempt: u16, with: Value) -> Answer {
    let execution = ExecutionId { partition: PartitionId(0), digits: 1 };
    let task = Task {
        execution: Some(execution),
        step: "a".into(),
        task_type: task_type.into(),
        idempotency_key: format!("{execution}/a/1"),
        attempt,
        correlation_id: "".into(),
        trace: None,
        input: Payload::of(&with),
        hosts: WrittenHosts::default(),
        timeout: Duration::from_secs(1),
    };
    registry().get(task_type).expect("it is built in").run(task).await
}

#[test]
fn the_built_in_types() {
    let registry = registry();
    assert_eq!(registry.task_types(), ["http", "noop", "notification"]);
    assert!(registry.get("htpt").is_none());
    assert!(registry.check("htpt", &json!({})).is_empty());
}

#[test]
fn http_is_checked_as_far_as_templates_allow() {
    check("http", json!({ "url": "http://127.0.0.1:9001/x" }), &[]);
    check(
        "http",
        json!({
            "method": "{{ input.method }}",
            "url": "{{ variables.url }}/charge",
            "headers": { "X-A": "{% if a %}b{% endif %}", "X-B": 1 },
            "query": "{{ input.query }}",
            "body": { "amount": "{{ input.amount }}" },
            "expect_status": ["{{ input.status }}", "2xx"],
            "response_bytes_max": "{{ 1 }}",
            "follow_redirects": "{{ false }}",
        }),
        &[],
    );
    check("http", json!("{{ input.request }}"), &[]);
    check("http", json!({}), &["url is missing"]);
    check("http", Value::Null, &["url is missing"]);
    check("http", json!([]), &[" must be an object, not a list", "url is missing"]);
    check(
        "http",
        json!({
            "uri": "x",
            "method": "PSOT",
            "url": "charge",
            "headers": ["X-A"],
            "expect_status": ["ok"],
            "response_bytes_max": 9_000_000,
            "follow_redirects": "yes",
        }),
        &[
            "uri is an unknown field; did you mean `url`?",
            "method is an unknown method; did you mean `POST`?",
            "url is not a url: relative URL without a base",
            "headers must be an object, not a list",
            "expect_status holds `ok`; write 204, \"200-204\" or \"2xx\", from 200 to 599",
            "response_bytes_max must be from 1 to 4190208, not 9000000",
            "follow_redirects must be true or false, not a string",
        ],
    );
    check(
        "http",
        json!({ "url": "http://x/", "headers": { "Idempotency-Key": "{{ input.key }}" } }),
        &["headers.Idempotency-Key is set by Backstitch and can't be overridden"],
    );
}

#[test]
fn noop_and_notification_are_checked() {
    check("noop", json!({}), &[]);
    check("noop", Value::Null, &[]);
    check("noop", json!({ "output": [1], "fail": { "code": "X", "permanent": true } }), &[]);
    check(
        "noop",
        json!({ "out": 1, "fail": { "codes": "X", "attempts": 0 } }),
        &[
            "out is an unknown field; did you mean `output`?",
            "fail.codes is an unknown field; did you mean `code`?",
            "fail.attempts must be from 1 to 65535, not 0",
        ],
    );
    check("notification", json!({ "message": "{{ input.text }}" }), &[]);
    check("notification", json!({ "channels": ["log"], "message": "x", "data": { "a": 1 } }), &[]);
    check(
        "notification",
        json!({ "channels": ["log", "email", 5], "severity": "warn" }),
        &[
            "channels[1] is an unknown channel; known are log",
            "channels[2] must be a string, not a number",
            "message is missing",
            "severity is an unknown severity; did you mean `warning`?",
        ],
    );
    check(
        "notification",
        json!({ "channels": [], "message": "x" }),
        &["channels is empty; known are log"],
    );
}

#[tokio::test]
async fn noop_answers_as_told() {
    assert_eq!(run("noop", 1, json!({})).await, Ok(Payload::of(&json!({}))));
    assert_eq!(run("noop", 1, Value::Null).await, Ok(Payload::of(&json!({}))));
    let given = json!({ "a": [1, "{{ data }}"] });
    assert_eq!(run("noop", 1, json!({ "output": given })).await, Ok(Payload::of(&given)));

    let failure = run("noop", 1, json!({ "fail": {} })).await.expect_err("told to fail");
    assert_eq!((failure.code.as_str(), failure.class), ("NOOP_FAILED", FailureClass::Retryable));
    let fail = json!({ "fail": {
        "code": "CARD", "message": "declined", "permanent": true, "effect_unknown": true,
        "attempts": 2,
    } });
    let failure = run("noop", 2, fail.clone()).await.expect_err("told to fail twice");
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("CARD", "declined"));
    assert_eq!(failure.class, FailureClass::Permanent);
    assert_eq!(failure.effect, EffectKnown::Unknown);
    assert_eq!(run("noop", 3, fail).await, Ok(Payload::of(&json!({}))));

    let failure = run("noop", 1, json!({ "fail": 1 })).await.expect_err("not an object");
    assert_eq!(failure.code, codes::TASK_INPUT_INVALID);
}

#[tokio::test]
async fn notification_says_what_it_could_not_read() {
    let told = run("notification", 1, json!({ "message": "shipped", "severity": "info" })).await;
    assert_eq!(told, Ok(Payload::of(&json!({ "channels": ["log"] }))));
    let failure = run("notification", 1, json!({ "message": 5 })).await.expect_err("no string");
    assert_eq!(failure.code, codes::TASK_INPUT_INVALID);
    assert_eq!(failure.class, FailureClass::Permanent);
    assert_eq!(failure.message, "with.message must be a string, not a number");
}

#[tokio::test]
async fn a_message_about_an_input_is_bounded() {
    let mut with = serde_json::Map::new();
    for number in 0..500 {
        with.insert(format!("{number} {}\n", "x".repeat(50)), json!(1));
    }
    for task_type in ["http", "noop", "notification"] {
        let failure = run(task_type, 1, Value::Object(with.clone())).await.expect_err("all wrong");
        assert!(failure.message.len() < 1200, "{}", failure.message.len());
        assert!(!failure.message.contains('\n'), "{}", failure.message);
    }
}

/// JSON of any shape, leaning towards the fields and words that executors know.
fn with() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "http://[a-z]{1,3}(:[0-9]{1,6})?/.{0,5}",
        "[0-9]{1,4}(xx|-[0-9]{1,5})?",
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let field = "url|method|headers|query|body|expect_status|response_bytes_max|output|fail|code\
                 |follow_redirects|attempts|channels|message|severity|data|.{0,5}";
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(field, inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What is no valid input is a problem, never a panic.
    #[test]
    fn nothing_in_a_with_panics(with in with()) {
        let registry = REGISTRY.get_or_init(registry);
        for task_type in registry.task_types() {
            drop(registry.check(task_type, &with));
        }
    }
}

#[test]
fn every_code_has_its_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    for code in codes::ALL {
        let page = std::fs::read_to_string(pages.join(format!("{code}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {code}\n")), "docs/errors/{code}.md");
    }
}
