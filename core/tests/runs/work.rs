//! What rendering costs a decision: it is cut, so that other runs have their turn.

use backstitch_core::command::Command;
use serde_json::json;

use crate::stage::Life;

/// Comparing large lists in a loop: it fails when all work of a tree is spent.
const PILL: &str = "{% for a in input.l %}{% if input.m == input.n %}{% endif %}{% endfor %}";

fn life(steps: usize) -> Life {
    let steps: Vec<_> = (0..steps)
        .map(|at| {
            let id = format!("s{at}");
            json!({ "id": id, "type": "task", "allow_failure": true, "with": { "v": PILL } })
        })
        .collect();
    let input = json!({ "l": vec![1; 4_000], "m": vec![1; 12_000], "n": vec![1; 12_000] });
    Life::begin(&json!({ "id": "w", "steps": steps }).to_string(), input)
}

/// A thousand such steps are one a decision, each with a turn of its own.
#[test]
fn a_decision_that_renders_much_is_cut_after_few_steps() {
    let mut life = life(20);
    let failed = |life: &Life| life.words().matches("failed").count();
    for step in 1..20 {
        assert_eq!(failed(&life), step, "one more in each decision");
        assert!(life.decisions_cut == step, "and each asks to go on");
        life.act(Command::Continue).expect("never rejected");
    }
    while life.status() == "running" {
        life.act(Command::Continue).expect("never rejected");
    }
    assert_eq!(failed(&life), 20);
    assert_eq!(life.status(), "completed");
}

/// Small templates are opened together as ever.
#[test]
fn small_templates_cut_nothing() {
    let steps: Vec<_> = (0..256)
        .map(|at| {
            json!({ "id": format!("s{at}"), "type": "task", "with": "{{ input.a + 1 }}", "when": "input.a == 1" })
        })
        .collect();
    let life = Life::begin(&json!({ "id": "w", "steps": steps }).to_string(), json!({ "a": 1 }));
    assert_eq!(life.words().matches("running").count(), 256);
    assert_eq!(life.decisions_cut, 0);
}
