//! The document as one HTML page, readable without scripts and without a network.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::codes;
use super::types::{escaped, is_required, prose, type_of};

/// What each code means, as the pages of errors list it.
const CODES: &str = include_str!("../../../../docs/errors/README.md");
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page of a document.
pub(super) fn of(document: &Value) -> String {
    let mut page = String::new();
    put(&mut page, &head(document));
    put(&mut page, &contents(document));
    put(&mut page, "<main>");
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = tag["name"].as_str().unwrap_or_default();
        let about = prose(tag["description"].as_str().unwrap_or_default());
        let anchor = anchor(name);
        put(&mut page, &format!("<section id=\"{anchor}\"><h2>{name}</h2><p>{about}</p>"));
        for (path, method, own) in operations(document, name) {
            put(&mut page, &operation(document, path, method, own));
        }
        put(&mut page, "</section>");
    }
    put(&mut page, &schemas(document));
    put(&mut page, &errors());
    put(&mut page, "</main></body></html>\n");
    page
}

fn put(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("texts take all");
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

/// The operations of a tag: path, method, and what is said.
fn operations<'d>(
    document: &'d Value,
    tag: &'d str,
) -> impl Iterator<Item = (&'d str, &'static str, &'d Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let each = paths.flat_map(|(path, item)| {
        let own = move |method| item.get(method).map(|own| (path.as_str(), method, own));
        METHODS.into_iter().filter_map(own)
    });
    each.filter(move |(_, _, own)| own["tags"][0] == tag)
}

fn head(document: &Value) -> String {
    let info = &document["info"];
    let [title, version] = ["title", "version"].map(|name| info[name].as_str().unwrap_or_default());
    let about = prose(info["description"].as_str().unwrap_or_default());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} API</title><link rel=\"stylesheet\" \
         href=\"docs/page.css\"><script src=\"docs/page.js\" defer></script></head><body><header><h1>{title} \
         API <small>{version}</small></h1><p>{about}</p><p>As a document for programs: <a \
         href=\"openapi.json\">openapi.json</a> (OpenAPI 3.1). A request says who it is with \
         <code>Authorization: Bearer</code> and an API key or a token, if the server asks for that.</p>\
         <p id=\"search\" hidden><input type=\"search\" aria-label=\"Search operations and schemas\" \
         placeholder=\"Search\"> <span role=\"status\"></span></p></header>"
    )
}

fn contents(document: &Value) -> String {
    let names = document["tags"].as_array().into_iter().flatten();
    let names = names.filter_map(|tag| tag["name"].as_str());
    let links = names.map(|name| format!("<li><a href=\"#{}\">{name}</a></li>", anchor(name)));
    let further =
        "<li><a href=\"#schemas\">Schemas</a></li><li><a href=\"#errors\">Error codes</a></li>";
    format!("<nav aria-label=\"Contents\"><ul>{}{further}</ul></nav>", links.collect::<String>())
}

fn operation(document: &Value, path: &str, method: &str, own: &Value) -> String {
    let id = own["operationId"].as_str().unwrap_or_default();
    let summary = prose(own["summary"].as_str().unwrap_or_default());
    let about = own["description"].as_str().map(|own| format!("<p>{}</p>", prose(own)));
    let word = method.to_uppercase();
    format!(
        "<article id=\"{id}\"><h3><a href=\"#{id}\"><b class=\"{method}\">{word}</b> <code>{}</code></a></h3>\
         <p>{summary} <small><code>{id}</code></small></p>{}{}{}{}{}</article>",
        escaped(path),
        about.unwrap_or_default(),
        permission(own),
        parameters(document, own),
        body(document, (path, &word), own),
        answers(own),
    )
}

fn permission(own: &Value) -> String {
    let Some(word) = own["x-permission"].as_str() else {
        return "<p>Open to everybody.</p>".to_owned();
    };
    let further = own["x-further-permissions"].as_array().into_iter().flatten();
    let further = further.map(|own| {
        let [word, what_for] =
            ["permission", "for"].map(|name| own[name].as_str().unwrap_or_default());
        format!("; {} also <code>{word}</code>", prose(what_for))
    });
    format!("<p>Permission: <code>{word}</code>{}</p>", further.collect::<String>())
}

fn parameters(document: &Value, own: &Value) -> String {
    let Some(listed) = own["parameters"].as_array() else { return String::new() };
    let row = |named: &Value| {
        let own = resolved(document, named);
        let [name, place, about] =
            ["name", "in", "description"].map(|name| own[name].as_str().unwrap_or_default());
        let default = own["schema"].get("default");
        let default =
            default.map(|own| format!(" Default: <code>{}</code>.", escaped(&own.to_string())));
        format!(
            "<tr><td><code>{}</code><td>{place}<td>{}<td>{}{}</tr>",
            escaped(name),
            type_of(&own["schema"]),
            prose(about),
            default.unwrap_or_default(),
        )
    };
    let rows: String = listed.iter().map(row).collect();
    format!(
        "<h4>Parameters</h4><div class=\"wide\"><table><tr><th>name<th>in<th>type<th>meaning</tr>{rows}</table></div>"
    )
}

/// What a reference within the document leads to.
fn resolved<'d>(document: &'d Value, named: &'d Value) -> &'d Value {
    let path = named["$ref"].as_str().and_then(|own| own.strip_prefix('#'));
    path.and_then(|path| document.pointer(path)).unwrap_or(named)
}

fn body(document: &Value, (path, word): (&str, &str), own: &Value) -> String {
    let Some(content) = own["requestBody"]["content"].as_object() else { return String::new() };
    let kind = content
        .iter()
        .map(|(kind, of)| format!("<li><code>{kind}</code>: {}</li>", type_of(&of["schema"])));
    let needed = if own["requestBody"]["required"] == true { "required" } else { "optional" };
    let example = content.get("application/json").map(|own| resolved(document, &own["schema"]));
    let example = example.and_then(|own| own["examples"].get(0)).map(|own| {
        let text = serde_json::to_string_pretty(own).expect("it was read from JSON");
        let text = escaped(&text.replace('\'', "'\\''"));
        let path = escaped(path);
        format!(
            "<pre>curl -X {word} 'http://127.0.0.1:8080{path}' \\\n  -H 'Content-Type: application/json' \\\n  \
             -d '{text}'</pre>"
        )
    });
    let kinds: String = kind.collect();
    format!("<h4>Body, {needed}</h4><ul>{kinds}</ul>{}", example.unwrap_or_default())
}

fn answers(own: &Value) -> String {
    let mut rows = String::new();
    for (status, answer) in own["responses"].as_object().into_iter().flatten() {
        if let Some(codes) = answer["x-error-codes"].as_array() {
            let codes = codes.iter().filter_map(Value::as_str);
            let links = codes.map(|code| format!("<a href=\"#error-{code}\">{code}</a> "));
            put(&mut rows, &format!("<tr><td>{status}<td>{}</tr>", links.collect::<String>()));
            continue;
        }
        let about = prose(answer["description"].as_str().unwrap_or_default());
        let kinds = answer["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(kind, of)| format!(" <code>{kind}</code>: {}.", type_of(&of["schema"])));
        put(&mut rows, &format!("<tr><td>{status}<td>{about}{}</tr>", kinds.collect::<String>()));
    }
    format!("<h4>Answers</h4><div class=\"wide\"><table>{rows}</table></div>")
}

fn schemas(document: &Value) -> String {
    let mut page = "<section id=\"schemas\"><h2>Schemas</h2>".to_owned();
    for (name, own) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let about = own["description"].as_str().map(|own| format!("<p>{}</p>", prose(own)));
        let fields = match own["properties"].as_object() {
            None => format!("<p>{}</p>", type_of(own)),
            Some(fields) => {
                let row = |(field, of): (&String, &Value)| {
                    let need = if is_required(own, field) { "" } else { "optional" };
                    let about = prose(of["description"].as_str().unwrap_or_default());
                    format!(
                        "<tr><td><code>{field}</code><td>{need}<td>{}<td>{about}</tr>",
                        type_of(of)
                    )
                };
                let rows: String = fields.iter().map(row).collect();
                format!("<div class=\"wide\"><table>{rows}</table></div>")
            }
        };
        let about = about.unwrap_or_default();
        put(
            &mut page,
            &format!("<article id=\"schema-{name}\"><h3>{name}</h3>{about}{fields}</article>"),
        );
    }
    page + "</section>"
}

fn errors() -> String {
    let meaning = |code: &str| {
        let line = CODES.lines().find(|line| line.starts_with(&format!("| [{code}]")));
        let cell = line.and_then(|line| line.trim_end_matches(['|', ' ']).rsplit(" | ").next());
        cell.unwrap_or_default().to_owned()
    };
    let row = |(code, status): &(&str, axum::http::StatusCode)| {
        let status = status.as_u16();
        format!(
            "<tr id=\"error-{code}\"><td><code>{code}</code><td>{status}<td>{}</tr>",
            prose(&meaning(code))
        )
    };
    let rows: String = codes::ALL.iter().map(row).collect();
    format!(
        "<section id=\"errors\"><h2>Error codes</h2><p>Each has a page of its own in <code>docs/errors</code>.</p>\
         <div class=\"wide\"><table>{rows}</table></div></section>"
    )
}
