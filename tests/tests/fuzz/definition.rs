//! Definitions of every form, as JSON and as YAML: refused with what is wrong and where, or
//! translated into a canonical text that means the same for ever.

use backstitch_core::forms::{Form, compile};
use backstitch_core::plan::Plan;
use backstitch_core::yaml::{Format, parse};
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;

const TRIES: u64 = 2_000;
/// Words that definitions are made of.
const WORDS: [&str; 40] = [
    "steps:",
    "tasks:",
    "actions:",
    "workflow:",
    "router:",
    "  - ",
    "id: a\n",
    "needs: [a]\n",
    "type: ",
    "with: ",
    "when: ",
    "undo:",
    "retry: ",
    "timeout: ",
    "on_failure: ",
    "outputs:",
    "{{ ",
    " }}",
    "{% if ",
    "{% endif %}",
    "steps.a.output",
    "input.n",
    "variables",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "0s",
    "9999999999d",
    "&a ",
    "*a",
    "<<: ",
    "!!binary ",
    "? ",
    "---\n",
    "\t",
    "\u{feff}",
    "routes:",
    "total_timeout: ",
];

#[test]
fn definitions_are_refused_or_mean_the_same_for_ever() {
    let registry = Registry::builtin(HttpConfig::default()).expect("the executors set up");
    let folders = ["fuzz/corpus/definition", "fixtures/seeds", "../examples"];
    let corpus: Vec<_> = folders.into_iter().flat_map(super::files).collect();
    super::fuzz(&corpus, &WORDS, TRIES, |input| {
        for format in [Format::Json, Format::Yaml] {
            let Ok(value) = parse(input, format) else { continue };
            let compiled = match compile(&value, &registry) {
                Ok(compiled) => compiled,
                Err(problems) => {
                    assert!(!problems.is_empty(), "refused for nothing");
                    assert!(problems.iter().all(|own| !own.message.is_empty()), "no reason");
                    continue;
                }
            };
            let again = parse(compiled.text.as_bytes(), Format::Json).expect("canonical JSON");
            let again = compile(&again, &registry).expect("what was taken is taken again");
            assert_eq!((again.form, &again.text), (Form::Canonical, &compiled.text));
            let stored = Plan::recompile(&compiled.text).expect("what is stored stays readable");
            assert_eq!(stored.digest, compiled.plan.digest);
        }
    });
}
