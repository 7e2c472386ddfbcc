use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts::OutputRead;
use super::*;
use crate::payload::Payload;
use crate::scope::StepView;

/// Steps `charge`, `collect-data` and `skipped`.
struct Known;

const STEPS: [&str; 3] = ["charge", "collect-data", "skipped"];

impl Names for Known {
    fn step(&self, id: &str) -> Option<StepIndex> {
        let at = STEPS.iter().position(|known| *known == id)?;
        Some(StepIndex(u32::try_from(at).unwrap()))
    }

    fn nearest_step(&self, id: &str) -> Option<String> {
        crate::definition::nearest::nearest(id, STEPS).map(str::to_owned)
    }
}

pub(super) struct Run {
    pub(super) input: Value,
}

impl Scope for Run {
    fn input(&self) -> Payload {
        Payload::of(&self.input)
    }

    fn variables(&self) -> Payload {
        Payload::of(&json!({ "url": "http://stock", "limit": 3 }))
    }

    fn workflow(&self) -> Value {
        json!({ "id": "order", "execution_id": "exec_1" })
    }

    fn step(&self, step: StepIndex) -> StepView {
        let (status, output) = match step.0 {
            0 => ("succeeded", Some(json!({ "body": { "id": "r-1", "lines": [1, 2.5] } }))),
            1 => ("succeeded", Some(json!([{ "n": 1 }, { "n": 3 }]))),
            _ => ("skipped", None),
        };
        let output = output.as_ref().map(Payload::of);
        let (error, check, idempotency_key) = (None, None, "exec_1/a/1".to_owned());
        StepView { status, attempts: 1, output, error, check, idempotency_key }
    }
}

pub(super) fn run() -> Run {
    Run {
        input: json!({
            "amount": 12.5, "count": 2, "big": 9_007_199_254_740_993_i64, "none": null,
            "customer": { "name": "Ada", "tags": ["a", "b"] }, "text": "<b>&", "flag": true,
        }),
    }
}

pub(super) fn compile(template: &Value) -> Result<Template, String> {
    let site = Site {
        path: "steps[0].with",
        place: "steps.s.with",
        names: &Known,
        allowance: &Allowance::new(),
    };
    let mut problems = Problems::default();
    let template = Template::compile(template, &site, &mut Vec::new(), &mut problems);
    let problems = problems.into_list();
    match problems.first() {
        None => Ok(template),
        Some(problem) => Err(problem.to_string()),
    }
}

pub(super) fn rendered(template: Value) -> Result<Value, String> {
    compile(&template)?
        .render(&run(), &mut Work::default())
        .map_err(|failure| format!("{}: {}", failure.code, failure.message))
}

pub(super) fn check(template: &str, expected: Value) {
    assert_eq!(rendered(template.into()), Ok(expected), "{template}");
}

pub(super) fn refused(template: &str, expected: &str) {
    let got = rendered(template.into());
    assert!(got.as_ref().is_err_and(|why| why.contains(expected)), "{template}: {got:?}");
}

#[test]
fn a_lone_expression_keeps_its_type() {
    check("{{ input.amount }}", json!(12.5));
    check("{{ input.big }}", json!(9_007_199_254_740_993_i64));
    check("{{ input.count * 3 }}", json!(6));
    check("{{ input.customer }}", json!({ "name": "Ada", "tags": ["a", "b"] }));
    check("{{ input.none }}", Value::Null);
    check("{{ input.flag }}", json!(true));
    check("{{- input.flag -}}", json!(true));
    check("{{ steps.charge.output.body.lines[1] }}", json!(2.5));
    check("{{ steps[\"collect-data\"].output[0].n }}", json!(1));
    check("{{ steps.charge.status }}", json!("succeeded"));
    check("{{ variables.limit + 1 }}", json!(4));
    check("{{ {\"a\": [input.count, none]} }}", json!({ "a": [2, null] }));
    check("{{ input.customer.tags | join('-') }}", json!("a-b"));
    check("{{ steps[\"collect-data\"].output | sum(attribute='n') }}", json!(4));
    check("{{ input.customer.tags[::-1] }}", json!(["b", "a"]));
    check("{{ 'x' if input.flag else 'y' }}", json!("x"));
}

#[test]
fn what_only_names_things_is_read_without_the_engine() {
    for (template, expected) in [
        ("{{ input.customer.tags[1] }}", json!("b")),
        ("{{ input['customer'][\"tags\"].0 }}", json!("a")),
        ("{{input.count}}/{{ workflow.id }}!\n", json!("2/order!\n")),
        (
            "{{ input.none }}{{ input.flag }}{{ input.customer.tags }}",
            json!("nulltrue[\"a\",\"b\"]"),
        ),
    ] {
        check(template, expected.clone());
        // With a comment it is the engine's, and comes out the same.
        if !template.starts_with("{{ input.c") && !template.starts_with("{{ input[") {
            check(&format!("{template}{{# #}}"), expected);
        }
    }
    refused(
        "{{ input.customer.tags[2] }}",
        "`input.customer.tags[2]` is missing; `input.customer.tags` is a list of 2",
    );
    refused("{{ input.customer['e-mail'] }}", "`input.customer[\"e-mail\"]` is missing");
    refused(
        "x{{ steps[\"collect-data\"].output.a }}",
        "`steps[\"collect-data\"].output.a` is missing",
    );
    check("{{ input.count -}}  x", json!("2x"));
    check("x  {{- input.count }}", json!("x2"));
    check("{{ input.none | default('d') }}", Value::Null);
    check("{{ input.none | default('d', true) }}", json!("d"));
}

#[test]
fn mixed_text_is_a_text() {
    check("{{ variables.url }}/{{ input.count }}", json!("http://stock/2"));
    check("{{ input.text }} {{ input.none }}", json!("<b>& null"));
    check("{{ input.customer }}!", json!("{\"name\":\"Ada\",\"tags\":[\"a\",\"b\"]}!"));
    check("a {# gone #}b\n", json!("a b\n"));
    check(
        "{% for t in input.customer.tags %}{{ loop.index }}{{ t }} {% endfor %}",
        json!("1a 2b "),
    );
    check("{% if input.count > 1 %}many{% elif false %}x{% else %}one{% endif %}", json!("many"));
    check("{% for k, v in input.customer|items %}{{ k }};{% endfor %}", json!("name;tags;"));
    check("{{ '{{' }} }}", json!("{{ }}"));
    check("no template } } here", json!("no template } } here"));
}

#[test]
fn trees_are_rendered_in_place() {
    let tree = json!({ "a": ["{{ input.count }}", { "b": "x{{ input.count }}" }], "c": 1 });
    assert_eq!(rendered(tree), Ok(json!({ "a": [2, { "b": "x2" }], "c": 1 })));
    let failing = json!({ "body": { "lines": [1, "{{ input.customer.email }}"] } });
    let why = rendered(failing).unwrap_err();
    assert_eq!(
        why,
        "EXPRESSION_FAILED: steps.s.with.body.lines[1]: `{{ input.customer.email }}`: \
         `input.customer.email` is missing; `input.customer` has name, tags"
    );
}

#[test]
fn what_is_missing_is_an_error_and_never_false() {
    for template in [
        "{{ input.x }}",
        "{{ input.x.y }}",
        "a{{ input.x }}",
        "{{ input.x == 1 }}",
        "{{ input.x != 1 }}",
        "{{ 1 < input.x }}",
        "{{ not input.x }}",
        "{{ input.x and true }}",
        "{{ input.x or true }}",
        "{{ 1 if input.x else 2 }}",
        "{{ [input.x] }}",
        "{{ {'a': input.x} }}",
        "{{ input.x ~ 'a' }}",
        "{{ input.x + 1 }}",
        "{{ input.x * 2 }}",
        "{{ 2 * input.x }}",
        "{{ input.x in [1] }}",
        "{{ 1 in input.x }}",
        "{{ -input.x }}",
        "{{ input.x | upper }}",
        "{{ input.x | length }}",
        "{{ input.x | int }}",
        "{{ input.x | tojson }}",
        "{{ input.x | list }}",
        "{{ input.x is none }}",
        "{{ input.x is string }}",
        "{{ input.x is eq(1) }}",
        "{{ input.customer.tags[7] }}",
        "{{ steps.skipped.output.body }}",
        "{% if input.x %}a{% endif %}",
        "{% if input.x == 1 %}a{% endif %}",
        "{% for a in input.x %}a{% endfor %}",
        "{{ input['x'] }}",
        "{{ input.x | default(input.y) }}",
        "{{ input.x | bool }}",
    ] {
        refused(template, "EXPRESSION_FAILED");
    }
    check("{{ input.x | default('d') }}", json!("d"));
    refused("{{ input.x.y | default('d') }}", "`input.x` is missing");
    check("{{ input.x is defined }}", json!(false));
    check("{{ input.x is not defined or input.x == 1 }}", json!(true));
    check("{{ steps.skipped.output }}", Value::Null);
    check("{{ steps.skipped.output is none }}", json!(true));
}

#[test]
fn names_are_checked_before_any_run() {
    refused("{{ inputs.a }}", "did you mean `input`?");
    refused("{{ steps.chargе.output }}", "is not expected");
    refused("{{ steps.charg.output }}", "UNKNOWN_STEP");
    refused("{{ steps.charg.output }}", "did you mean `charge`?");
    refused("{{ steps['nobody'].output }}", "UNKNOWN_STEP");
    refused("{{ steps.collect-data.output }}", "write steps[\"collect-data\"]");
    refused("{{ collect-data.output }}", "write steps[\"collect-data\"]");
    refused("{{ charge.output }}", "write steps.charge");
    refused("{{ steps.charge.body }}", "a step has output, status, attempts, error");
    refused("{{ steps }}", "name the step");
    refused("{{ steps[input.a] }}", "name the step");
    refused("{{ secrets.key }}", "secrets are known in the `with` of tasks alone");
    refused("{{ input.a | uper }}", "did you mean `upper`?");
    refused("{{ input.a is strin }}", "did you mean `string`?");
    refused("{{ range(3) }}", "there are no functions");
    refused("{{ input.items() }}", "nothing can be called");
    refused("{{ self }}", "`self` is unknown");
    refused("{{ loop.index }}", "`loop` is unknown");
    refused("{% for a in input.l %}{% endfor %}{{ a }}", "`a` is unknown");
    refused("{{ input.a = 1 }}", "equality is written `==`");
    refused("{{ input.a | __number }}", "there is no filter");
}

#[test]
fn texts_that_are_no_templates_are_refused_with_their_place() {
    for (template, expected) in [
        ("{{ }}", "empty"),
        ("{{ input.a", "`}}` is missing"),
        ("ab\n  {{ 'x }}", "no closing '"),
        ("{{ input.a + }}", "BAD_EXPRESSION"),
        ("{{ ( }}", "BAD_EXPRESSION"),
        ("{% set a = 1 %}", "`{% set %}` is not known"),
        ("{% include 'x' %}", "is not known"),
        ("{% raw %}", "is not known"),
        ("{% if input.a %}", "`endif` is missing"),
        ("{% endif %}", "`endif` has no beginning"),
        ("{% for a in input.l %}{% endif %}", "close that first"),
        ("{% for input in input.l %}{% endfor %}", "means something else"),
        ("{% for a in input.l recursive %}{% endfor %}", "no operators"),
        ("{# never closed", "`#}` is missing"),
        ("{{ 1 / 0 }}", "it can never work"),
        ("{{ 'a' * 3 }}", "it can never work"),
        ("{{ 1.0e400 }}", "BAD_EXPRESSION"),
        ("{{ \"\\q\" }}", "is not an escape"),
    ] {
        refused(template, expected);
    }
    refused("ab\n  {{ inputs }}", "line 2, column 6");
}

#[test]
fn conditions_are_boolean() {
    let holds = |source: &str| {
        let site = Site {
            path: "steps[0].when",
            place: "steps.s.when",
            names: &Known,
            allowance: &Allowance::new(),
        };
        let mut problems = Problems::default();
        let condition = Condition::compile(source, &site, &mut Vec::new(), &mut problems);
        match problems.into_list().first() {
            Some(problem) => Err(problem.to_string()),
            None => condition
                .unwrap()
                .holds(&run(), &mut Work::default())
                .map_err(|failure| failure.message),
        }
    };
    assert_eq!(holds("{{ input.amount > 0 }}"), Ok(true));
    assert_eq!(holds(" input.amount > 100 "), Ok(false));
    assert_eq!(holds("true"), Ok(true));
    assert_eq!(
        holds("input.count").unwrap_err(),
        "steps.s.when: `input.count`: a condition must be true or false, as comparisons are"
    );
    for (source, expected) in [
        ("1", "true or false"),
        ("yes", "`yes` is unknown"),
        ("{{ input.a }} x", "one expression"),
        ("{{ true }} and {{ false }}", "one expression"),
        ("", "empty"),
        ("input.nothing", "`input.nothing` is missing"),
        ("input.nothing == 1", "`input.nothing` is missing"),
    ] {
        let got = holds(source);
        assert!(got.as_ref().is_err_and(|why| why.contains(expected)), "{source}: {got:?}");
    }
}

#[test]
fn what_is_read_is_known_and_nothing_else_is_fetched() {
    let template = compile(&json!(["{{ steps.charge.status }}", "{{ variables.url }}"])).unwrap();
    let steps: BTreeMap<u32, OutputRead> =
        template.reads.steps.iter().map(|(step, read)| (step.0, read.output)).collect();
    assert_eq!(steps, BTreeMap::from([(0, OutputRead::None)]));
    assert!(template.reads.variables && !template.reads.input && !template.reads.workflow);
    let whole = compile(&"{{ steps.charge }}".into()).unwrap();
    assert!(whole.reads_output_of(StepIndex(0)));
}

fn template_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{{", "}}", "{%", "%}", "{#", "#}", "-", "input", ".", "steps", "charge", "[", "]", "(",
        ")", "'", "\"", "a", "1", "1.5", "|", "length", "default", "is", "not", "defined", "if",
        "else", "elif", "endif", "for", "in", "endfor", "x", ",", ":", "{", "}", "*", "+", "~",
        "==", "<", " ", "\n", "\\", "é", "output", "loop", "index", "true", "and", "or",
    ]);
    prop::collection::vec(word, 0..30).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}") {
        let _seen = rendered(text.into()).is_ok();
    }

    #[test]
    fn nothing_like_a_template_makes_it_panic(text in template_like()) {
        let _seen = rendered(text.clone().into()).is_ok();
        let _seen = rendered(format!("{{{{ {text} }}}}").into()).is_ok();
    }

    #[test]
    fn values_pass_through_unchanged(
        number in any::<i64>(), fraction in prop::num::f64::NORMAL, text in ".{0,40}",
    ) {
        let input = json!({ "v": { "n": number, "f": fraction, "t": text, "l": [null, true] } });
        let run = Run { input: input.clone() };
        let template = compile(&"{{ input.v }}".into()).unwrap();
        prop_assert_eq!(template.render(&run, &mut Work::default()).unwrap(), input["v"].clone());
    }
}
