//! Each document's printed definitions, problems at their places, and laws.

use insta::assert_snapshot;
use serde_json::Value;

use super::{Compiled, Form, compile};
use crate::definition::problem::Problem;
use crate::plan::TaskTypes;
use crate::yaml::{Format, parse};

macro_rules! seed {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/seeds/", $name))
    };
}

struct Types;

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
const PRINTED: [(&str, Form, &str); 9] = [
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

fn value(name: &str, text: &str) -> Value {
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
