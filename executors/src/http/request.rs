//! From the `with` of an `http` step to a request, or what is wrong with it.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value};

use super::status::ExpectedStatus;
use crate::fields::{Fields, Stage, kind, unknown};
use crate::task::{InputProblem, Task};

const FIELDS: [&str; 8] = [
    "method",
    "url",
    "headers",
    "query",
    "body",
    "expect_status",
    "response_bytes_max",
    "follow_redirects",
];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Set by Backstitch on every request, whatever the step says.
const SIGNED_HEADERS: [&str; 3] = ["idempotency-key", "backstitch-attempt", "backstitch-execution"];
/// Where a call stands in a trace, as W3C Trace Context has it.
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";
/// About the connection and the framing of the message, so not a step's to set.
const CONNECTION_HEADERS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
];
/// The longest url, with its query.
const URL_BYTES_MAX: usize = 8 * 1024;
/// The most headers a step may set.
const HEADERS_MAX: usize = 64;

/// A request as a step asks for it.
pub(super) struct Request {
    pub method: Method,
    /// Missing only when a problem says why, or when a template is still to fill it in.
    pub url: Option<Url>,
    pub headers: HeaderMap,
    pub body: Option<String>,
    /// What counts as success; 2xx if the step does not say.
    pub expected: ExpectedStatus,
    pub response_bytes_max: usize,
    pub follow_redirects: bool,
}

/// Reads a `with`. The request is whole when there are no problems and it was rendered.
pub(super) fn read(
    with: &Value,
    stage: Stage,
    response_bytes_max: usize,
) -> (Request, Vec<InputProblem>) {
    let mut fields = Fields::of(with, "", stage, &FIELDS);
    let method = read_method(&mut fields);
    let mut url = if fields.is_open(with) { None } else { read_url(&mut fields) };
    read_query(&mut fields, url.as_mut());
    if url.as_ref().is_some_and(|url| url.as_str().len() > URL_BYTES_MAX) {
        fields.problem("url", format!("is longer than {URL_BYTES_MAX} bytes with its query"));
    }
    let mut headers = read_headers(&mut fields);
    let body = read_body(&fields, &mut headers);
    let expected = read_expected(&mut fields);
    let response_bytes_max = fields
        .number("response_bytes_max", 1, response_bytes_max as u64)
        .map_or(response_bytes_max, |bytes| usize::try_from(bytes).expect("it is at most a usize"));
    let follow_redirects = fields.flag("follow_redirects").unwrap_or(false);
    let request =
        Request { method, url, headers, body, expected, response_bytes_max, follow_redirects };
    (request, fields.into_problems())
}

impl Request {
    /// Adds who asks: the headers by which a service tells a repeat from a new wish, and
    /// people find the run again.
    pub fn sign(&mut self, task: &Task) -> Vec<InputProblem> {
        let mut problems = Vec::new();
        let signature = [
            ("idempotency-key", Some(task.idempotency_key.clone())),
            ("backstitch-attempt", Some(task.attempt.to_string())),
            ("backstitch-execution", task.execution.map(|run| run.to_string())),
        ];
        for (name, text) in signature {
            let Some(text) = text else { continue };
            match HeaderValue::from_str(&text) {
                Ok(value) => drop(self.headers.insert(name, value)),
                Err(_) => problems.push((name.to_owned(), format!("can't be sent: `{text}`"))),
            }
        }
        self.trace(task);
        if task.correlation_id.is_empty() || self.headers.contains_key("x-correlation-id") {
            return problems;
        }
        match HeaderValue::from_str(&task.correlation_id) {
            Ok(value) => drop(self.headers.insert("x-correlation-id", value)),
            Err(_) => problems.push((
                "headers.X-Correlation-ID".to_owned(),
                "can't be sent: the run's correlation id holds control characters".to_owned(),
            )),
        }
        problems
    }

    /// Adds where the call stands in a trace, unless the step says so itself.
    fn trace(&mut self, task: &Task) {
        let Some(trace) = &task.trace else { return };
        if self.headers.contains_key(TRACE_PARENT) {
            return;
        }
        let parent = trace.traceparent().map(|own| HeaderValue::from_str(&own));
        let Some(Ok(parent)) = parent else { return };
        self.headers.insert(TRACE_PARENT, parent);
        // Another's `tracestate` beside our `traceparent` would be about another place.
        self.headers.remove(TRACE_STATE);
        if let (false, Ok(state)) = (trace.state.is_empty(), HeaderValue::from_str(&trace.state)) {
            self.headers.insert(TRACE_STATE, state);
        }
    }
}

fn read_method(fields: &mut Fields<'_>) -> Method {
    let name = fields.text("method").unwrap_or("GET").to_ascii_uppercase();
    if !METHODS.contains(&name.as_str()) {
        fields.problem("method", unknown("method", &name, &METHODS));
    }
    Method::from_bytes(name.as_bytes()).unwrap_or(Method::GET)
}

fn read_url(fields: &mut Fields<'_>) -> Option<Url> {
    if !fields.has("url") {
        fields.problem("url", "is missing");
    }
    let mut url = match Url::parse(fields.text("url")?) {
        Ok(url) => url,
        Err(why) => {
            fields.problem("url", format!("is not a url: {why}"));
            return None;
        }
    };
    if let Err(why) = check_url(&url) {
        fields.problem("url", why);
        return None;
    }
    url.set_fragment(None);
    Some(url)
}

/// What any url must be that is asked, one from a redirect too.
pub(super) fn check_url(url: &Url) -> Result<(), String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with http:// or https://, not {}:", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or password; send an Authorization header".to_owned());
    }
    Ok(())
}

/// Appends the fields of `query`; a list repeats its name, `null` leaves it out.
fn read_query(fields: &mut Fields<'_>, mut url: Option<&mut Url>) {
    for (name, value) in fields.map("query").unwrap_or(&Map::new()) {
        let values = match value {
            Value::Array(values) => values.iter().collect(),
            Value::Null => continue,
            value => vec![value],
        };
        for value in values {
            match (scalar(value), &mut url) {
                (Some(text), Some(url)) => {
                    url.query_pairs_mut().append_pair(name, &text);
                }
                (Some(_), None) => {}
                (None, _) => {
                    let message = "must be a string, number, true, false or a list of those";
                    fields.problem(
                        &format!("query.{name}"),
                        format!("{message}, not {}", kind(value)),
                    );
                }
            }
        }
    }
}

fn read_headers(fields: &mut Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let none = Map::new();
    let given = fields.map("headers").unwrap_or(&none);
    if given.len() > HEADERS_MAX {
        fields.problem("headers", format!("are more than {HEADERS_MAX}"));
    }
    for (name, value) in given.iter().take(HEADERS_MAX) {
        match read_header(fields, name, value) {
            Ok(Some((name, value))) => drop(headers.insert(name, value)),
            Ok(None) => {}
            Err(why) => fields.problem(&format!("headers.{name}"), why),
        }
    }
    headers
}

fn read_header(
    fields: &Fields<'_>,
    name: &str,
    value: &Value,
) -> Result<Option<(HeaderName, HeaderValue)>, String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "is not a header name")?;
    if SIGNED_HEADERS.contains(&name.as_str()) {
        return Err("is set by Backstitch and can't be overridden".to_owned());
    }
    if CONNECTION_HEADERS.contains(&name.as_str()) {
        return Err("belongs to the connection and can't be set".to_owned());
    }
    if value.is_null() || fields.is_open(value) {
        return Ok(None);
    }
    let text = scalar(value)
        .ok_or_else(|| format!("must be a string, number, true or false, not {}", kind(value)))?;
    let value = HeaderValue::from_str(&text).map_err(|_| "holds control characters")?;
    Ok(Some((name, value)))
}

/// A string goes out as it is, anything else as JSON; each names its type unless the step does.
fn read_body(fields: &Fields<'_>, headers: &mut HeaderMap) -> Option<String> {
    let (body, content_type) = match fields.get("body")? {
        Value::String(text) => (text.clone(), "text/plain; charset=utf-8"),
        value => (value.to_string(), "application/json"),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    Some(body)
}

fn read_expected(fields: &mut Fields<'_>) -> ExpectedStatus {
    let mut expected = ExpectedStatus::default();
    let Some(given) = fields.get("expect_status") else {
        return expected;
    };
    let each = match given {
        Value::Array(each) => each.iter().collect(),
        one => vec![one],
    };
    if each.is_empty() {
        fields.problem("expect_status", "is empty; leave it out to expect 2xx");
    }
    for value in each.into_iter().filter(|value| !fields.is_open(value)).collect::<Vec<_>>() {
        if let Err(why) = expected.add(value) {
            fields.problem("expect_status", why);
        }
    }
    expected
}

/// A value as the text of a header or of a query.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
