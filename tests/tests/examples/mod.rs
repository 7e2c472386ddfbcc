//! Every file in `examples/` is a workflow that the shipped executors take, every file in
//! `examples/mocks/` fits its schema, and every saga leaves nothing behind.

mod sagas;

use backstitch_core::plan::Plan;
use backstitch_core::yaml::{Format, parse};
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;
use serde_json::{Value, json};

#[test]
fn every_example_is_valid() {
    let registry = Registry::builtin(HttpConfig::default()).expect("the executors set up");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read(&path).expect("a file");
        let value = parse(&text, Format::Yaml).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        let compiled = backstitch_core::forms::compile(&value, &registry)
            .unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
        assert!(compiled.warnings.is_empty(), "{}: {:#?}", path.display(), compiled.warnings);
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples");
}

#[test]
fn mocks_fit_their_schema() {
    let registry = Registry::builtin(HttpConfig::default()).expect("the executors set up");
    let schema: Value = serde_json::from_str(include_str!("../../../docs/schemas/mocks.json"))
        .expect("the schema is JSON");
    let steps = json!([{ "id": "any", "type": "noop" }]);
    let definition = json!({ "id": "mocked", "input_schema": schema, "steps": steps });
    let (_, plan) = Plan::read(&definition, &registry).expect("the schema is one");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mocks");
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read(&path).expect("a file");
        let mocks = parse(&text, Format::Yaml).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        plan.check_input(&mocks).unwrap_or_else(|why| panic!("{path:?}: {why:#?}"));
    }
    for wrong in [
        json!({ "a": { "outptu": 1 } }),
        json!({ "a": { "output": 1, "error": {} } }),
        json!({ "a": { "error": { "status": 99 } } }),
        json!({ "a/redo": {} }),
        json!({ "a/check": { "took_effect": true } }),
        json!({ "a": { "idempotent": "no" } }),
    ] {
        assert!(plan.check_input(&wrong).is_err(), "{wrong}");
    }
}
