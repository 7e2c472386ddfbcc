//! Which lines of the log somebody wants.

use serde_json::Value;

use super::components::{Component, LEVELS};

/// Which lines are wanted; every one, if nothing is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pick {
    /// At least as grave as this.
    pub(crate) level: Option<&'static str>,
    /// Of this part of the program.
    pub(crate) component: Option<Component>,
    /// About this run.
    pub(crate) execution: Option<String>,
    /// Of this request.
    pub(crate) request: Option<String>,
}

impl Pick {
    /// Whether a line is one of them.
    pub(crate) fn takes(&self, line: &str) -> bool {
        let wants_all = self.level.is_none()
            && self.component.is_none()
            && self.execution.is_none()
            && self.request.is_none();
        wants_all || serde_json::from_str(line).is_ok_and(|line| self.takes_read(&line))
    }

    fn takes_read(&self, line: &Value) -> bool {
        let rank = |word: &str| LEVELS.iter().position(|own| own.eq_ignore_ascii_case(word));
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let says = |name: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| said(line, name).any(|own| own == wanted))
        };
        self.level.is_none_or(|wanted| rank(text("level")) <= rank(wanted))
            && self.component.is_none_or(|own| own.has(text("target")))
            && says("execution_id", &self.execution)
            && says("request_id", &self.request)
    }
}

/// What a line says under a name: itself, and what it is said in.
fn said<'a>(line: &'a Value, name: &'a str) -> impl Iterator<Item = &'a str> {
    let spans = line["spans"].as_array().into_iter().flatten();
    spans.chain([&line["fields"]]).filter_map(move |own| own[name].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_to_be_all_that_is_wanted() {
        let line = json!({
            "level": "INFO", "target": "backstitch_saga::driver",
            "fields": { "message": "m", "execution_id": "exec_1" },
            "span": { "name": "request", "request_id": "r" },
            "spans": [{ "name": "request", "request_id": "r" }],
        });
        let line = line.to_string();
        let component = |name: &str| Some(Component::named(name).expect("a component"));
        let right = Pick {
            level: Some("info"),
            component: component("saga"),
            execution: Some("exec_1".to_owned()),
            request: Some("r".to_owned()),
        };
        assert!(Pick::default().takes(&line) && right.takes(&line));
        assert!(Pick { level: Some("trace"), ..Pick::default() }.takes(&line));
        assert!(Pick { component: component("steps"), ..Pick::default() }.takes(&line));
        for wrong in [
            Pick { level: Some("warn"), ..right.clone() },
            Pick { level: Some("off"), ..right.clone() },
            Pick { component: component("api"), ..right.clone() },
            Pick { execution: Some("exec_2".to_owned()), ..right.clone() },
            Pick { request: Some("exec_1".to_owned()), ..right.clone() },
        ] {
            assert!(!wrong.takes(&line), "{wrong:?}");
        }
    }
}
