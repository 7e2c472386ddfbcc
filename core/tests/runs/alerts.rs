//! Alerts: what operators want to be told of runs, raised once and over when the run is.

use backstitch_core::alerts::{InForce, channel, rule};
use backstitch_core::command::{Command, Submission};
use backstitch_core::event::{Alert, CallbackEvent, ObjectEvent, ObjectKind, RunEvent};
use backstitch_core::objects::{Objects, check, evolve};
use serde_json::{Value, json};

use crate::stage::{CHAIN, Life, RUN, START, cancel, discard, plan, retry, signal, submission};

/// Objects of the tenant `default`.
fn objects(own: &[(ObjectKind, &str, Value)]) -> Objects {
    let mut objects = Objects::new();
    for (kind, name, content) in own {
        let text = check(*kind, name, content).expect("it is good");
        let (namespace, name) = ("default".into(), (*name).into());
        let (reason, actor) = (String::new(), "ann".to_owned());
        let set =
            ObjectEvent::Set { namespace, kind: *kind, name, revision: 1, text, reason, actor };
        evolve(&mut objects, &set, START);
    }
    objects
}

/// A pager, Opsgenie and a chat, and one rule that tells all of them of anything.
fn alerts() -> Vec<Alert> {
    let (of_channel, of_rule) = (ObjectKind::AlertChannel, ObjectKind::AlertRule);
    let pager = json!({ "url": "http://pd/", "format": "pagerduty", "routing_key": "k1" });
    let genie = json!({ "url": "http://og/v2/alerts", "format": "opsgenie", "api_key": "k2" });
    let on = ["run_failed", "compensation_failed", "dead_letter", "sla_breached", "step_waiting"];
    let known = objects(&[
        (of_channel, "pager", pager),
        (of_channel, "genie", genie),
        (of_channel, "own", json!({ "url": "http://own/" })),
        (
            of_rule,
            "all",
            json!({ "on": on, "severity": "error",
                                 "channels": ["pager", "genie", "own", "gone"] }),
        ),
    ]);
    InForce::of(&known).of_run("default", "w", &[])
}

fn begin(definition: &str) -> Life {
    let own = submission(plan(definition), &json!({ "n": 1 }));
    Life::submitted(Submission { alerts: alerts(), ..own })
}

/// Events and rules of the deliveries since so many.
fn told(life: &Life, since: usize) -> Vec<(&'static str, Option<&str>)> {
    let told = life.state.deliveries[since..].iter();
    told.map(|own| (own.event.word(), own.alert.as_ref().map(|of| &*of.channel))).collect()
}

fn body(life: &Life, delivery: usize) -> Value {
    life.state.deliveries[delivery].body.value()
}

fn each(event: &'static str) -> Vec<(&'static str, Option<&'static str>)> {
    ["pager", "genie", "own"].map(|channel| (event, Some(channel))).to_vec()
}

#[test]
fn a_dead_letter_raises_an_alert_that_the_run_ends_when_it_completes_after_all() {
    let mut life = begin(&format!("{CHAIN}\non_failure: suspend"));
    assert!(matches!(&life.events[1], RunEvent::Delivery(own) if own.delivery().is_none()));
    life.succeeds("a").refuses("b");
    assert_eq!(told(&life, 0), each("step.dead_lettered"));
    let (pager, genie, own) = (body(&life, 0), body(&life, 1), body(&life, 2));
    let alias = format!("{RUN}:all");
    assert_eq!((&pager["event_action"], &pager["dedup_key"]), (&json!("trigger"), &json!(alias)));
    assert_eq!(pager["payload"]["severity"], "error");
    let summary = pager["payload"]["summary"].as_str().expect("a text");
    assert!(summary.starts_with("all: step b of workflow chain has a dead letter"), "{summary}");
    assert_eq!((&genie["alias"], &genie["priority"]), (&json!(alias), &json!("P2")));
    let alert = json!({ "rule": "all", "channel": "own", "severity": "error", "resolved": false });
    assert_eq!(own["data"]["alert"], alert);
    life.act(retry(0)).expect("in place");
    life.succeeds("b").succeeds("c");
    assert_eq!(life.status(), "completed");
    assert_eq!(told(&life, 3), each("workflow.completed"));
    assert_eq!(body(&life, 3)["event_action"], "resolve");
    assert_eq!(body(&life, 3)["dedup_key"], alias);
    let close = format!("http://og/v2/alerts/{alias}/close?identifierType=alias");
    assert_eq!(life.state.deliveries[4].url, close);
    assert_eq!(body(&life, 5)["data"]["alert"]["resolved"], true);
    life.check_replay();
}

#[test]
fn nobody_is_told_the_end_of_what_was_not_raised() {
    let mut life = begin(CHAIN);
    life.succeeds("a").succeeds("b").succeeds("c");
    assert_eq!((life.status(), told(&life, 0)), ("completed", Vec::new()));
    assert!(life.state.is_closed());
}

#[test]
fn a_run_that_failed_and_could_not_be_undone_is_told_of_as_both() {
    let mut life = begin(CHAIN);
    life.succeeds("a").succeeds("b").refuses("c").undo_refused("b").undone("a");
    assert_eq!(life.status(), "compensation_failed");
    let mut expected = [each("step.dead_lettered"), each("step.dead_lettered")].concat();
    expected.extend([each("workflow.failed"), each("workflow.compensation_failed")].concat());
    assert_eq!(told(&life, 0), expected);
    // The letter is settled, and the run ends as it did: nobody is told again, and nothing is over.
    let letter = u32::try_from(life.state.letters.len() - 1).expect("few");
    life.act(discard(letter)).expect("open");
    assert_eq!(told(&life, expected.len()), []);
}

#[test]
fn a_step_that_waits_for_somebody_is_told_of_and_a_cancel_ends_the_alert() {
    let waits = "{ id: w, steps: [{ id: a, type: wait, with: { signal: go } }] }";
    let mut life = begin(waits);
    assert_eq!(told(&life, 0), each("step.waiting"));
    let step = &body(&life, 2)["data"]["step"];
    assert_eq!((&step["step_id"], &step["error"]), (&json!("a"), &Value::Null));
    let mut approved = life.cut(life.events.len());
    life.act(cancel(None)).expect("it runs");
    assert_eq!(told(&life, 3), each("workflow.cancelled"));
    assert_eq!(body(&life, 3)["event_action"], "resolve");
    approved.act(signal("go", 1, None)).expect("it waits");
    assert_eq!(told(&approved, 3), each("workflow.completed"));
    // What came in before anybody waited is not waited for.
    let late = "{ id: w, steps: [{ id: t, type: task },
                                 { id: a, type: wait, needs: [t], with: { signal: go } }] }";
    let mut early = begin(late);
    early.act(signal("go", 1, None)).expect("it runs");
    early.succeeds("t");
    assert_eq!((early.status(), told(&early, 0)), ("completed", Vec::new()));
}

/// Whatever is left of a decision that was cut anywhere is made good, and nothing is told twice.
#[test]
fn every_prefix_of_what_happened_tells_the_same() {
    let mut life = begin(&format!("{CHAIN}\non_failure: suspend"));
    life.succeeds("a").refuses("b").act(retry(0)).expect("in place");
    life.succeeds("b").succeeds("c");
    let whole = told(&life, 0);
    assert_eq!(whole.len(), 6);
    let is = |wanted: fn(&RunEvent) -> bool| {
        life.events.iter().position(wanted).expect("it happened so")
    };
    let failed = is(|own| matches!(own, RunEvent::StepFailed { .. }));
    let retried = is(|own| matches!(own, RunEvent::LetterRetried { .. }));
    let ended = is(|own| matches!(own, RunEvent::RunEnded { .. }));
    for cut in (failed + 1..retried).chain(ended + 1..=life.events.len()) {
        let mut half = life.cut(cut);
        half.act(Command::Continue).expect("never rejected");
        let expected = if cut < retried { &whole[..3] } else { &whole[..] };
        assert_eq!(told(&half, 0), expected, "cut at {cut}");
    }
}

#[test]
fn rules_are_of_workflows_and_tags_and_of_their_tenant() {
    let hook = json!({ "url": "http://own/" });
    let rule = |of: Value| {
        let mut rule = json!({ "on": "run_failed", "channels": ["hook"] });
        rule.as_object_mut().expect("an object").extend(of.as_object().expect("one").clone());
        rule
    };
    let known = objects(&[
        (ObjectKind::AlertChannel, "hook", hook),
        (ObjectKind::AlertRule, "1-all", rule(json!({}))),
        (ObjectKind::AlertRule, "2-bill", rule(json!({ "workflows": ["bill-*", "pay"] }))),
        (ObjectKind::AlertRule, "3-gold", rule(json!({ "tags": ["gold", "silver"] }))),
        (ObjectKind::AlertRule, "4-both", rule(json!({ "workflows": ["pay"], "tags": ["gold"] }))),
        (ObjectKind::AlertRule, "5-none", rule(json!({ "channels": ["gone"] }))),
    ]);
    let rules = InForce::of(&known);
    let of = |namespace: &str, workflow: &str, tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| (*tag).into()).collect();
        let alerts = rules.of_run(namespace, workflow, &tags);
        alerts.into_iter().map(|own| own.of.rule).collect::<Vec<_>>()
    };
    assert_eq!(of("default", "other", &[]), ["1-all"]);
    assert_eq!(of("default", "bill-eu", &["new"]), ["1-all", "2-bill"]);
    assert_eq!(of("default", "pay", &["gold"]), ["1-all", "2-bill", "3-gold", "4-both"]);
    assert_eq!(of("other", "pay", &["gold"]), [""; 0]);
}

#[test]
fn channels_and_rules_say_every_problem() {
    let places = |read: Vec<backstitch_core::definition::problem::Problem>| {
        read.into_iter().map(|own| own.path).collect::<Vec<_>>()
    };
    for (content, path) in [
        (json!({}), "url"),
        (json!({ "url": "http://h/", "format": "mail" }), "format"),
        (json!({ "url": "http://h/", "format": "opsgenie" }), "api_key"),
        (json!({ "url": "http://h/{{ input.x }}" }), "url"),
        (json!({ "url": "http://h/", "event": "workflow.failed" }), "event"),
        (json!({ "url": "http://h/", "description": "x".repeat(2_100) }), ""),
    ] {
        let problems = channel(&content).expect_err("it is wrong");
        assert_eq!(places(problems), [path], "{content}");
    }
    let channels = json!(["a"]);
    for (content, path) in [
        (json!({ "channels": channels }), "on"),
        (json!({ "on": "run_ended", "channels": channels }), "on"),
        (json!({ "on": [], "channels": channels }), "on"),
        (json!({ "on": ["run_failed", "run_failed"], "channels": channels }), "on[1]"),
        (json!({ "on": "run_failed" }), "channels"),
        (json!({ "on": "run_failed", "channels": [] }), "channels"),
        (json!({ "on": "run_failed", "channels": [1] }), "channels[0]"),
        (json!({ "on": "run_failed", "channels": channels, "tags": "a" }), "tags"),
        (json!({ "on": "run_failed", "channels": channels, "severity": "P1" }), "severity"),
    ] {
        let problems = rule(&content).expect_err("it is wrong");
        assert_eq!(places(problems), [path], "{content}");
    }
    let good = rule(&json!({ "on": "dead_letter", "channels": channels })).expect("it is good");
    assert_eq!(good.on, [CallbackEvent::StepDeadLettered]);
}
