//! The templates that the program brings: definitions to begin with, each a file of `api/templates`.
//!
//! What is made of one is a workflow as any other: nothing remembers where it came from.

use std::collections::BTreeMap;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::yaml::{Format, parse};
use serde_json::{Map, Value};

use crate::nearest::unknown;

/// What may be customised.
pub const CUSTOMIZATIONS: [&str; 6] = ["id", "name", "description", "version", "tags", "variables"];

/// A definition to begin with.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// By which it is asked for.
    pub name: &'static str,
    /// The definition, in YAML, with comments.
    pub text: &'static str,
}

/// Every template, by name.
pub const ALL: [Template; 5] = [
    Template { name: "approval", text: include_str!("../templates/approval.yaml") },
    Template {
        name: "document_analysis",
        text: include_str!("../templates/document_analysis.yaml"),
    },
    Template { name: "fan_out", text: include_str!("../templates/fan_out.yaml") },
    Template { name: "order_saga", text: include_str!("../templates/order_saga.yaml") },
    Template { name: "scheduled_report", text: include_str!("../templates/scheduled_report.yaml") },
];

impl Template {
    /// The template of a name.
    ///
    /// # Errors
    /// A sentence, with the name that may have been meant.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = ALL.into_iter().find(|own| own.name == name);
        found.ok_or_else(|| unknown("template", name, &ALL.map(|own| own.name)))
    }

    /// The definition.
    ///
    /// # Panics
    /// Never: a test reads every template.
    #[must_use]
    pub fn definition(self) -> Map<String, Value> {
        match parse(self.text.as_bytes(), Format::Yaml) {
            Ok(Value::Object(fields)) => fields,
            other => panic!("the template {} is no definition: {other:?}", self.name),
        }
    }

    /// The definition with what is customised in it.
    ///
    /// # Errors
    /// Every variable that it does not have.
    pub fn customized(self, own: &Map<String, Value>) -> Result<Map<String, Value>, Vec<Problem>> {
        let mut fields = self.definition();
        let mut problems = Vec::new();
        for (name, value) in own.iter().filter(|(name, _)| *name != "variables") {
            fields.insert(name.clone(), value.clone());
        }
        let given = own.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut variables = fields.remove("variables").unwrap_or_else(|| Map::new().into());
        if let Some(known) = variables.as_object_mut() {
            for (name, value) in given {
                if known.contains_key(&name) {
                    known.insert(name, value);
                    continue;
                }
                let names: Vec<_> = known.keys().map(String::as_str).collect();
                let message = match names.is_empty() {
                    true => format!("the template {} has no variables", self.name),
                    false => unknown("variable", &name, &names),
                };
                let path = format!("customizations.variables.{name}");
                problems.push(Problem { path, code: codes::UNKNOWN_FIELD, message });
            }
            if !known.is_empty() {
                fields.insert("variables".to_owned(), variables);
            }
        }
        if problems.is_empty() { Ok(fields) } else { Err(problems) }
    }

    /// The inputs that it is shown with.
    #[must_use]
    pub fn examples(self) -> Vec<Value> {
        let schema = self.definition().remove("input_schema").unwrap_or_default();
        schema["examples"].as_array().cloned().unwrap_or_default()
    }

    /// What its runs are submitted with, by name.
    #[must_use]
    pub fn parameters(self) -> BTreeMap<String, Value> {
        let schema = self.definition().remove("input_schema").unwrap_or_default();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let with_required = properties.into_iter().map(|(name, mut own)| {
            own["required"] = required.iter().any(|required| *required == *name).into();
            (name, own)
        });
        with_required.collect()
    }
}

#[cfg(test)]
mod tests {
    use backstitch_core::forms::compile;
    use backstitch_executors::Registry;
    use backstitch_executors::http::HttpConfig;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_template_is_a_definition_without_warnings_and_takes_its_examples() {
        let registry = Registry::builtin(HttpConfig::default()).expect("the executors set up");
        for own in ALL {
            let compiled = compile(&Value::Object(own.definition()), &registry);
            let compiled = compiled.unwrap_or_else(|why| panic!("{}: {why:#?}", own.name));
            assert!(compiled.warnings.is_empty(), "{}: {:#?}", own.name, compiled.warnings);
            assert_eq!(&*compiled.plan.workflow, own.name.replace('_', "-"));
            assert!(compiled.plan.description.is_some() && !own.parameters().is_empty());
            assert!(!own.examples().is_empty(), "{} is shown with an input", own.name);
            for example in own.examples() {
                let taken = compiled.plan.check_input(&example);
                assert_eq!(taken.err(), None, "{}: {example}", own.name);
            }
        }
        assert!(ALL.is_sorted_by_key(|own| own.name));
    }

    #[test]
    fn what_is_customised_stands_in_the_definition() {
        let own = Template::named("fan_out").expect("it is there");
        let wish = json!({ "name": "Mine", "variables": { "service_url": "http://x" } });
        let made = own.customized(wish.as_object().expect("an object")).expect("it can be made");
        assert_eq!(
            (&made["name"], &made["variables"]["service_url"]),
            (&json!("Mine"), &json!("http://x"))
        );
        assert_eq!(made["steps"], own.definition()["steps"]);
        let wish = json!({ "variables": { "servic_url": 1 } });
        let wrong = own.customized(wish.as_object().expect("an object")).expect_err("unknown");
        assert_eq!(wrong[0].path, "customizations.variables.servic_url");
        assert!(wrong[0].message.contains("did you mean `service_url`?"), "{}", wrong[0].message);
        let why = Template::named("fanout").expect_err("unknown");
        assert_eq!(why, "unknown template `fanout`; did you mean `fan_out`?");
    }
}
