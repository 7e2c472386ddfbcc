//! Parts of the program that may log more, or less, than the rest.

use backstitch_core::definition::problem::{Problem, codes};
use serde_json::{Map, Value};

use crate::nearest::unknown;

/// The name of everything that no other component is.
const DEFAULT: &str = "default";
/// How much is logged, from nothing to everything.
pub(crate) const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    /// What the targets of its lines begin with.
    pub(crate) targets: &'static [&'static str],
}

/// Every component; where two fit a line, the longer target counts.
pub(crate) const COMPONENTS: [Component; 9] = [
    Component { name: DEFAULT, targets: &[""] },
    Component { name: "api", targets: &["backstitch_api"] },
    Component { name: "requests", targets: &["backstitch_api::http"] },
    Component { name: "saga", targets: &["backstitch_saga"] },
    Component { name: "runs", targets: &["backstitch_saga::runs"] },
    Component { name: "steps", targets: &["backstitch_executors", "backstitch_saga::driver"] },
    Component { name: "breakers", targets: &["backstitch_saga::breakers"] },
    Component {
        name: "journal",
        targets: &["backstitch_saga::engine", "backstitch_api::archive_watch"],
    },
    Component {
        name: "connections",
        targets: &["backstitch_api::server", "hyper", "reqwest", "rustls", "tungstenite"],
    },
];

impl Component {
    /// The component of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        COMPONENTS.into_iter().find(|own| own.name == name)
    }

    /// Every name.
    pub(crate) fn names() -> [&'static str; COMPONENTS.len()] {
        COMPONENTS.map(|own| own.name)
    }

    /// Whether lines of a target are its lines.
    pub(crate) fn has(self, target: &str) -> bool {
        self.targets.iter().any(|own| target.starts_with(own))
    }

    /// What has the filter log its lines from a level on.
    fn directives(self, level: &str) -> impl Iterator<Item = String> {
        self.targets.iter().map(move |target| match *target {
            "" => level.to_owned(),
            own => format!("{own}={level}"),
        })
    }
}

/// Levels of components, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<(Component, &'static str)>);

impl Wanted {
    /// Reads levels by component, and notes what is wrong with them below a path.
    pub(crate) fn read(given: &Map<String, Value>, path: &str) -> Result<Self, Vec<Problem>> {
        let mut own = Self::default();
        let mut problems = Vec::new();
        for (name, level) in given {
            let known = LEVELS.into_iter().find(|own| level.as_str() == Some(own));
            let message = match (Component::named(name), known) {
                (Some(component), Some(level)) => {
                    own.0.push((component, level));
                    continue;
                }
                (None, _) => unknown("component", name, &Component::names()),
                (_, None) => {
                    let shown = level.as_str().map_or_else(|| level.to_string(), str::to_owned);
                    unknown("level", &shown, &LEVELS)
                }
            };
            let shown: String = name.chars().take(64).collect();
            problems.push(Problem {
                path: format!("{path}.{shown}"),
                code: codes::BAD_VALUE,
                message,
            });
        }
        if problems.is_empty() { Ok(own) } else { Err(problems) }
    }

    /// Names and levels.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().map(|(component, level)| (component.name, *level))
    }

    /// The directives of the settings, and these behind them: the last of those with the same
    /// target counts.
    pub(crate) fn over(&self, settings: &str) -> String {
        let own = self.0.iter().flat_map(|(component, level)| component.directives(level));
        let all: Vec<_> = std::iter::once(settings.to_owned()).chain(own).collect();
        all.join(",")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(given: Value) -> Result<Wanted, Vec<String>> {
        let given = given.as_object().expect("an object").clone();
        Wanted::read(&given, "levels").map_err(|problems| {
            problems.into_iter().map(|own| format!("{}: {}", own.path, own.message)).collect()
        })
    }

    #[test]
    fn levels_come_behind_those_of_the_settings() {
        let own = read(json!({ "default": "warn", "steps": "trace" })).expect("levels");
        assert_eq!(
            own.over("info,hyper=debug"),
            "info,hyper=debug,warn,backstitch_executors=trace,backstitch_saga::driver=trace"
        );
        assert_eq!(Wanted::default().over("info"), "info");
    }

    #[test]
    fn what_nobody_knows_is_refused_with_what_may_have_been_meant() {
        let wrong = read(json!({ "sagas": "debug", "api": "debig", "runs": 5 }));
        let wrong = wrong.expect_err("three problems");
        assert!(
            wrong.contains(
                &"levels.sagas: unknown component `sagas`; did you mean `saga`?".to_owned()
            )
        );
        assert!(
            wrong.contains(&"levels.api: unknown level `debig`; did you mean `debug`?".to_owned())
        );
        assert_eq!(wrong.len(), 3, "{wrong:?}");
    }
}
