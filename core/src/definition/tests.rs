use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::problem::codes;
use super::*;
use crate::retry_policy::RetryPolicy;
use crate::yaml::{DOCUMENT_BYTES_MAX, Format, TEXT_NESTING_MAX, parse};

fn yaml(text: &str) -> Result<Value, String> {
    parse(text.as_bytes(), Format::Yaml).map_err(|problem| problem.to_string())
}

fn json_text(text: &str) -> Result<Value, String> {
    parse(text.as_bytes(), Format::Json).map_err(|problem| problem.to_string())
}

#[test]
fn yaml_is_read_by_the_1_2_rules() {
    let value = yaml(
        "a: yes\nb: no\nc: on\nd: true\ne: ~\ng: 0x10\nh: 1.5\ni: '1'\nj: 1.2.0\n\
         k: 12345678901234567890\nl: [1, {m: n}]\nn: &x {o: 1}\np: *x\nq: 2026-01-01\nr: |\n  text\n",
    );
    assert_eq!(
        value,
        Ok(json!({
            "a": "yes", "b": "no", "c": "on", "d": true, "e": null, "g": 16, "h": 1.5,
            "i": "1", "j": "1.2.0", "k": 12_345_678_901_234_567_890_u64, "l": [1, { "m": "n" }],
            "n": { "o": 1 }, "p": { "o": 1 }, "q": "2026-01-01", "r": "text\n",
        }))
    );
}

#[test]
fn texts_that_cannot_be_read_say_where() {
    for (text, expected) in [
        ("a: 1\na: 2\n", "`a` is given twice at line 2, column 1"),
        ("a: {b: 1, b: 2}", "`b` is given twice"),
        ("a: !!python/object:os.system [x]", "the tag"),
        ("a: !!python/name:x y", "the tag"),
        ("!thing {a: 1}", "the tag"),
        ("a: *b", "an alias has no anchor"),
        ("a: &a [*a]", "an alias"),
        ("~: 1", "a key is null"),
        ("a: [1\n", "line"),
        ("a: b: c", "line 1"),
        ("a: .nan", "a number that JSON cannot hold"),
        ("a: !!int x", "not what its tag says"),
        ("--- 1\n--- 2\n", "more than one document"),
        ("a: 1\n---\nb: 1\n", "more than one document"),
        ("", "not YAML"),
    ] {
        let got = yaml(text);
        let is_right = got.as_ref().is_err_and(|why| why.contains(expected));
        let told = got.as_ref().err().cloned().unwrap_or_default();
        for word in ["max_", "Option", "::", "serde", "deserial", "breach", "String", "budget"] {
            assert!(!told.contains(word) || text.contains(word), "{text:?}: {told}");
        }
        assert!(is_right || (text.is_empty() && got == Ok(Value::Null)), "{text:?}: {got:?}");
    }
    for (text, expected) in [
        ("{\"a\":1,\"a\":2}", "`a` is given twice at line 1 column 10"),
        ("{\"a\":{\"b\":1,\"b\":2}}", "`b` is given twice"),
        ("{", "line 1 column 1"),
        ("\u{feff}{}", "byte order mark"),
        ("{} x", "trailing characters"),
        ("nope", "not JSON"),
        ("1e999", "out of range"),
    ] {
        let got = json_text(text);
        assert!(got.as_ref().is_err_and(|why| why.contains(expected)), "{text:?}: {got:?}");
    }
    assert!(parse(b"\xff\xfe", Format::Json).unwrap_err().message.contains("UTF-8"));
    let large = vec![b' '; DOCUMENT_BYTES_MAX + 1];
    assert!(parse(&large, Format::Json).unwrap_err().message.contains("at most"));
}

#[test]
fn deep_texts_and_alias_bombs_are_refused() {
    for levels in [1_000, 100_000, 1_000_000] {
        let deep = "[".repeat(levels) + &"]".repeat(levels);
        assert!(json_text(&deep).unwrap_err().contains("nests deeper"), "{levels}");
        let told = yaml(&deep).unwrap_err();
        assert!(told.contains("nests deeper"), "{levels}: {told}");
        let deep = "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
        assert!(json_text(&deep).is_err());
    }
    let blocks: String = (0..1_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(yaml(&blocks).is_err());
    let fits = "[".repeat(TEXT_NESTING_MAX) + &"]".repeat(TEXT_NESTING_MAX);
    assert!(json_text(&fits).is_ok());
    assert!(yaml(&fits).is_ok());
    let over = format!("[{fits}]");
    assert!(json_text(&over).is_err());
    assert!(yaml(&over).unwrap_err().contains("nests deeper than 100 levels"));
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(","));
    }
    let told = yaml(&bomb).unwrap_err();
    assert!(told.contains("too many aliases"), "{told}");
    let short: String = (1..9)
        .map(|level| format!("- &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(",")))
        .collect();
    let short = format!("- &a0 [1]\n{short}");
    assert!(short.len() < 400 && yaml(&short).unwrap_err().contains("too many aliases"));
    let shared = format!("- &a {{retry: [1, 2, 3]}}\n{}", "- *a\n".repeat(1_000));
    assert_eq!(yaml(&shared).unwrap().as_array().map(Vec::len), Some(1_001));
    let many = format!("[{}1]", "1,".repeat(600_000));
    assert!(yaml(&many).unwrap_err().contains("more than 500000 values"));
}

#[test]
fn numbers_beyond_64_bits_are_fractions() {
    let digits = "123456789012345678901234567890";
    assert_eq!(json_text(digits), Ok(json!(1.234_567_890_123_456_8e29)));
    assert_eq!(yaml(&format!("a: {digits}")), Ok(json!({ "a": 1.234_567_890_123_456_8e29 })));
}

fn read(value: &Value) -> Result<Definition, Vec<Problem>> {
    Definition::read(value)
}

#[test]
fn only_what_was_given_is_written_back() {
    let given = json!({
        "id": "w",
        "steps": [
            { "id": "a", "type": "noop", "retry": "none", "allow_failure": false },
            { "id": "b", "type": "noop", "needs": "a", "timeout": "1m30s" },
        ],
    });
    let written = read(&given).unwrap().to_value();
    assert_eq!(
        written,
        json!({
            "id": "w",
            "steps": [
                { "id": "a", "type": "noop", "retry": "none" },
                { "id": "b", "type": "noop", "needs": ["a"], "timeout": "1m30s" },
            ],
        })
    );
}

#[test]
fn who_is_told_is_written_back_with_keys_and_headers() {
    let url = "https://h/{{ secrets.path }}";
    let headers = json!({ "x-from": "b {{ secrets.me }}" });
    let event = "workflow.failed";
    let callbacks = json!([
        { "event": event, "url": url },
        { "event": event, "url": url, "headers": headers },
        { "event": event, "url": url, "format": "pagerduty", "routing_key": "k1" },
        { "event": event, "url": url, "format": "pagerduty", "routing_key": "k{{ secrets.k }}",
          "headers": headers },
        { "event": event, "url": "{{ secrets.url }}", "format": "opsgenie", "api_key": "a-1" },
    ]);
    let steps = [json!({ "id": "a", "type": "noop" })];
    let given = json!({ "id": "w", "steps": steps, "callbacks": callbacks });
    assert_eq!(read(&given).unwrap().to_value()["callbacks"], callbacks);
    let given = given["callbacks"].as_array().expect("a list");
    let refused = super::read_callbacks(given).expect_err("a submission has no secrets");
    let places: Vec<_> = refused.iter().map(|own| &*own.path).collect();
    let urls = [0, 2].map(|at| format!("callbacks[{at}].url"));
    let (headers, key) = ("callbacks[1].headers.x-from", "callbacks[3].routing_key");
    for place in [&*urls[0], &*urls[1], headers, key] {
        assert!(places.contains(&place), "{place}: {places:?}");
    }
}

#[test]
fn own_policies_are_completed_from_standard() {
    let own = OwnRetry { max_attempts: Some(Count::Number(7)), ..OwnRetry::default() };
    let policy = own.retries();
    assert_eq!(policy, RetryPolicy { max_attempts: 7, ..RetryPolicy::STANDARD }.into());
    let initial = Some(DurationText { text: "1m".to_owned(), ms: Some(60_000) });
    let slow = OwnRetry { initial, ..OwnRetry::default() }.retries().policy;
    assert_eq!((slow.initial_ms, slow.max_ms), (60_000, 60_000));
    let (none, critical) = (Definition::default(), Retry::Named("critical".to_owned()));
    assert_eq!(none.retries(Some(&critical), "standard"), RetryPolicy::CRITICAL.into());
    assert_eq!(none.retries(None, "standard"), RetryPolicy::STANDARD.into());
}

#[test]
fn a_workflow_names_policies_of_its_own() {
    let definition = read(&json!({
        "id": "w",
        "retry_policies": {
            "gentle": { "max_attempts": 5, "on": ["timeout", 429, "5xx"], "never": [503] },
            "standard": { "max_attempts": 2 },
        },
        "steps": [{ "id": "a", "type": "noop", "retry": "gentle" }],
    }))
    .expect("it is good");
    let gentle = definition.retries(definition.steps[0].retry.as_ref(), "standard");
    assert_eq!(gentle.policy.max_attempts, 5);
    let conditions = gentle.conditions.expect("it has some");
    let on: Vec<_> = conditions.on.iter().map(ToString::to_string).collect();
    assert_eq!(on, ["timeout", "429", "5xx"]);
    assert_eq!(definition.retries(None, "standard").policy.max_attempts, 2, "what it calls so");
    let again = read(&definition.to_value()).expect("it was written");
    assert_eq!(again, definition);
}

#[test]
fn every_code_is_one_word_of_its_own() {
    let mut sorted = codes::ALL.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), codes::ALL.len());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["5s", "a", "b", "none", "http", "{{ input }}", "http://h/"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop::sample::select(vec![
            "id",
            "name",
            "steps",
            "needs",
            "type",
            "with",
            "retry",
            "undo",
            "timeout",
            "initial",
            "max",
            "event",
            "url",
            "callbacks",
            "defaults",
            "variables",
            "outputs",
            "tags",
            "when",
            "input_schema",
            "on_failure",
            "x",
            "$ref",
            "type",
            "max_attempts",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..6).prop_map(|fields| {
                let named = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
                Value::Object(named.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn duration() -> impl Strategy<Value = String> {
    (1_u32..100, prop::sample::select(vec!["ms", "s", "m"]))
        .prop_map(|(n, unit)| format!("{n}{unit}"))
}

fn retry() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["none", "standard", "critical"]).prop_map(Value::from),
        (1_u16..=100, prop::option::of(any::<bool>()), prop::option::of(1.0..10.0_f64)).prop_map(
            |(attempts, jitter, multiplier)| {
                let mut retry = json!({ "max_attempts": attempts, "initial": "5ms" });
                if attempts % 3 == 0 {
                    retry["on"] = json!(["timeout", 429, "5xx", "SERVICE_BUSY"]);
                    retry["never"] = json!(["unknown", "500-502"]);
                }
                if let Some(jitter) = jitter {
                    retry["jitter"] = jitter.into();
                }
                if let Some(multiplier) = multiplier {
                    retry["multiplier"] = multiplier.into();
                }
                retry
            }
        ),
    ]
}

fn good_definition() -> impl Strategy<Value = Value> {
    let step = (retry(), duration(), any_json(), any::<bool>(), any::<u16>());
    let steps = prop::collection::vec(step, 1..6);
    (steps, prop::option::of(duration()), "[ -~äß€]{0,20}").prop_map(|(steps, timeout, name)| {
        let steps: Vec<Value> = steps
            .into_iter()
            .enumerate()
            .map(|(at, (retry, timeout, with, allow_failure, needs))| {
                let needs: Vec<String> = (0..at)
                    .filter(|need| needs & (1 << need) != 0)
                    .map(|need| format!("s-{need}"))
                    .collect();
                json!({
                    "id": format!("s-{at}"), "type": "any", "retry": retry, "timeout": timeout,
                    "with": with, "allow_failure": allow_failure, "needs": needs,
                })
            })
            .collect();
        let mut definition = json!({ "id": "w", "name": name, "steps": steps, "tags": ["t"] });
        if let Some(timeout) = timeout {
            definition["timeout"] = timeout.into();
        }
        definition
    })
}

proptest! {
    #[test]
    fn written_definitions_read_back_the_same(value in good_definition()) {
        let definition = read(&value).unwrap();
        let text = definition.canonical_text();
        let value = parse(text.as_bytes(), Format::Json).unwrap();
        let again = read(&value).unwrap();
        prop_assert_eq!(&again, &definition);
        prop_assert_eq!(again.canonical_text(), text);
    }

    #[test]
    fn no_json_makes_reading_panic(value in any_json()) {
        let _seen = crate::plan::Plan::recompile(&value.to_string()).is_ok();
        let steps = json!({ "id": "w", "steps": [value.clone(), value.clone()] });
        let _seen = crate::plan::Plan::recompile(&steps.to_string()).is_ok();
        let mut step = json!({ "id": "a", "type": "wait" });
        if let Value::Object(fields) = &value {
            for (name, field) in fields {
                step[name] = field.clone();
            }
        }
        let steps = json!({ "id": "w", "steps": [step], "input_schema": value });
        let _seen = crate::plan::Plan::recompile(&steps.to_string()).is_ok();
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "[ -~\n\t]{0,80}", bytes in any::<Vec<u8>>()) {
        for format in [Format::Json, Format::Yaml] {
            let _seen = parse(text.as_bytes(), format).is_ok();
            let _seen = parse(&bytes, format).is_ok();
        }
    }
}

#[test]
fn what_a_submission_says_of_receivers_fits_beside_the_beginning_of_its_run() {
    let headers: Map<_, _> =
        (0..16).map(|n| (format!("x-{n}"), "y".repeat(1_024).into())).collect();
    let told = |events: &[&str]| {
        let callback = json!({ "events": events, "url": "http://a.example/", "headers": headers });
        super::read_callbacks(&[callback]).map(|own| own.len())
    };
    assert_eq!(told(&["workflow.completed"]), Ok(1));
    let refused = told(&["workflow.completed", "workflow.failed"]).expect_err("too much");
    assert_eq!((&*refused[0].path, refused[0].code), ("callbacks", codes::OUT_OF_RANGE));
}
