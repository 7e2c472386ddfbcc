//! Each document's printed definitions, problems at their places, and laws.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::table::Table;
use super::{Compiled, Form, canonical, compile};
use crate::definition::problem::{Problem, Problems};
use crate::definition::read::{DEFINITION_FIELDS, STEP_FIELDS};
use crate::plan::TaskTypes;
use crate::schema::InputSchema;
use crate::yaml::{Format, parse};

macro_rules! seed {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/seeds/", $name))
    };
}

pub(super) struct Types;

impl TaskTypes for Types {
    fn effectful(&self) -> &[&'static str] {
        &["http", "noop", "notification"]
    }

    fn check(&self, task_type: &str, with: &Value) -> Vec<(String, String)> {
        let wrong = task_type == "http" && with.get("url").is_none();
        if wrong { vec![("url".to_owned(), "is missing".to_owned())] } else { Vec::new() }
    }
}

/// Every printed definition: its form and its text.
pub(super) const PRINTED: [(&str, Form, &str); 9] = [
    ("000-compliance-check.json", Form::Unified, seed!("000-compliance-check.json")),
    ("001-customer-onboarding.yaml", Form::Omnihub, seed!("001-customer-onboarding.yaml")),
    ("001-router.yaml", Form::Omnihub, seed!("001-router.yaml")),
    ("002-hello-world.json", Form::Ecosystem, seed!("002-hello-world.json")),
    ("002-hello-world-service.yaml", Form::Ecosystem, seed!("002-hello-world-service.yaml")),
    ("002-document-analysis.json", Form::Ecosystem, seed!("002-document-analysis.json")),
    (
        "002-document-quality-analysis.yaml",
        Form::Ecosystem,
        seed!("002-document-quality-analysis.yaml"),
    ),
    ("002-pr-confidence-analysis.yaml", Form::Ecosystem, seed!("002-pr-confidence-analysis.yaml")),
    ("003-auto-threat-response.yaml", Form::Swarmguard, seed!("003-auto-threat-response.yaml")),
];

pub(super) fn value(name: &str, text: &str) -> Value {
    let format = if name.ends_with(".json") { Format::Json } else { Format::Yaml };
    parse(text.as_bytes(), format).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

fn yaml(text: &str) -> Value {
    value("yaml", text)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|one| format!("{} {} {}\n", one.path, one.code, one.message)).collect()
}

fn good(value: &Value) -> Compiled {
    compile(value, &Types).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn problems(text: &str) -> String {
    lines(&compile(&yaml(text), &Types).expect_err("it is wrong"))
}

#[test]
fn every_printed_definition_is_accepted_and_translated() {
    for (name, form, text) in PRINTED {
        let compiled = good(&value(name, text));
        assert_eq!(compiled.form, form, "{name}");
        let canonical: Value = serde_json::from_str(&compiled.text).unwrap();
        let pretty = serde_json::to_string_pretty(&canonical).unwrap();
        let shown = format!("{}\n\n{pretty}\n", lines(&compiled.warnings));
        insta::with_settings!({ omit_expression => true }, { assert_snapshot!(name, shown) });
        let again = good(&canonical);
        assert_eq!((again.form, again.text), (Form::Canonical, compiled.text), "{name}");
    }
}

#[test]
fn schemas_accept_what_is_printed_and_stand_in_docs() {
    for (name, form, text) in PRINTED {
        let schema = schema_of(form);
        schema
            .check(&value(name, text))
            .unwrap_or_else(|wrong| panic!("{name}: {}", lines(&wrong)));
        let canonical = serde_json::from_str(&good(&value(name, text)).text).unwrap();
        let checked = schema_of(Form::Canonical).check(&canonical);
        checked.unwrap_or_else(|wrong| panic!("{name}: {}", lines(&wrong)));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas");
    for form in Form::ALL {
        let path = format!("{folder}/{}.json", form.word());
        let printed = serde_json::to_string_pretty(&form.schema()).unwrap() + "\n";
        if std::env::var_os("SCHEMAS_WRITE").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == printed, "{path} is not up to date; SCHEMAS_WRITE=1 writes it");
    }
}

fn schema_of(form: Form) -> InputSchema {
    let mut problems = Problems::default();
    let schema = InputSchema::compile(&form.schema(), &mut problems);
    schema.unwrap_or_else(|| panic!("{}: {}", form.word(), lines(&problems.into_list())))
}

#[test]
fn the_canonical_schema_knows_every_field() {
    let names = |table: &Table| table.fields.iter().map(|rule| rule.name).collect::<Vec<_>>();
    assert_eq!(names(&canonical::DOCUMENT), DEFINITION_FIELDS);
    assert_eq!(names(&canonical::STEP), STEP_FIELDS);
}

#[test]
fn a_form_is_told_by_its_keys_and_two_at_once_are_refused() {
    let form = |text: &str| Form::detect(&yaml(text)).map_err(|problem| problem.to_string());
    assert_eq!(form("steps: []"), Ok(Form::Canonical));
    assert_eq!(form("id: a"), Ok(Form::Canonical));
    assert_eq!(form("[]"), Ok(Form::Canonical));
    assert_eq!(form("tasks: [{task_type: a}]"), Ok(Form::Unified));
    assert_eq!(form("tasks: [{type: a}, 7]"), Ok(Form::Swarmguard));
    assert_eq!(form("{workflow: {}, router: []}"), Ok(Form::Omnihub));
    assert_eq!(form("actions: {}"), Ok(Form::Ecosystem));
    for (text, path) in [
        ("{steps: [], actions: []}", "actions: "),
        ("{workflow: {}, tasks: []}", "workflow: "),
        ("tasks: [{task_type: a}, {type: b}]", "tasks[1].type: "),
        ("tasks: []", "tasks: "),
    ] {
        let told = form(text).unwrap_err();
        assert!(told.starts_with(path) && told.ends_with("(AMBIGUOUS_FORM)"), "{text}: {told}");
    }
}

#[test]
fn problems_name_places_of_the_document() {
    assert_snapshot!("problems-unified", problems("
        id: w
        nmae: x
        tasks:
        - {id: a, task_type: http, parameters: {}, timeout_minutes: -1, retry_count: 2.5}
        - {id: a, task_type: noop, dependencies: [b], timeout_minutes: 0.5, retry_delay_seconds: soon}
        - {task_type: vulnerability_scan, on_success: [x], parameters: {scan_type: slow}}
        retry_policy: {max_retries: 3, backoff_strategy: random}
        notifications: {webhook: ['ftp://x'], email: admin}"));
    assert_snapshot!(
        "problems-swarmguard",
        problems(
            "
        name: w
        tasks:
        - {id: a, type: http, timeout: 5}
        - {id: b, type: htpp, url: 'http://x', depends_on: [c], condition: a.x >}
        - {id: d-e, type: noop, body: '{{ a.x + d-e.y }} {{ late.x }}', cacheable: 1}
        - {id: late, type: noop}"
        )
    );
    assert_snapshot!(
        "problems-ecosystem",
        problems(
            "
        name: History
        parameters: [{name: a, type: text}, {name: x}, {name: x}, {type: string}]
        actions:
        - {action_id: a, action_type: noop, config: {to: '{{ y }}'}}
        - {action_type: noop, config: [], depends_on: a}"
        )
    );
    assert_snapshot!(
        "problems-omnihub",
        problems(
            "
        workflow:
          name: a b
          steps:
          - {id: x, adapter: noop, retry: often, compensation: wait}
          - {adapter: noop, man-mode: 'yes', needs: [z]}"
        )
    );
    assert_snapshot!(
        "problems-router",
        problems(
            "
        router:
        - {condition: event.a >, destination: x}
        - {condition: event.a}
        - {default: '{{ event.b }}'}"
        )
    );
    assert_snapshot!(
        "problems-router-within",
        problems(
            "
        workflow:
          name: w
          steps: [{id: a, adapter: noop}, {id: b, adapter: noop, needs: [b]}]
          router: [{condition: steps.b.output.x, destination: a}, {default: b}, {default: b}]
        router: [{default: a}]"
        )
    );
}

#[test]
fn an_adapter_that_undoes_gets_what_was_done_or_what_its_author_says() {
    let canonical = |compensation: &str| {
        let text = format!(
            "
        workflow:
          name: w
          priority: \"{{{{ 'high' if event.vip else 'low' }}}}\"
          steps: [{{id: a, adapter: noop, with: {{n: '{{{{ event.n }}}}'}}, compensation: {compensation}}}]"
        );
        serde_json::from_str::<Value>(&good(&yaml(&text)).text).expect("JSON")
    };
    let made = canonical("delete-account");
    assert_eq!(made["priority"], "{{ 'high' if input.vip else 'low' }}");
    let undo = json!({
        "type": "delete-account",
        "with": { "input": { "n": "{{ input.n }}" }, "output": "{{ steps[\"a\"].output }}" },
    });
    assert_eq!(made["steps"][0]["undo"], undo);
    assert_eq!(canonical("noop")["steps"][0]["undo"], json!({ "type": "noop" }));
    let own = "{adapter: http, timeout: 5s, retry: critical, \
               with: {method: DELETE, url: 'http://x/{{ event.n }}/{{ steps.a.output.id }}'}}";
    let undo = json!({
        "type": "http", "timeout": "5s", "retry": "critical",
        "with": { "method": "DELETE", "url": "http://x/{{ input.n }}/{{ steps.a.output.id }}" },
    });
    assert_eq!(canonical(own)["steps"][0]["undo"], undo);
    assert_snapshot!(
        "problems-omnihub-undo",
        problems(
            "
        workflow:
          name: w
          priority: '{{ steps.a.output }}'
          steps:
          - {id: a, adapter: noop, compensation: http}
          - {id: b, adapter: noop, compensation: {adapter: http, with: {method: DELETE}}}
          - {id: c, adapter: noop, compensation: {with: 1, undo: x}}
          - {id: d, adapter: noop, compensation: [http]}"
        )
    );
}

#[test]
fn what_is_not_in_force_is_said_with_its_place() {
    let warned = |text: &str| lines(&good(&yaml(text)).warnings);
    assert_snapshot!(
        "warnings-unified",
        warned(
            "
        id: w
        enabled: false
        type: security
        sla_minutes: '{{ variables.sla }}'
        tasks:
        - {id: a, task_type: noop, on_success: [b], on_failure: [c]}
        - {id: b, task_type: noop, timeout_minutes: '{{ variables.minutes }}'}
        - {id: c, task_type: noop}
        triggers: [{type: manual}, {type: webhook, webhook_url: /x}]
        retry_policy: {retry_conditions: [timeout]}"
        )
    );
    assert_snapshot!(
        "warnings-omnihub",
        warned(
            "
        workflow:
          name: w
          trigger: {type: webhook}
          steps: [{id: a, adapter: noop, risk: high}]
          router: [{condition: event.x, destination: a}, {condition: event.y, destination: other}]
        environments: {staging: {timeout: 10s}}"
        )
    );
    assert_snapshot!(
        "warnings-swarmguard",
        warned(
            "
        name: w
        tasks:
        - {id: enrich, type: noop, cacheable: true, body: '{{ workflow.id }} {{ enrihc.ip }}'}"
        )
    );
}

/// A router within a workflow leads to its steps: what is written before them comes before the
/// choice, what is written behind them comes after whichever was taken.
#[test]
fn a_router_leads_to_steps_adapters_and_workflows() {
    let made = good(&yaml(
        "
        workflow:
          name: w
          steps:
          - {id: check, adapter: noop}
          - {id: high, adapter: noop, man-mode: true}
          - {id: low, adapter: noop}
          - {id: tell, adapter: noop}
          router:
          - {condition: '{{ event.amount > 10 }}', destination: high}
          - {condition: steps.check.output.region == 'EU', destination: noop}
          - {condition: event.amount < 0, destination: refunds}
          - {default: low}",
    ));
    let canonical: Value = serde_json::from_str(&made.text).unwrap();
    let printed = serde_json::to_string_pretty(&canonical).unwrap();
    assert_snapshot!("router-within", format!("{}\n\n{printed}", lines(&made.warnings)));
}

#[test]
fn names_are_those_of_the_form() {
    let with = |text: &str, step: usize| {
        let canonical: Value = serde_json::from_str(&good(&yaml(text)).text).unwrap();
        canonical["steps"][step].to_string()
    };
    let bare = "
        name: w
        tasks:
        - {id: a, type: noop}
        - id: b
          type: noop
          depends_on: a
          condition: '{{ a.ok and not a.late }}'
          body: ['{{ a }}', '{{ a.list[0].x }}', '{% for a in a.items %}{{ a.x }}{% endfor %}',
                 '{{ input.a }}', '{{ a is defined }}', '{{ a.x | default(p) }}', '{{- a.x -}}']";
    assert_snapshot!("names-bare", with(bare, 1));
    let declared = "
        name: w
        parameters: [{name: p, default: {k: [null, true, \"a'b\"]}}, {name: q}]
        actions: [{action_id: a, action_type: noop, config: {p: '{{ p }}', q: 'x {{ q.y }}'}}]";
    assert_snapshot!("names-declared", with(declared, 0));
    let trigger = "
        id: w
        tasks:
        - {id: a, task_type: noop, condition: trigger_data.n > 1, parameters: {v: '{{ trigger_data }}'}}";
    assert_snapshot!("names-trigger", with(trigger, 0));
}

#[test]
fn words_of_retries_and_durations() {
    let steps = |text: &str| {
        let canonical: Value = serde_json::from_str(&good(&yaml(text)).text).unwrap();
        canonical["steps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| step["retry"].to_string() + "\n")
            .collect::<String>()
            + &canonical["defaults"].to_string()
    };
    assert_snapshot!(
        "retries",
        steps(
            "
        id: w
        tasks:
        - {id: a, task_type: noop, retry_count: 0}
        - {id: b, task_type: noop, retry_delay_seconds: 1.5}
        - {id: c, task_type: noop}
        retry_policy: {max_retries: 3, backoff_strategy: exponential}"
        )
    );
}
