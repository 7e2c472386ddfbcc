//! What a translation has made so far: problems, warnings, and where in the submitted document
//! each part of the canonical form comes from.

use serde_json::Value;

use crate::definition::problem::{Problem, Problems, codes};

/// The notes of a translation.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub problems: Problems,
    pub warnings: Problems,
    /// Paths of the canonical form and of the document; the longest that fits counts.
    places: Vec<(String, String)>,
    /// Paths of the canonical form whose text was rewritten, and what it reads now.
    rewritten: Vec<(String, String)>,
}

impl Draft {
    /// Notes where a part of the canonical form lies in the document.
    pub fn lies_at(&mut self, canonical: impl Into<String>, source: impl Into<String>) {
        self.places.push((canonical.into(), source.into()));
    }

    /// Notes where a list lies that its author did not write: whole in what it follows from.
    pub fn all_lie_at(&mut self, canonical: &str, count: usize, source: &str) {
        self.lies_at(canonical, source);
        (0..count).for_each(|at| self.lies_at(format!("{canonical}[{at}]"), source));
    }

    /// Notes that a text was rewritten.
    pub fn reads(&mut self, canonical: &str, now: &str) {
        self.rewritten.push((canonical.to_owned(), now.to_owned()));
    }

    /// Warns of a field that means nothing yet.
    pub fn not_in_force(&mut self, path: &str, message: &str) {
        self.warnings.add(path, codes::NOT_IN_FORCE, message);
    }

    /// The path of the document for one of the canonical form.
    fn source_of(&self, canonical: &str) -> String {
        let below = |from: &str| match canonical.strip_prefix(from) {
            Some(rest) if from.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']) => {
                Some(rest.to_owned())
            }
            _ => None,
        };
        let fitting = self.places.iter().filter_map(|(from, to)| Some((from, to, below(from)?)));
        // Of equally long ones the first was the nearest to the author's words.
        let longest = fitting.rev().max_by_key(|(from, _, _)| from.len());
        match longest {
            Some((from, to, rest)) if from.is_empty() && !rest.is_empty() => match to.as_str() {
                "" => rest,
                to => format!("{to}.{rest}"),
            },
            Some((_, to, rest)) => format!("{to}{rest}"),
            None => canonical.to_owned(),
        }
    }

    /// A problem of the canonical form as one of the document.
    pub fn at_source(&self, problem: Problem) -> Problem {
        let Problem { path: canonical, code, mut message } = problem;
        let path = self.source_of(&canonical);
        if code == codes::MISSING_FIELD {
            let name = path.rsplit('.').next().unwrap_or_default();
            message = format!("`{name}` is required");
        }
        if code == codes::DUPLICATE_ID {
            message = message.replace("steps[", &format!("{}[", self.source_of("steps")));
        }
        if let Some((_, now)) = self.rewritten.iter().find(|(at, _)| *at == canonical) {
            let shown: String = now.chars().take(200).collect();
            message = format!("{message}; it is read as `{shown}`");
        }
        Problem { path, code, message }
    }

    /// All problems: the form's own, and those of the canonical form at places where the form
    /// itself had nothing to say.
    pub fn all(self, canonical: Vec<Problem>, document: &Value) -> Vec<Problem> {
        let moved = canonical.into_iter().map(|problem| {
            if self.places.is_empty() {
                return problem;
            }
            let problem = self.at_source(problem);
            Problem { path: within(document, &problem.path).to_owned(), ..problem }
        });
        let moved: Vec<Problem> = moved.collect();
        let mut all = self.problems.into_list();
        let own = all.len();
        for problem in moved {
            let is_said = all[..own].iter().any(|said| is_at_or_below(&problem.path, &said.path));
            if !is_said && !all.contains(&problem) {
                all.push(problem);
            }
        }
        all
    }
}

/// As much of a path as leads somewhere in the document, or to a field that is missing there.
fn within<'p>(document: &Value, path: &'p str) -> &'p str {
    let (mut at, mut begin) = (document, 0);
    while begin < path.len() {
        let own = &path[begin..];
        let length = own[1..].find(['.', '[']).map_or(own.len(), |length| length + 1);
        let part = own[..length].trim_matches(['.', '[', ']']);
        let next = match at {
            Value::Object(fields) => fields.get(part),
            Value::Array(items) => part.parse().ok().and_then(|nth: usize| items.get(nth)),
            _ => return &path[..begin],
        };
        begin += length;
        match next {
            Some(next) => at = next,
            None if at.is_object() => return &path[..begin],
            None => return &path[..begin - length],
        }
    }
    path
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
