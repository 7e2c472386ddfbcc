//! The workflows that are run: so many `noop` steps, one after the other.

use std::time::Duration;

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::time::Timestamp;
use backstitch_saga::handle::Request;
use serde_json::{Value, json};

/// Steps of a run.
pub const STEPS: [usize; 2] = [1, 10];
/// How long a run is waited for, in seconds.
pub const WAIT_SECONDS: u64 = 30;

/// The workflow's id.
pub fn id(steps: usize) -> String {
    format!("noop-{steps}")
}

/// Its definition.
pub fn definition(steps: usize) -> Value {
    let step = |at: usize| match at {
        1 => json!({ "id": "step-1", "type": "noop" }),
        _ => {
            let need = format!("step-{}", at - 1);
            json!({ "id": format!("step-{at}"), "type": "noop", "needs": [need] })
        }
    };
    json!({ "id": id(steps), "steps": (1..=steps).map(step).collect::<Vec<_>>() })
}

/// The id of the workflow whose runs sleep.
pub const SLEEPING: &str = "sleeping";

/// Nine pure steps and a long sleep: 21 events, and nothing more for a month.
pub fn sleeping_definition() -> Value {
    let mut steps: Vec<_> = (1..=9)
        .map(|at: usize| {
            let needs: Vec<_> = (at > 1).then(|| format!("step-{}", at - 1)).into_iter().collect();
            let with = json!({ "order": "{{ input.order }}", "at": at });
            json!({ "id": format!("step-{at}"), "type": "transform", "needs": needs, "with": with })
        })
        .collect();
    let with = json!({ "duration": "30d" });
    steps.push(json!({ "id": "sleep", "type": "wait", "needs": ["step-9"], "with": with }));
    json!({ "id": SLEEPING, "steps": steps })
}

/// The id of the workflow whose runs only wait.
pub const RESTING: &str = "resting";
/// The id of the workflow whose runs pause between their steps.
pub const PACING: &str = "pacing";

/// The id of the workflow whose runs wait for an instant before their step.
pub const WAKING: &str = "waking";

/// The id of the workflow whose runs go through a list.
pub const LOOPING: &str = "looping";

/// One step for each item of a list.
pub fn looping_definition() -> Value {
    let step = json!({
        "id": "each", "type": "foreach", "with": { "items": "{{ input.items }}" },
        "max_parallel": 100, "each": { "type": "noop", "with": { "output": "{{ item.order }}" } },
    });
    json!({ "id": LOOPING, "steps": [step] })
}

/// A submission of it for so many items.
pub fn looping(items: usize) -> Request {
    let items: Vec<_> = (0..items).map(|at| json!({ "order": format!("o-{at}") })).collect();
    Request { workflow: LOOPING.to_owned(), input: json!({ "items": items }), ..submission(1) }
}

/// The workflows that wait: long after nine steps, long and nothing else, and as long as they are
/// told between any two of five steps.
pub fn waiting_definitions() -> Vec<Value> {
    let rest = json!({ "id": "rest", "type": "wait", "with": { "duration": "30d" } });
    let resting = json!({ "id": RESTING, "steps": [rest] });
    let mut steps = vec![json!({ "id": "step-1", "type": "noop" })];
    for at in 2..=5 {
        let (before, pause) = (format!("step-{}", at - 1), format!("pause-{at}"));
        let with = json!({ "duration": "{{ input.pause }}" });
        steps.push(json!({ "id": pause, "type": "wait", "needs": [before], "with": with }));
        steps.push(json!({ "id": format!("step-{at}"), "type": "noop", "needs": [pause] }));
    }
    let with = json!({ "until": "{{ input.until }}" });
    let until = json!({ "id": "rest", "type": "wait", "with": with });
    let step = json!({ "id": "step", "type": "noop", "needs": ["rest"] });
    let waking = json!({ "id": WAKING, "steps": [until, step] });
    vec![sleeping_definition(), resting, waking, json!({ "id": PACING, "steps": steps })]
}

/// A submission of one that only waits.
pub fn resting() -> Request {
    Request { workflow: RESTING.to_owned(), ..submission(1) }
}

/// A submission of one that waits until an instant.
pub fn waking(until: Timestamp) -> Request {
    let input = json!({ "until": until.to_string() });
    Request { workflow: WAKING.to_owned(), input, ..submission(1) }
}

/// A submission of one that pauses for so long.
pub fn pacing(pause: Duration) -> Request {
    let input = json!({ "pause": format!("{}ms", pause.as_millis()) });
    Request { workflow: PACING.to_owned(), input, ..submission(1) }
}

/// A submission of it.
pub fn sleeping() -> Request {
    let input = json!({ "order": "o-5518830", "amount": 129.5, "goods": "a chair" });
    Request { workflow: SLEEPING.to_owned(), input, ..submission(1) }
}

/// The tag and correlation id of a few runs among many.
pub const RARE: &str = "rare";

/// A submission with a tag and a correlation id of its own.
pub fn rare() -> Request {
    let (correlation_id, tags) = (RARE.to_owned(), vec![RARE.to_owned()]);
    Request { correlation_id, tags, ..submission(1) }
}

/// A submission, as the engine takes it.
pub fn submission(steps: usize) -> Request {
    Request::new(DEFAULT_NAMESPACE.into(), id(steps), json!({}), "bench".to_owned())
}
