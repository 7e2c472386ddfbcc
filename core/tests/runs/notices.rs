//! Who is told of steps and of the beginning, in which form, and callbacks sent again.

use backstitch_core::command::{Command, Rejection};
use backstitch_core::decide::CALLBACK_ATTEMPTS_MAX;
use backstitch_core::effect::{Effect, owed};
use backstitch_core::event::{CallbackForm, DeliveryEvent, RunEvent};
use backstitch_core::failure::Failure;
use serde_json::{Value, json};

use crate::stage::{CHAIN, Life, RUN, retry};

const TOLD: &str = "
callbacks:
  - { events: [workflow.started, step.failed, step.dead_lettered], url: 'http://h/own' }
  - { event: step.failed, url: 'http://h/also', format: cloudevents }";

fn words(life: &Life) -> Vec<&'static str> {
    life.state.deliveries.iter().map(|own| own.event.word()).collect()
}

fn body(life: &Life, delivery: usize) -> Value {
    life.state.deliveries[delivery].body.value()
}

fn received(life: &mut Life, delivery: u32, attempt: u16) {
    let command = Command::ReportCallback { delivery, attempt, result: Ok(204), retry_delay_ms: 0 };
    life.act(command).expect("never rejected");
}

fn again(delivery: u32) -> Command {
    Command::SendAgain { delivery, actor: "ann".to_owned() }
}

#[test]
fn a_failed_step_is_told_to_each_who_wants_to_know_and_so_is_its_letter() {
    let mut life = Life::begin(&format!("{CHAIN}{TOLD}\non_failure: halt"), json!({}));
    assert_eq!(words(&life), ["workflow.started"]);
    life.succeeds("a").refuses("b");
    let told = ["workflow.started", "step.failed", "step.failed", "step.dead_lettered"];
    assert_eq!(words(&life), told);
    let step = &body(&life, 1)["data"]["step"];
    assert_eq!((&step["step_id"], &step["attempts"]), (&json!("b"), &json!(1)));
    assert_eq!((&step["undo"], &step["item"]), (&json!(false), &Value::Null));
    assert!(step["letter_id"].is_null() && step["error"]["message"].is_string(), "{step}");
    let letter = body(&life, 3)["data"]["step"]["letter_id"].clone();
    assert_eq!(letter, format!("dlq_{}_0", &RUN.to_string()["exec_".len()..]));
    assert!(life.state.untold().is_empty() && !life.state.is_quiescent());
    // It fails once more, and is told once more.
    life.act(retry(0)).expect("in place");
    life.refuses("b");
    assert_eq!(words(&life)[4..], told[1..]);
    life.check_replay();
}

#[test]
fn a_step_that_may_fail_is_told_of_too_and_has_no_letter() {
    let steps = "id: w\nsteps: [{ id: a, type: task, allow_failure: true }]";
    let mut life = Life::begin(&format!("{steps}{TOLD}"), json!({}));
    life.refuses("a");
    assert_eq!(life.status(), "completed");
    assert_eq!(words(&life), ["workflow.started", "step.failed", "step.failed"]);
}

#[test]
fn the_letter_of_an_undo_is_told_as_such() {
    let mut life = Life::begin(&format!("{CHAIN}{TOLD}"), json!({}));
    life.succeeds("a").succeeds("b").refuses("c").undo_refused("b");
    let lettered: Vec<_> = (0..life.state.deliveries.len())
        .filter(|at| life.state.deliveries[*at].event.word() == "step.dead_lettered")
        .map(|at| body(&life, at)["data"]["step"].clone())
        .collect();
    let undone: Vec<_> = lettered.iter().map(|own| (&own["step_id"], &own["undo"])).collect();
    assert_eq!(undone, [(&json!("c"), &json!(false)), (&json!("b"), &json!(true))]);
}

/// Whatever is left of a decision that was cut anywhere is made good, and nothing is told twice.
#[test]
fn every_prefix_of_what_happened_tells_the_same() {
    let mut life = Life::begin(&format!("{CHAIN}{TOLD}\non_failure: halt"), json!({}));
    life.succeeds("a").refuses("b");
    let whole = words(&life);
    let scheduled = |event: &RunEvent| {
        matches!(
            event,
            RunEvent::CallbackScheduled { .. }
                | RunEvent::Delivery(DeliveryEvent::Scheduled { .. })
        )
    };
    let failed = life.events.iter().position(|own| matches!(own, RunEvent::StepFailed { .. }));
    let failed = failed.expect("it failed");
    assert!(life.events[failed..].iter().any(scheduled));
    for cut in failed + 1..=life.events.len() {
        let mut half = life.cut(cut);
        half.act(Command::Continue).expect("never rejected");
        assert_eq!(words(&half), whole, "cut at {cut}");
    }
}

#[test]
fn a_run_is_not_at_rest_before_all_are_told() {
    let steps = "id: w\nsteps: [{ id: a, type: task, allow_failure: true }]";
    let told = "\ncallbacks: [{ event: step.failed, url: 'http://h/own' }]";
    let mut life = Life::begin(&format!("{steps}{told}"), json!({}));
    life.refuses("a");
    let ended = life.events.iter().position(|own| matches!(own, RunEvent::RunEnded { .. }));
    let failed = life.events.iter().position(|own| matches!(own, RunEvent::StepFailed { .. }));
    let half = life.cut(failed.expect("it failed") + 1);
    assert_eq!((half.state.untold().len(), half.state.deliveries.len()), (1, 0));
    assert!(ended.is_some() && life.state.untold().is_empty());
    // Nothing but the callback is left out of what happened.
    let mut events = life.events.clone();
    events.retain(|own| !matches!(own, RunEvent::Delivery(_)));
    let whole = life.events.len();
    life.events = events;
    assert_eq!(life.events.len() + 1, whole);
    assert!(!life.cut(life.events.len()).state.is_quiescent());
}

#[test]
fn each_form_is_written_as_its_service_reads_it() {
    let mut life = Life::begin(
        "
id: bill
on_failure: halt
steps: [{ id: a, type: task }]
callbacks:
  - { event: workflow.failed, url: 'http://h/c', format: cloudevents }
  - { event: workflow.failed, url: 'http://h/s', format: slack }
  - { event: workflow.failed, url: 'http://h/p', format: pagerduty, routing_key: k1 }
",
        json!({}),
    );
    life.refuses("a");
    let cloud = body(&life, 0);
    assert_eq!(cloud["specversion"], "1.0");
    assert_eq!(cloud["id"], format!("{RUN}/callback/0"));
    assert_eq!(cloud["source"], format!("/api/v1/executions/{RUN}"));
    assert_eq!(cloud["type"], "io.backstitch.workflow.failed");
    assert_eq!((&cloud["subject"], &cloud["data"]["status"]), (&json!("bill"), &json!("failed")));
    assert_eq!(life.state.deliveries[0].form.media_type(), "application/cloudevents+json");
    let slack = body(&life, 1);
    assert_eq!(slack["text"], "workflow bill failed: it is failed");
    assert_eq!(slack["blocks"][0]["text"]["type"], "mrkdwn");
    let pager = body(&life, 2);
    assert_eq!((&pager["routing_key"], &pager["event_action"]), (&json!("k1"), &json!("trigger")));
    assert_eq!(pager["dedup_key"], RUN.to_string());
    assert_eq!(pager["payload"]["severity"], "critical");
    assert_eq!(pager["payload"]["custom_details"]["workflow_id"], "bill");
    assert!(pager["payload"]["custom_details"].get("output").is_none());
    let routing_key = "k1".to_owned();
    assert_eq!(life.state.deliveries[2].form, CallbackForm::PagerDuty { routing_key });
    life.check_replay();
}

/// Limits and fields as Opsgenie's Alert API 2 has them.
#[test]
fn opsgenie_has_one_alert_of_a_run_and_closes_it_when_the_run_completes() {
    let mut life = Life::begin(
        "
id: bill
on_failure: halt
tags: [billing]
steps: [{ id: a, type: task }]
callbacks:
  - { events: [step.dead_lettered, workflow.completed], url: 'https://og/v2/alerts/',
      format: opsgenie, api_key: '{{ secrets.genie }}' }
",
        json!({}),
    );
    life.refuses("a");
    let alert = body(&life, 0);
    let message = alert["message"].as_str().expect("a text");
    assert!(message.starts_with("step a of workflow bill has a dead letter: "), "{message}");
    assert!(message.chars().count() <= 130);
    assert_eq!((&alert["alias"], &alert["priority"]), (&json!(RUN.to_string()), &json!("P1")));
    assert_eq!((&alert["tags"], &alert["entity"]), (&json!(["billing"]), &json!("bill")));
    let details = alert["details"].as_object().expect("an object");
    assert!(details.values().all(Value::is_string), "{details:?}");
    assert_eq!(
        (&details["step_id"], &details["event"]),
        (&json!("a"), &json!("step.dead_lettered"))
    );
    assert_eq!(life.state.deliveries[0].url, "https://og/v2/alerts/");
    life.act(retry(0)).expect("in place");
    life.succeeds("a");
    let close = format!("https://og/v2/alerts/{RUN}/close?identifierType=alias");
    assert_eq!(life.state.deliveries[1].url, close);
    let closed = json!({ "source": "Backstitch", "note": "workflow bill completed" });
    assert_eq!(body(&life, 1), closed);
    // Where the key is, its name is recorded.
    let key = Some(("api_key", "{{ secrets.genie }}"));
    assert_eq!(life.state.deliveries[1].form.body().key(), key);
    life.check_replay();
}

#[test]
fn a_pager_is_told_the_end_of_what_it_was_told() {
    let mut life = Life::begin(
        "
id: bill
on_failure: halt
steps: [{ id: a, type: task }]
callbacks:
  - { events: [step.failed, workflow.completed], url: 'http://h/p', format: pagerduty,
      routing_key: '{{ secrets.pager }}', headers: { X-From: 'b {{ secrets.me }}' } }
",
        json!({}),
    );
    life.refuses("a").act(retry(0)).expect("in place");
    life.succeeds("a");
    let told = |at: usize, field: &str| body(&life, at)[field].clone();
    assert_eq!([0, 1].map(|at| told(at, "event_action")), ["trigger", "resolve"]);
    for at in [0, 1] {
        assert_eq!(told(at, "dedup_key"), RUN.to_string());
        assert_eq!(told(at, "routing_key"), "{{ secrets.pager }}");
        let headers = [("x-from".to_owned(), "b {{ secrets.me }}".to_owned())];
        assert_eq!(life.state.deliveries[at].form.headers(), headers);
    }
    life.check_replay();
}

#[test]
fn what_was_received_is_sent_again_when_somebody_wants_it() {
    let callbacks = "\ncallbacks: [{ event: workflow.completed, url: 'http://h/done' }]";
    let mut life =
        Life::begin(&format!("id: c\nsteps: [{{ id: a, type: task }}]{callbacks}"), json!({}));
    assert_eq!(life.act(again(0)), Err(Rejection::UnknownDelivery { delivery: 0 }));
    life.succeeds("a");
    assert_eq!(life.act(again(0)), Err(Rejection::DeliveryPending { delivery: 0 }));
    received(&mut life, 0, 1);
    assert!(life.state.is_quiescent());
    let sent = body(&life, 0);
    life.act(again(0)).expect("it was received");
    assert_eq!(owed(&life.state, life.now), [Effect::DeliverCallback { delivery: 0, attempt: 2 }]);
    assert_eq!(body(&life, 0), sent);
    received(&mut life, 0, 2);
    assert!(life.state.is_quiescent());
    assert_eq!(life.state.deliveries.len(), 1);
    life.check_replay();
}

#[test]
fn what_failed_is_sent_again_by_its_letter() {
    let callbacks = "\ncallbacks: [{ event: workflow.completed, url: 'http://h/done' }]";
    let mut life =
        Life::begin(&format!("id: c\nsteps: [{{ id: a, type: task }}]{callbacks}"), json!({}));
    life.succeeds("a");
    for attempt in 1..=CALLBACK_ATTEMPTS_MAX {
        let result = Err(Failure::retryable("BUSY", "busy"));
        let (delivery, retry_delay_ms) = (0, 1_000);
        life.act(Command::ReportCallback { delivery, attempt, result, retry_delay_ms })
            .expect("never rejected");
        life.later(1_000);
    }
    life.act(again(0)).expect("its letter is open");
    let retried = |event: &RunEvent| matches!(event, RunEvent::LetterRetried { .. });
    assert!(life.events.iter().any(retried));
    received(&mut life, 0, CALLBACK_ATTEMPTS_MAX + 1);
    assert!(life.state.is_closed());
}
