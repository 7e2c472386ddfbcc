//! What is said of each operation, as `api/openapi` has it: a file for each area of the API, with its
//! operations, their parameters, and the JSON Schemas of bodies and answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The files, in the order in which their areas are shown. The first one is what the others share.
const FILES: [&str; 14] = [
    include_str!("../../../openapi/common.json"),
    include_str!("../../../openapi/workflows.json"),
    include_str!("../../../openapi/executions.json"),
    include_str!("../../../openapi/control.json"),
    include_str!("../../../openapi/letters.json"),
    include_str!("../../../openapi/history.json"),
    include_str!("../../../openapi/admin.json"),
    include_str!("../../../openapi/configuration.json"),
    include_str!("../../../openapi/server.json"),
    include_str!("../../../openapi/reference.json"),
    include_str!("../../../openapi/documents.json"),
    include_str!("../../../openapi/unified.json"),
    include_str!("../../../openapi/ecosystem.json"),
    include_str!("../../../openapi/swarmguard.json"),
];

/// An area of the API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Area {
    /// Its name; none if it has no operations of its own.
    pub(super) tag: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    /// By method and path, as in `GET /api/v1/executions`.
    #[serde(default)]
    pub(super) operations: BTreeMap<String, Operation>,
    /// OpenAPI's parameters, by the names that operations list.
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    /// JSON Schemas by name.
    #[serde(default)]
    pub(super) schemas: Map<String, Value>,
}

/// What is said of a route, beside what its declaration says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    /// By which generated clients call it; unique.
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) description: Option<String>,
    /// Names of parameters: of the path, the query and headers.
    #[serde(default)]
    pub(super) parameters: Vec<String>,
    pub(super) body: Option<Body>,
    /// Answers that are no errors, by status.
    pub(super) answers: BTreeMap<String, Answer>,
    /// Codes of errors beside those that follow from the route.
    #[serde(default)]
    pub(super) refuses: Vec<String>,
}

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Body {
    /// Optional JSON with a schema.
    Schema(String),
    /// Anything else.
    Said(SaidBody),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SaidBody {
    /// The name of a schema; text if there is none.
    pub(super) schema: Option<String>,
    /// The media type, if it is not JSON.
    #[serde(rename = "type")]
    pub(super) media_type: Option<String>,
    #[serde(default)]
    pub(super) required: bool,
    /// Whether it is commonly written in YAML.
    #[serde(default)]
    pub(super) yaml: bool,
}

/// An answer that is no error.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// JSON with a schema.
    Schema(String),
    /// Anything else.
    Said(SaidAnswer),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SaidAnswer {
    pub(super) description: String,
    /// The name of the schema of its JSON.
    pub(super) schema: Option<String>,
    /// Schemas by other media types.
    #[serde(default)]
    pub(super) content: Map<String, Value>,
}

/// Every area.
pub(super) fn all() -> Vec<Area> {
    let read = |text| serde_json::from_str(text).expect("the tests read every area");
    FILES.map(read).into()
}
