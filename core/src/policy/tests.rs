//! Definitions under rules: who wins, what is added, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::definition::Definition;
use crate::plan::{Plan, TaskTypes};
use crate::report::{Written, effective_json};

struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["http", "act"]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// Rules of policies, as they are kept.
fn rules(policies: &[(&str, Value)]) -> Rules {
    let mut rules = Rules::default();
    for (name, content) in policies {
        let kept = check_policy(content).unwrap_or_else(|why| panic!("{name}: {why:?}"));
        rules.add_policy(&Arc::from(*name), 3, &kept);
    }
    rules
}

fn with_environment(mut rules: Rules, content: &Value) -> Rules {
    let kept = check_environment(content).expect("an environment");
    let own = environment(&kept).expect("it was checked");
    rules.set_environment(&Arc::from("staging"), 0, own);
    rules
}

/// What a definition comes to under rules, as `effective` shows it; what it is pinned to compiles.
fn effective(definition: &Value, rules: &Rules) -> (Value, Value) {
    let own = Definition::read(definition).expect("a definition");
    let made = adapted(&own, rules, &Types);
    let text = made.definition.canonical_text();
    let plan = Plan::recompile(&text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
    let canonical: Value = serde_json::from_str(&text).expect("JSON");
    let written = Written { own: &own.to_value(), adapted: &canonical, applied: &made.applied };
    (effective_json(&written, &plan), canonical)
}

fn origin(shown: &Value, path: &str) -> (Value, String) {
    let own = shown.pointer(path).unwrap_or_else(|| panic!("{path} of {shown}"));
    (own["value"].clone(), own["origin"].as_str().unwrap_or_default().to_owned())
}

fn is(value: Value, origin: &str) -> (Value, String) {
    (value, origin.to_owned())
}

fn timeout(applies_to: Value, timeout: &str) -> Value {
    json!({ "applies_to": applies_to, "defaults": { "timeout": timeout } })
}

fn plain() -> Value {
    json!({ "id": "billing-run", "tags": ["money"], "steps": [
        { "id": "a", "type": "act" }, { "id": "b", "type": "other" },
    ] })
}

#[test]
fn a_definitions_own_words_win_and_a_step_over_the_defaults() {
    let rules = rules(&[("all", json!({ "defaults": { "timeout": "9s", "retry": "none" } }))]);
    let definition = json!({ "id": "w", "defaults": { "timeout": "5s" }, "steps": [
        { "id": "a", "type": "act", "timeout": "1s" },
        { "id": "b", "type": "act", "retry": "critical" },
    ] });
    let (shown, _) = effective(&definition, &rules);
    assert_eq!(origin(&shown, "/steps/0/timeout"), is(json!("1s"), "step"));
    assert_eq!(origin(&shown, "/steps/1/timeout"), is(json!("5s"), "defaults"));
    assert_eq!(origin(&shown, "/steps/0/retry"), is(json!("none"), "policy:all"));
    assert_eq!(origin(&shown, "/steps/1/retry"), is(json!("critical"), "step"));
}

#[test]
fn of_several_policies_the_nearest_counts_and_then_the_first_by_name() {
    let nearest = |names: &[&str]| {
        let known = [
            ("workflow", timeout(json!({ "workflows": ["billing-*"] }), "1s")),
            ("type", timeout(json!({ "types": ["act"] }), "2s")),
            ("tag", timeout(json!({ "tags": ["money"] }), "3s")),
            ("all", timeout(json!({}), "4s")),
            ("also", timeout(json!({}), "5s")),
            ("elsewhere", timeout(json!({ "workflows": ["shipping-*"] }), "6s")),
            ("both", timeout(json!({ "workflows": ["*-run"], "tags": ["money"] }), "7s")),
        ];
        let own: Vec<_> = known.into_iter().filter(|(name, _)| names.contains(name)).collect();
        let (shown, _) = effective(&plain(), &rules(&own));
        ["/steps/0/timeout", "/steps/1/timeout"].map(|path| origin(&shown, path).1)
    };
    let everything = ["workflow", "type", "tag", "all", "also", "elsewhere"];
    assert_eq!(nearest(&everything), ["policy:workflow", "policy:workflow"]);
    assert_eq!(nearest(&everything[1..]), ["policy:type", "policy:tag"]);
    assert_eq!(nearest(&everything[2..]), ["policy:tag", "policy:tag"]);
    assert_eq!(nearest(&everything[3..]), ["policy:all", "policy:all"]);
    assert_eq!(nearest(&everything[4..]), ["policy:also", "policy:also"]);
    assert_eq!(nearest(&["elsewhere"]), ["built_in", "built_in"]);
    assert_eq!(nearest(&["both", "workflow"]), ["policy:both", "policy:both"]);
}

#[test]
fn without_a_word_of_any_rule_a_definition_stays_as_it_is() {
    let rules = rules(&[("elsewhere", timeout(json!({ "tags": ["ships"] }), "1s"))]);
    let own = Definition::read(&plain()).expect("a definition");
    for rules in [Rules::default(), rules] {
        let made = adapted(&own, &rules, &Types);
        assert_eq!((made.definition.digest(), made.applied.len()), (own.digest(), 0));
    }
}

#[test]
fn steps_name_retry_policies_of_the_node_and_a_definitions_own_stands_in_their_place() {
    let gentle = json!({ "retry_policies": {
        "gentle": { "max_attempts": 2 }, "standard": { "max_attempts": 9 },
        "unused": { "max_attempts": 8 },
    } });
    let rules = rules(&[("house", gentle)]);
    let definition = json!({ "id": "w", "steps": [
        { "id": "a", "type": "act", "retry": "gentle" }, { "id": "b", "type": "act" },
    ] });
    let (shown, canonical) = effective(&definition, &rules);
    let attempts =
        |shown: &Value, at: usize| shown["steps"][at]["retry"]["policy"]["max_attempts"].clone();
    assert_eq!((attempts(&shown, 0), attempts(&shown, 1)), (json!(2), json!(9)));
    assert_eq!(shown["steps"][0]["retry"]["named_by"], "policy:house");
    assert_eq!(shown["steps"][1]["retry"]["named_by"], "policy:house");
    assert!(canonical["retry_policies"].get("unused").is_none(), "{canonical}");

    let mut own = definition;
    own["retry_policies"] = json!({ "gentle": { "max_attempts": 5 } });
    let (shown, _) = effective(&own, &rules);
    assert_eq!(attempts(&shown, 0), 5);
    assert!(shown["steps"][0]["retry"].get("named_by").is_none());
}

#[test]
fn a_policy_that_a_rule_names_is_its_own() {
    let gentle = |attempts: u32| {
        json!({
            "retry_policies": { "gentle": { "max_attempts": attempts } },
            "defaults": { "retry": "gentle" },
        })
    };
    let rules = rules(&[("house", gentle(2))]);
    let definition = json!({ "id": "w", "retry_policies": { "gentle": { "max_attempts": 5 } },
        "steps": [{ "id": "a", "type": "act" }] });
    let (shown, _) = effective(&definition, &rules);
    assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 2);
    assert_eq!(shown["steps"][0]["retry"]["origin"], "policy:house");
}

#[test]
fn an_environment_says_what_nobody_else_does() {
    let printed = json!({ "retry-attempts": 3, "timeout": "10s", "man-mode-threshold": "medium" });
    let kept = check_environment(&printed).expect("an environment");
    let ours = json!({ "retry_attempts": 3, "timeout": "10s", "man_mode_threshold": "medium" });
    assert_eq!(kept, ours);
    let (shown, _) = effective(&plain(), &with_environment(Rules::default(), &printed));
    assert_eq!(origin(&shown, "/steps/0/timeout"), is(json!("10s"), "environment:staging"));
    assert_eq!(shown["steps"][1]["retry"]["origin"], "environment:staging");
    assert_eq!(shown["steps"][1]["retry"]["policy"]["max_attempts"], 3);

    let standard = json!({ "retry_policies": { "standard": { "max_attempts": 6 } } });
    let typed = timeout(json!({ "types": ["act"] }), "2s");
    let all = with_environment(rules(&[("house", standard), ("acts", typed)]), &printed);
    let (shown, _) = effective(&plain(), &all);
    assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 6);
    assert_eq!(shown["steps"][0]["retry"]["named_by"], "policy:house");
    assert_eq!(origin(&shown, "/steps/0/timeout"), is(json!("2s"), "policy:acts"));
    assert_eq!(origin(&shown, "/steps/1/timeout"), is(json!("10s"), "environment:staging"));
}

#[test]
fn callbacks_and_hosts_of_all_rules_count() {
    let told = json!({ "event": "workflow.failed", "url": "https://ops.example/hook" });
    let own = json!({ "event": "workflow.completed", "url": "https://own.example/hook" });
    let rules = rules(&[
        ("told", json!({ "callbacks": [told, own] })),
        ("hosts", json!({ "egress": { "deny": ["Evil.example"] } })),
        (
            "money",
            json!({ "applies_to": { "tags": ["money"] }, "egress": { "allow": ["*.example"] } }),
        ),
    ]);
    let mut definition = plain();
    definition["callbacks"] = json!([own]);
    definition["egress"] = json!({ "allow": ["pay.example", "evil.example", "pay.other"] });
    let (shown, canonical) = effective(&definition, &rules);
    assert_eq!(shown["workflow"]["callbacks"][0]["origin"], "definition");
    assert_eq!(shown["workflow"]["callbacks"][1]["origin"], "policy:told");
    assert_eq!(shown["workflow"]["callbacks"].as_array().map(Vec::len), Some(2));
    let origins: Vec<_> =
        (0..3).map(|at| shown["workflow"]["egress"][at]["origin"].clone()).collect();
    assert_eq!(origins, ["definition", "policy:money", "policy:hosts"]);
    let plan = Plan::recompile(&canonical.to_string()).expect("a plan");
    assert!(plan.hosts.admits("pay.example"));
    for denied in ["evil.example", "pay.other", "else.example"] {
        assert!(!plan.hosts.admits(denied), "{denied}");
    }
}

#[test]
fn a_step_that_names_an_adapter_calls_it() {
    let mut own = Rules::default();
    let content = json!({
        "url": "https://crm.example/api/", "timeout": "4s", "retry": { "max_attempts": 2 },
        "headers": { "Authorization": "Bearer {{ secrets.crm }}" }, "health": "https://crm.example/up",
    });
    let kept = check_adapter(&content).expect("an adapter");
    own.add_adapter(&Arc::from("crm"), 1, &kept);
    own.add_adapter(&Arc::from("act"), 1, &kept);
    let definition = json!({ "id": "w", "steps": [
        {
            "id": "a", "type": "crm", "with": { "action": "accounts", "name": "{{ input.name }}" },
            "undo": { "type": "crm", "with": { "id": "{{ steps.a.output.body.id }}" } },
        },
        { "id": "b", "type": "act" }, { "id": "c", "type": "nobody" },
    ] });
    let (shown, canonical) = effective(&definition, &own);
    let step = &canonical["steps"][0];
    assert_eq!(step["type"], "http");
    assert_eq!(
        step["with"],
        json!({
            "method": "POST", "url": "https://crm.example/api/accounts",
            "headers": { "Authorization": "Bearer {{ secrets.crm }}" },
            "body": { "name": "{{ input.name }}" },
        })
    );
    assert_eq!(step["undo"]["with"]["url"], "https://crm.example/api/");
    assert_eq!(step["undo"]["timeout"], "4s");
    assert_eq!(canonical["steps"][1]["type"], "act", "what is performed here stays");
    assert_eq!(canonical["steps"][2]["type"], "nobody");
    assert_eq!(shown["steps"][0]["type"], "crm");
    let url = json!("https://crm.example/api/accounts");
    assert_eq!(origin(&shown, "/steps/0/url"), is(url, "adapter:crm"));
    assert_eq!(origin(&shown, "/steps/0/timeout"), is(json!("4s"), "adapter:crm"));
    assert_eq!(shown["steps"][0]["retry"]["policy"]["max_attempts"], 2);

    let near = timeout(json!({ "workflows": ["w"] }), "1s");
    own.add_policy(&Arc::from("near"), 1, &near);
    assert_eq!(origin(&effective(&definition, &own).0, "/steps/0/timeout").1, "policy:near");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let places = |found: Result<Value, Vec<Problem>>| -> Vec<String> {
        found.expect_err("it is wrong").into_iter().map(|own| own.path).collect()
    };
    let wrong = json!({
        "applies": {}, "applies_to": { "tags": [], "types": ["wait"], "workflows": [5] },
        "retry_policies": { "none": {}, "own": { "max_attempts": 0 } },
        "defaults": { "retry": "unknown", "timeout": "{{ input.timeout }}" },
        "callbacks": [{ "event": "workflow.failed" }],
        "egress": { "allow": [], "deny": ["http://x"] },
    });
    assert_eq!(
        places(check_policy(&wrong)),
        [
            "applies",
            "applies_to.tags",
            "applies_to.workflows[0]",
            "applies_to.types[0]",
            "retry_policies.own.max_attempts",
            "callbacks[0].url",
            "egress.allow",
            "egress.deny[0]",
            "defaults.retry",
            "retry_policies.none",
            "defaults.timeout",
            "retry_policies",
            "callbacks",
            "egress",
        ]
    );
    let wrong = json!({ "retry-attempts": 0, "retry_attempts": 1, "timeout": 5, "man-mode-threshold": "x" });
    assert_eq!(
        places(check_environment(&wrong)),
        ["retry-attempts", "retry-attempts", "timeout", "man-mode-threshold",]
    );
    let wrong = json!({
        "url": "https://x/?a=b", "health": "ftp://x", "retry": "gentle",
        "headers": { "a b": "x", "n": 1, "data": "{{ input.x }}", "bad": "{{ nothing.x }}" },
    });
    assert_eq!(
        places(check_adapter(&wrong)),
        ["url", "headers.a b", "headers.bad", "headers.data", "headers.n", "health", "retry",]
    );
    assert_eq!(places(check_adapter(&json!({}))), ["url"]);
}
