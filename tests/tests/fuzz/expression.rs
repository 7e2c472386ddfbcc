//! Templates and conditions: refused when they are written, or rendered within their limits,
//! to the same twice.

use std::sync::Arc;

use backstitch_core::command::Submission;
use backstitch_core::event::Submitted;
use backstitch_core::ids::{Digest, ExecutionId, PartitionId};
use backstitch_core::machine::submit;
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::plan::{Plan, TaskTypes};
use backstitch_core::time::{Moment, Timestamp};
use serde_json::{Value, json};

const TRIES: u64 = 4_000;
/// Words that expressions are made of.
const WORDS: [&str; 48] = [
    "{{",
    "}}",
    "{%",
    "%}",
    " if ",
    " else ",
    " elif ",
    " endif ",
    " for a in ",
    " endfor ",
    " set x = ",
    "{% raw %}",
    "{# ",
    " #}",
    "input",
    "variables",
    "steps",
    "secrets",
    ".l",
    ".n",
    "[0]",
    "[-1]",
    "[::-1]",
    " and ",
    " or ",
    " not ",
    " in ",
    " is defined",
    " == ",
    " ~ ",
    " ** ",
    " // ",
    " % ",
    "|default('')",
    "|length",
    "|join(',')",
    "|tojson",
    "|sort",
    "|map('upper')",
    "|field('x')",
    "range(99999)",
    "'\\u0000'",
    "1e308",
    "9223372036854775807",
    "(",
    ")",
    "\"",
    "loop.index",
];

struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &[]
    }

    fn check(&self, _: &str, _: &Value) -> Vec<(String, String)> {
        Vec::new()
    }
}

#[test]
fn expressions_are_refused_or_rendered_within_their_limits() {
    let texts = super::files("fuzz/corpus/expression");
    let lines = texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n'));
    let corpus: Vec<_> = lines.filter(|own| !own.is_empty()).map(<[u8]>::to_vec).collect();
    super::fuzz(&corpus, &WORDS, TRIES, |input| {
        let text = String::from_utf8_lossy(input);
        let with = json!({ "id": "a", "type": "transform", "with": { "x": text } });
        let when = json!({ "id": "b", "type": "transform", "when": text, "allow_failure": true });
        for step in [with, when] {
            let definition = json!({ "id": "fuzz", "steps": [step] });
            if let Ok((_, plan)) = Plan::read(&definition, &Types) {
                let plan = Arc::new(plan);
                assert_eq!(run(&plan), run(&plan), "{text} renders to two things");
            }
        }
    });
}

/// The first step's word and what it says.
fn run(plan: &Arc<Plan>) -> (&'static str, Option<String>) {
    let input = json!({ "n": 7, "l": [3, 1, 2], "s": "text", "o": { "k": "v" }, "deep": [[[1]]] });
    let submitted = Box::new(Submitted {
        namespace: "default".into(),
        workflow: plan.workflow.clone(),
        revision: 1,
        digest: plan.digest,
        input: Payload::of(&input),
        variables: Payload::of(&json!({ "v": [1, "two", null] })),
        correlation_id: "fuzz".into(),
        idempotency_key: None,
        request: Digest::default(),
        callbacks: Vec::new(),
        deadline_at: None,
        retry_of: None,
        actor: "fuzz".to_owned(),
    });
    let execution = ExecutionId { partition: PartitionId(0), digits: 1 };
    let (plan, tags, origin) = (plan.clone(), Vec::new(), None);
    let submission = Submission {
        execution,
        plan,
        submitted,
        tags,
        origin,
        targets: Vec::new(),
        alerts: Vec::new(),
        faults: Vec::new(),
        trace: None,
    };
    let moment = Moment::at(Timestamp(1_800_000_000_000_000));
    let (state, _) = submit(submission, moment).expect("the engine takes what was compiled");
    let own = &state.steps[0];
    let output = own.output.as_ref().map(|output| output.text().to_string());
    assert!(output.as_ref().is_none_or(|text| text.len() <= PAYLOAD_BYTES_MAX));
    (own.word(), output)
}
