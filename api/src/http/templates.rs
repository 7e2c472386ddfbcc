//! `/api/v1/templates`, and workflows made from them.

use std::sync::Arc;

use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use backstitch_core::definition::problem::codes as problems;
use backstitch_core::forms::slug;
use backstitch_saga::Error;
use backstitch_saga::handle::{Defined, NAMESAKES_MAX};
use backstitch_saga::partition::Expected;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::document::Document;
use super::fields::Fields;
use super::path::PathId;
use super::preconditions::tagged;
use super::query::Parameters;
use super::refusal::Refusal;
use super::window::{self, Window};
use super::workflows::defined_json;
use super::{answer, codes};
use crate::templates::{ALL, CUSTOMIZATIONS, Template};

const FIELDS: [&str; 2] = ["template_name", "customizations"];

/// `GET /api/v1/templates`: every template, by name.
pub(super) async fn list(uri: Uri) -> Result<Response, Refusal> {
    let window = Window::of_short(&Parameters::of(&uri, &window::PARAMETERS)?)?;
    let part = window.counted_part(ALL.to_vec())?;
    Ok(answer::ok(&window.told(json!({}), "templates", &part, |own| row(*own))))
}

/// `GET /api/v1/templates/{name}`: one with its definition.
pub(super) async fn show(PathId(name): PathId) -> Result<Response, Refusal> {
    let own = named(&name)?;
    let mut shown = row(own);
    shown["examples"] = own.examples().into();
    shown["definition"] = own.definition().into();
    shown["source"] = own.text.into();
    Ok(answer::ok(&shown))
}

/// `POST /api/v1/workflows/from-template`: a workflow as any other.
pub(super) async fn define(caller: Caller, document: Document) -> Result<Response, Refusal> {
    let defined = defined(&caller, document).await?;
    let status = if defined.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/workflows/{}", defined.workflow);
    let response = answer::json(status, &defined_json(&defined));
    Ok(tagged(answer::with_header(response, LOCATION, &location), &defined.digest))
}

fn named(name: &str) -> Result<Template, Refusal> {
    Template::named(name).map_err(|why| Refusal::new(codes::NOT_FOUND, why))
}

fn row(own: Template) -> Value {
    let definition = own.definition();
    let steps = definition["steps"].as_array().map_or(0, Vec::len);
    let field = |name: &str| definition.get(name).cloned().unwrap_or_default();
    json!({
        "name": own.name,
        "title": field("name"),
        "description": field("description"),
        "tags": field("tags"),
        "steps": steps,
        "parameters": own.parameters(),
        "variables": definition.get("variables").cloned().unwrap_or_else(|| json!({})),
        "customizations": CUSTOMIZATIONS,
    })
}

/// Makes a workflow of a template. An id that is asked for must be free; one that is made from a
/// name is counted up until it is.
///
/// # Errors
/// 404 for a template that there is not, 412 for an id that is taken, 422 with every problem.
pub(super) async fn defined(caller: &Caller, document: Document) -> Result<Defined, Refusal> {
    let mut fields = Fields::of(document, &FIELDS);
    let name = fields.text("template_name");
    if name.is_none() {
        let message = "is required: the name of a template".to_owned();
        fields.problem("template_name", problems::MISSING_FIELD, message);
    }
    let given = fields.take("customizations");
    let given = given.and_then(|own| fields.object("customizations", own, &CUSTOMIZATIONS));
    let given = given.unwrap_or_default();
    if given.get("id").is_some_and(|own| !own.is_string()) {
        let message = "must be text".to_owned();
        fields.problem("customizations.id", problems::WRONG_TYPE, message);
    }
    if given.get("variables").is_some_and(|own| !own.is_object()) {
        let message = "must be an object".to_owned();
        fields.problem("customizations.variables", problems::WRONG_TYPE, message);
    }
    let template = name.map(|name| named(&name)).transpose()?;
    let made = template.map(|own| own.customized(&given));
    let made = match made {
        Some(Ok(made)) => made,
        Some(Err(further)) => {
            fields.further(further);
            Map::new()
        }
        None => Map::new(),
    };
    fields.finish()?;
    let asked = given.get("id").and_then(Value::as_str).map(str::to_owned);
    recorded(caller, made, asked).await
}

async fn recorded(
    caller: &Caller,
    mut made: Map<String, Value>,
    asked: Option<String>,
) -> Result<Defined, Refusal> {
    let (engine, namespace) = (caller.engine()?, caller.namespace());
    let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let word = Some(slug(&text("name"))).filter(|slug| !slug.is_empty());
    let base = asked.clone().or(word).unwrap_or_else(|| text("id"));
    for number in 1..=NAMESAKES_MAX {
        let id = if number == 1 { base.clone() } else { format!("{base}-{number}") };
        made.insert("id".to_owned(), id.as_str().into());
        let definition = Value::Object(made.clone());
        let current = engine.catalog().latest(namespace, &id).map(|own| own.plan.digest);
        let expected = match current {
            None => Expected::Nothing,
            Some(digest) if engine.compile(namespace, &definition)?.plan.digest == digest => {
                Expected::OneOf(vec![digest])
            }
            Some(_) if asked.is_none() => continue,
            Some(_) => {
                let workflow = Arc::from(id);
                return Err(Error::NotExpected { workflow, current }.into());
            }
        };
        let wish = (expected, &*caller.actor());
        match engine.define_if(namespace, &definition, None, wish).await {
            // Somebody else has just taken the id.
            Err(Error::NotExpected { .. }) if asked.is_none() => {}
            defined => return Ok(defined?),
        }
    }
    let message = format!("{NAMESAKES_MAX} other workflows have this name; give an `id`");
    Err(Refusal::new(codes::PRECONDITION_FAILED, message))
}
