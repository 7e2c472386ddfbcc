//! Random workflows: small graphs with every feature of a definition that a run can feel.

use serde_json::{Map, Value, json};

use super::random::Random;

/// Workflows whose steps take much rendering.
const HEAVY_PERCENT: u64 = 2;

/// A random definition of the given id, as JSON.
/// Its children are of the given workflows.
pub fn workflow(id: &str, children: &[String], random: &mut Random) -> Value {
    let count = 1 + random.index(7);
    let steps: Vec<Value> = (0..count).map(|at| step(at, children, random)).collect();
    let mut steps = super::flow::lead(steps, random);
    if random.chance(10) {
        steps.push(again(id, 4));
    }
    if random.chance(10) && id != "w0" {
        // Runs of two workflows that call each other may wait for each other's slots.
        steps.push(again("w0", 6));
    }
    if random.chance(2) {
        // Wide enough that no decision takes all of it at once.
        let pure = |at| json!({ "id": format!("p{at}"), "type": "transform", "with": {} });
        steps = (0..600).map(pure).collect();
    }
    if random.chance(HEAVY_PERCENT) {
        steps = (0..3).map(heavy).collect();
    }
    let mut definition = json!({
        "id": id,
        "on_failure": *random.pick(&["compensate", "compensate", "compensate", "halt", "suspend"]),
        "steps": steps,
        "callbacks": [
            { "event": "workflow.completed", "url": "http://callbacks/completed" },
            { "event": "workflow.failed", "url": "http://callbacks/failed" },
            { "event": "workflow.compensating", "url": "http://callbacks/compensating" },
            { "event": "workflow.cancelled", "url": "http://callbacks/cancelled" },
        ],
    });
    if random.chance(40) {
        definition["tags"] = json!(["defined", "shared"]);
    }
    super::told::further(&mut definition, random);
    let also = random.below(4);
    let urls = definition["callbacks"].as_array_mut().expect("a list");
    for at in 0..usize::try_from(also).expect("small") {
        let mut second = urls[at].clone();
        second["url"] = json!(format!("{}/also", second["url"].as_str().expect("a text")));
        urls.push(second);
    }
    if random.chance(15) {
        // Nobody ever answers here.
        definition["callbacks"][0]["url"] = json!("http://dead/completed");
    }
    if random.chance(30) {
        let by_input = "{{ 'high' if input.n == 1 else 'low' }}";
        definition["priority"] = json!(*random.pick(&["high", "medium", "low", by_input]));
    }
    if random.chance(35) {
        definition["concurrency"] = super::limits::concurrency(random);
    }
    if random.chance(15) {
        definition["sla"] = json!(format!("{}ms", 100 + random.below(5_000)));
    }
    if random.chance(5) {
        definition["sla"] = json!("{{ input.n }}s");
    }
    if random.chance(15) {
        definition["timeout"] = json!(format!("{}ms", 500 + random.below(20_000)));
    }
    if random.chance(30) {
        definition["on_no_undo"] = json!(*random.pick(&["suspend", "suspend", "skip"]));
    }
    if random.chance(15) {
        definition["compensation_timeout"] = json!(format!("{}ms", 50 + random.below(4_000)));
    }
    definition
}

fn step(at: usize, children: &[String], random: &mut Random) -> Value {
    let mut step = Map::new();
    let needs: Vec<String> =
        (0..at).filter(|_| random.chance(40)).map(|need| format!("s{need}")).collect();
    let reads = needs.first().cloned();
    step.insert("id".into(), json!(format!("s{at}")));
    step.insert("needs".into(), json!(needs));
    match random.below(10) {
        0 => {
            step.insert("type".into(), json!("wait"));
            let with = match random.below(5) {
                0 => json!({ "signal": "go" }),
                1 => json!({ "signal": "go-{{ input.n }}", "timeout": "5s" }),
                2 => json!({ "duration": "{% if input.n > 6 %}soon{% else %}90ms{% endif %}" }),
                _ => json!({ "duration": format!("{}ms", random.below(3_000)) }),
            };
            step.insert("with".into(), with);
            if random.chance(30) {
                step.insert("total_timeout".into(), json!("1s"));
            }
        }
        1 => {
            step.insert("type".into(), json!("transform"));
            step.insert("with".into(), json!({ "input": "{{ input.n }}" }));
        }
        3 if random.chance(40) => {
            step.insert("type".into(), json!("signal"));
            let with = json!({ "execution": "{{ input.to }}", "name": "go", "payload": at });
            step.insert("with".into(), with);
            if random.chance(50) {
                step.insert("allow_failure".into(), json!(true));
            }
        }
        2 if !children.is_empty() => child(&mut step, children, random),
        4 => items(&mut step, children, random),
        _ => service(&mut step, reads, random),
    }
    if random.chance(15) {
        let when = *random.pick(&["{{ input.n > 5 }}", "input.n <= 5", "{{ input.missing > 1 }}"]);
        step.insert("when".into(), json!(when));
    }
    Value::Object(step)
}

/// Texts of one such step, which together take more than half of what a decision may.
const HEAVY_TEXTS: usize = 14;

/// Two of these take more rendering than one decision may, so that it is cut between a step
/// that is ready and its start, forward and back.
fn heavy(at: usize) -> Value {
    let row = "{% for a in 'abcdefghijklmnopqrstuvwxyz' %}";
    let (begin, end) = (row.repeat(2), "{% endfor %}".repeat(3));
    let work = format!("{{{{ input.n }}}}{begin}{{% for b in 'abcdef' %}}{end}");
    let with = json!({ "n": "{{ input.n }}", "work": vec![work; HEAVY_TEXTS] });
    let retry = json!({ "max_attempts": 3, "initial": "1s", "max": "4s" });
    json!({
        "id": format!("s{at}"), "type": "service", "with": with, "timeout": "1s",
        "retry": retry, "total_timeout": "3s",
        "undo": { "type": "service", "with": with, "timeout": "1s", "retry": retry },
    })
}

fn service(step: &mut Map<String, Value>, reads: Option<String>, random: &mut Random) {
    step.insert("type".into(), json!("service"));
    let mut with = json!({ "n": "{{ input.n }}" });
    if let Some(need) = reads.filter(|_| random.chance(30)) {
        with["of"] = json!(format!("{{{{ steps.{need}.status }}}}"));
    }
    step.insert("with".into(), with);
    let mut retry = json!({
        "max_attempts": 1 + random.below(4), "initial": "100ms", "max": "2s", "jitter": true,
    });
    super::retries::choose(&mut retry, random);
    step.insert("retry".into(), retry);
    step.insert("timeout".into(), json!("1s"));
    if random.chance(10) {
        let limit = format!("{}ms", 100 + random.below(4_000));
        step.insert("total_timeout".into(), json!(limit));
        step.insert("sla".into(), json!("500ms"));
    }
    if random.chance(15) {
        step.insert("allow_failure".into(), json!(true));
    }
    if random.chance(25) {
        step.insert("limits".into(), limits(random));
    }
    if random.chance(30) {
        let word = *random.pick(&["safe", "idempotent", "unsafe"]);
        step.insert("replay".into(), json!(word));
    }
    if random.chance(8) {
        // 0 attempts and a wait that cannot be had are wrong.
        step.insert("total_timeout".into(), json!("{{ input.n + 1 }}s"));
        step["retry"]["max_attempts"] = json!("{{ input.n }}");
    }
    if random.chance(7) && !step.contains_key("limits") {
        step.insert("exclusive".into(), json!(true));
    } else if random.chance(40) {
        step.insert("breaker".into(), super::breakers::policy(random));
    }
    if random.chance(10) {
        step.insert("cache".into(), super::cached::policy(random));
    } else if random.chance(70) {
        let with = if random.chance(25) {
            let own = step["id"].as_str().expect("a text");
            json!({ "of": format!("{{{{ steps.{own}.output.receipt }}}}") })
        } else {
            json!({ "n": "{{ input.n }}" })
        };
        let mut retry =
            json!({ "max_attempts": 1 + random.below(3), "initial": "100ms", "max": "1s" });
        super::retries::choose(&mut retry, random);
        let undo = json!({ "type": "service", "with": with, "retry": retry, "timeout": "1s" });
        step.insert("undo".into(), undo);
        if random.chance(50) {
            step.insert("check".into(), check(step, random));
        }
    } else if random.chance(15) {
        step.insert("undo".into(), json!("none"));
    }
    if random.chance(15) {
        step.insert("on_no_undo".into(), json!(*random.pick(&["suspend", "suspend", "skip"])));
    }
}

/// The service is asked by the step's key whether it took effect.
fn check(step: &Map<String, Value>, random: &mut Random) -> Value {
    let own = step["id"].as_str().expect("a text");
    let mut retry = json!({ "max_attempts": 1 + random.below(3), "initial": "100ms", "max": "1s" });
    super::retries::choose(&mut retry, random);
    let mut check = json!({
        "type": "service",
        "with": { "n": "{{ input.n }}", "asks": format!("{{{{ steps.{own}.idempotency_key }}}}") },
        "took_effect": format!("steps.{own}.check.found"),
        "retry": retry,
        "timeout": "1s",
    });
    if random.chance(30) {
        let receipt = format!("{{{{ steps.{own}.check.receipt }}}}");
        check["output"] = json!({ "receipt": receipt });
    }
    check
}

/// A loop over a few items; each of them is a service, a wait, a pure step or a child.
fn items(step: &mut Map<String, Value>, children: &[String], random: &mut Random) {
    let mut each = Map::new();
    match random.below(6) {
        0 if !children.is_empty() => child(&mut each, children, random),
        1 => {
            each.insert("type".into(), json!("transform"));
            each.insert("with".into(), json!({ "item": "{{ item }}", "n": "{{ input.n }}" }));
        }
        2 => {
            each.insert("type".into(), json!("wait"));
            each.insert("with".into(), json!({ "duration": "{{ 100 * index }}ms" }));
        }
        _ => {
            each.insert("id".into(), step["id"].clone());
            service(&mut each, None, random);
            each.insert("with".into(), json!({ "n": "{{ input.n }}", "item": "{{ item }}" }));
        }
    }
    if random.chance(20) {
        each.insert("when".into(), json!("{{ item != 2 }}"));
    }
    if let Some(word) = each.remove("on_no_undo") {
        step.insert("on_no_undo".into(), word);
    }
    let of_steps = ["id", "sla", "allow_failure", "replay", "cache", "exclusive", "limits"];
    of_steps.iter().for_each(|own| drop(each.remove(*own)));
    // Loops of children of loops of children would be runs by the thousand.
    let most = if each["type"] == "workflow" { 2 } else { 7 };
    let list = json!((0..random.below(8).min(most)).collect::<Vec<_>>());
    let list = if random.chance(5) { json!("{{ input.n }}") } else { list };
    step.insert("type".into(), json!("foreach"));
    step.insert("with".into(), json!({ "items": list }));
    step.insert("each".into(), Value::Object(each));
    step.insert("max_parallel".into(), json!(1 + random.below(4)));
    if random.chance(40) {
        step.insert("on_item_failure".into(), json!("collect"));
    }
    if random.chance(20) {
        step.insert("retry".into(), json!({ "max_attempts": 2, "initial": "100ms", "max": "1s" }));
    }
    if random.chance(15) {
        step.insert("allow_failure".into(), json!(true));
    }
}

/// A workflow once more, below itself, a few levels deep: as long as `n` is above so much.
fn again(id: &str, above: u64) -> Value {
    let input = json!({ "n": "{{ input.n - 4 }}", "to": "{{ input.to }}" });
    json!({
        "id": format!("again-{id}"), "type": "workflow", "when": format!("input.n > {above}"),
        "retry": "none",
        "with": { "workflow": id, "input": input },
    })
}

/// Keys that many steps share: each has the same limit wherever it is written.
fn limits(random: &mut Random) -> Value {
    let all = json!({ "key": "all", "max": 2 });
    let own = json!({ "key": "n-{{ input.n }}", "max": 1 });
    match random.below(4) {
        0 => json!([all]),
        1 => json!([own, all]),
        2 => json!([{ "key": "{% if input.n > 8 %}{% else %}few{% endif %}", "max": 3 }]),
        _ => json!([own]),
    }
}

fn child(step: &mut Map<String, Value>, children: &[String], random: &mut Random) {
    let workflow = if random.chance(5) { "nobody" } else { random.pick(children).as_str() };
    step.insert("type".into(), json!("workflow"));
    let with =
        json!({ "workflow": workflow, "input": { "n": "{{ input.n }}", "to": "{{ input.to }}" } });
    step.insert("with".into(), with);
    let retry = json!({ "max_attempts": 1 + random.below(3), "initial": "100ms", "max": "2s" });
    step.insert("retry".into(), retry);
    if random.chance(15) {
        step.insert("allow_failure".into(), json!(true));
    }
}
