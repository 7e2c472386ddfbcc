//! Every route of the API is in `docs/api.md` or `docs/documents-paths.md` with its method, and every path that the documents
//! name is served.
//!
//! A document names a path in a code span or at the beginning of a line of a code block:
//! `GET /api/v1/x/{id}`, or without the method; `...` stands for what it begins with.

use std::collections::BTreeSet;

use backstitch_api::http;

use super::sources::{self, Source};

const API: &str = "docs/api.md";
/// The pages that tell of routes.
const TELL: [&str; 2] = [API, "docs/documents-paths.md"];
/// Where routers are made of declared routes.
const DECLARATIONS: &str = "api/src/http/routes.rs";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A path, and the method if it is said.
type Named = (Option<&'static str>, String);

fn problems(routes: &[(&'static str, &str)], sources: &[Source]) -> Vec<String> {
    let routes: BTreeSet<_> = routes.iter().copied().collect();
    let pages = sources.iter().filter(|source| is_page(&source.path));
    let (mut problems, mut told) = (Vec::new(), Vec::new());
    for page in pages {
        let named = named(&page.text);
        for (method, path) in &named {
            let fits = |own: &&(&str, &str)| {
                method.is_none_or(|method| method == own.0) && is_served(path, own.1)
            };
            if !routes.iter().any(|own| fits(&own)) {
                let method = method.map_or_else(String::new, |method| format!("{method} "));
                problems.push(format!("{}: `{method}{path}` is not served", page.path));
            }
        }
        if TELL.contains(&page.path.as_str()) {
            told.extend(named);
        }
    }
    let is_told = |own: &&(&str, &str)| {
        told.iter().any(|(method, path)| *method == Some(own.0) && tells(path, own.1))
    };
    let missing = routes.iter().filter(|own| !is_told(own));
    problems.extend(missing.map(|(method, path)| format!("{API}: `{method} {path}` is missing")));
    problems
}

fn is_page(path: &str) -> bool {
    path == "README.md" || (path.starts_with("docs/") && path.ends_with(".md"))
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
fn only_declared_routes_are_served() {
    let by_hand = |source: &&Source| {
        let own = source.path.starts_with("api/src/http/") && source.is_rust();
        own && source.path != DECLARATIONS && source.text.contains(".route(")
    };
    let sources = sources::all();
    let problems: Vec<_> = (sources.iter().filter(by_hand))
        .map(|source| format!("{}: declare it in `Routes`, with its permission", source.path))
        .collect();
    super::assert_none("routes without a guard", &problems);
}

#[test]
fn every_route_is_documented_and_every_documented_path_is_served() {
    let routes: Vec<_> = http::routes().iter().map(|own| (own.method, own.path)).collect();
    super::assert_none("routes and documents differ", &problems(&routes, &sources::all()));
}

#[test]
fn routes_and_paths_that_have_no_other_side_are_found() {
    let routes = [
        ("GET", "/api/v1/things/{thing_id}"),
        ("DELETE", "/api/v1/things/{thing_id}"),
        ("POST", "/api/v1/things"),
    ];
    let page = "| `GET /api/v1/things/{id}?form=` | one |\n`POST\n/api/v1/things`, `.../{id}`, `/v2/x`\n\
                ```http\nPUT /api/v1/things/7\n{ \"a\": 1 }\n```\n`GET .../parts/all`, `/api/v1/thing`";
    let found = problems(
        &routes,
        &[
            Source::new("docs/api.md", page),
            Source::new("docs/more.md", "`DELETE /api/v1/things/ID`, `POST /api/v1/things/ID`"),
        ],
    );
    assert_eq!(
        found,
        [
            "docs/api.md: `PUT /api/v1/things/7` is not served",
            "docs/api.md: `GET .../parts/all` is not served",
            "docs/api.md: `/api/v1/thing` is not served",
            "docs/more.md: `POST /api/v1/things/ID` is not served",
            "docs/api.md: `DELETE /api/v1/things/{thing_id}` is missing",
        ]
    );
}
