//! Who is told of what: each of those who want to know, once for each time that it happened.

use std::collections::BTreeMap;

use backstitch_core::event::{
    Alert, AlertOf, CallbackEvent, CallbackForm, LetterSubject, RunEvent, Target,
};
use backstitch_core::ids::ExecutionId;
use backstitch_core::report::callback_url;
use backstitch_core::state::State;
use serde_json::{Value, json};

use super::random::Random;

/// What is wrong with the callbacks of a run that has ended, if anything. `received` says whether
/// anybody got a delivery.
pub fn wrong(
    state: &State,
    events: &[RunEvent],
    received: &dyn Fn(u32) -> bool,
) -> Option<&'static str> {
    let mut told: BTreeMap<_, usize> = BTreeMap::new();
    for (number, delivery) in (0..).zip(&state.deliveries) {
        let event = delivery.event.word();
        let times = told.entry((event, delivery.url.as_str())).or_default();
        *times += 1;
        if *times > 1 && delivery.about.is_none() {
            return Some("a callback was scheduled twice");
        }
        if delivery.answered.is_some() && !received(number) {
            return Some("a callback was delivered to nobody");
        }
    }
    let ending = state.ending_event().expect("checked to have ended").word();
    let happened = happened(state, events);
    let events = CallbackEvent::WORDS.iter().map(|(_, event)| *event);
    for target in events.flat_map(|event| state.told_of(event)) {
        let event = target.event.word();
        let url = callback_url(state, &target.target(), target.alert);
        let times = told.get(&(event, url.as_str())).copied().unwrap_or(0);
        if event == ending && times == 0 {
            return Some("somebody was not told of the end");
        }
        // Another revision tells others.
        let wanted = happened.get(event).filter(|_| state.migrations.is_none());
        if wanted.is_some_and(|wanted| *wanted != times) {
            return Some("somebody was not told each time, or too often");
        }
    }
    None
}

/// What happened that is reported each time, or once, and how often.
fn happened(state: &State, events: &[RunEvent]) -> BTreeMap<&'static str, usize> {
    let count =
        |wanted: &dyn Fn(&RunEvent) -> bool| events.iter().filter(|own| wanted(own)).count();
    let failed = |own: &RunEvent| matches!(own, RunEvent::StepFailed { .. });
    let lettered = |own: &RunEvent| match own {
        RunEvent::LetterOpened { subject, .. } => !matches!(subject, LetterSubject::Callback(_)),
        _ => false,
    };
    BTreeMap::from([
        (CallbackEvent::StepFailed.word(), count(&failed)),
        (CallbackEvent::StepDeadLettered.word(), count(&lettered)),
        (CallbackEvent::Started.word(), usize::from(state.has_begun())),
    ])
}

/// What operators want to be told of the runs of a workflow.
pub fn alerts_of(workflow: &str) -> Vec<Alert> {
    if !workflow.ends_with(['0', '3', '6']) {
        return Vec::new();
    }
    let alert = |rule: &str, events: &[CallbackEvent]| {
        let (rule, channel) = (rule.to_owned(), "pager".to_owned());
        let url = format!("http://callbacks/{rule}");
        let of = AlertOf { rule, channel, severity: None };
        Alert { of, events: events.to_vec(), url, form: CallbackForm::Backstitch }
    };
    vec![
        alert("ended", &[CallbackEvent::Failed, CallbackEvent::CompensationFailed]),
        alert("steps", &[CallbackEvent::StepDeadLettered, CallbackEvent::StepWaiting]),
    ]
}

/// Who is told of a run as it was submitted, in forms of their own: a repeat has the same.
pub fn own_targets(execution: ExecutionId) -> Vec<Target> {
    if !execution.digits.is_multiple_of(5) {
        return Vec::new();
    }
    let url = "http://callbacks/given".to_owned();
    let events = [CallbackEvent::Completed, CallbackEvent::Failed, CallbackEvent::StepFailed];
    let target = |event| Target { event, url: url.clone(), form: CallbackForm::CloudEvents };
    events.map(target).to_vec()
}

/// Callbacks of the beginning and of steps, and forms beside our own.
pub fn further(definition: &mut Value, random: &mut Random) {
    let callbacks = definition["callbacks"].as_array_mut().expect("a list");
    let words = ["workflow.started", "step.failed", "step.dead_lettered"];
    for word in words.iter().filter(|_| random.chance(40)) {
        callbacks.push(json!({ "event": word, "url": format!("http://callbacks/{word}") }));
    }
    let forms = [
        json!({ "format": "cloudevents" }),
        json!({ "format": "slack" }),
        json!({ "format": "pagerduty", "routing_key": "{{ secrets.pager }}" }),
        json!({ "format": "opsgenie", "api_key": "abc" }),
        json!({ "headers": { "x-from": "{{ secrets.me }}" } }),
    ];
    for callback in callbacks {
        if !random.chance(20) {
            continue;
        }
        let form = random.pick(&forms).clone();
        let fields = callback.as_object_mut().expect("an object");
        fields.extend(form.as_object().expect("an object").clone());
    }
}
