//! Every route of the API is in `docs/api.md` with its method, and every path that the documents
//! name is served.
//!
//! A document names a path in a code span or at the beginning of a line of a code block:
//! `GET /api/v1/x/{id}`, or without the method; `...` stands for what it begins with.

use std::collections::BTreeSet;

use super::sources::{self, Source};

const API: &str = "docs/api.md";
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// A path, and the method if it is said.
type Named = (Option<&'static str>, String);

fn problems(sources: &[Source]) -> Vec<String> {
    let routes: BTreeSet<_> = (sources.iter())
        .filter(|source| source.is_rust() && source.path.starts_with("api/src/http/"))
        .flat_map(|source| routes(&source.text))
        .collect();
    let pages = sources.iter().filter(|source| is_page(&source.path));
    let mut problems = Vec::new();
    for page in pages {
        let named = named(&page.text);
        for (method, path) in &named {
            let fits = |own: &&(&str, String)| {
                method.is_none_or(|method| method == own.0) && is_served(path, &own.1)
            };
            if !routes.iter().any(|own| fits(&own)) {
                let method = method.map_or_else(String::new, |method| format!("{method} "));
                problems.push(format!("{}: `{method}{path}` is not served", page.path));
            }
        }
        if page.path == API {
            let told = |own: &&(&str, String)| {
                named.iter().any(|(method, path)| *method == Some(own.0) && tells(path, &own.1))
            };
            let missing = routes.iter().filter(|own| !told(own));
            problems.extend(
                missing.map(|(method, path)| format!("{API}: `{method} {path}` is missing")),
            );
        }
    }
    problems
}

fn is_page(path: &str) -> bool {
    path == "README.md" || (path.starts_with("docs/") && path.ends_with(".md"))
}

/// Methods and paths of the calls `.route("PATH", get(..).post(..))`.
fn routes(text: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for call in text.split(".route(").skip(1) {
        let Some((_, rest)) = call.split_once('"') else { continue };
        let Some((path, rest)) = rest.split_once('"') else { continue };
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap_or(rest.len())];
        let is_called = |method: &&str| {
            let call = format!("{}(", method.to_lowercase());
            handlers
                .match_indices(&call)
                .any(|(at, _)| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        found.extend(METHODS.into_iter().filter(is_called).map(|own| (own, path.to_owned())));
    }
    found
}

/// Every path that a page names, without its query.
fn named(text: &str) -> Vec<Named> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            found.extend(part.lines().filter_map(path_of).filter(|(method, _)| method.is_some()));
        } else {
            let spans = part.split('`').skip(1).step_by(2);
            found.extend(spans.filter_map(path_of));
        }
    }
    found
}

fn path_of(words: &str) -> Option<Named> {
    let mut words = words.split_whitespace();
    let first = words.next()?;
    let method = METHODS.into_iter().find(|method| *method == first);
    let path = if method.is_some() { words.next()? } else { first };
    let begins: &[&str] = if method.is_some() { &["/", ".../"] } else { &["/api/v1/", ".../"] };
    let path = path.split(['?', '[']).next().unwrap_or_default();
    begins.iter().any(|own| path.starts_with(own)).then(|| (method, path.to_owned()))
}

/// Whether a path of a document leads to a route: where that has a parameter, anything does.
fn is_served(path: &str, route: &str) -> bool {
    agree(path, route, |own, of_route| own == of_route || of_route.starts_with('{'))
}

/// Whether it is that route, with a parameter where that has one.
fn tells(path: &str, route: &str) -> bool {
    agree(path, route, |own, of_route| {
        own == of_route || (own.starts_with('{') && of_route.starts_with('{'))
    })
}

fn agree(path: &str, route: &str, segments_agree: impl Fn(&str, &str) -> bool) -> bool {
    let mut of_route: Vec<_> = route.split('/').skip(1).collect();
    let own: Vec<_> = match path.strip_prefix("...") {
        None => path.split('/').skip(1).collect(),
        Some(end) => {
            let own: Vec<_> = end.split('/').skip(1).collect();
            let before = of_route.len().saturating_sub(own.len());
            of_route.drain(..before);
            own
        }
    };
    own.len() == of_route.len()
        && own.iter().zip(&of_route).all(|(own, of)| segments_agree(own, of))
}

#[test]
fn every_route_is_documented_and_every_documented_path_is_served() {
    super::assert_none("routes and documents differ", &problems(&sources::all()));
}

#[test]
fn routes_and_paths_that_have_no_other_side_are_found() {
    let code = r#"
        Router::new()
            .route("/api/v1/things/{thing_id}", get(things::target).delete(things::end))
            .route(
                "/api/v1/things",
                post(things::make),
            )
    "#;
    let page = "| `GET /api/v1/things/{id}?form=` | one |\n`POST\n/api/v1/things`, `.../{id}`, `/v2/x`\n\
                ```http\nPUT /api/v1/things/7\n{ \"a\": 1 }\n```\n`GET .../parts/all`, `/api/v1/thing`";
    let found = problems(&[
        Source::new("api/src/http/mod.rs", code),
        Source::new("api/src/server.rs", ".route(\"/elsewhere\", get(x))"),
        Source::new("docs/api.md", page),
        Source::new("docs/more.md", "`DELETE /api/v1/things/ID`, `POST /api/v1/things/ID`"),
    ]);
    assert_eq!(
        found,
        [
            "docs/api.md: `PUT /api/v1/things/7` is not served",
            "docs/api.md: `GET .../parts/all` is not served",
            "docs/api.md: `/api/v1/thing` is not served",
            "docs/api.md: `DELETE /api/v1/things/{thing_id}` is missing",
            "docs/more.md: `POST /api/v1/things/ID` is not served",
        ]
    );
}
