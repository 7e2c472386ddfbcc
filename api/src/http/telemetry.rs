//! Metrics: the recorder, what is counted of HTTP requests, and how they are printed.
//!
//! Labels are bounded: the route's template and never the path, the status and never the text.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use backstitch_saga::metrics::kept_beside;

use super::documents::gauges;
use super::query::Parameters;
use super::refusal::Refusal;
use super::{App, codes};
use crate::archive_watch;
use crate::log;
use crate::settings::MetricNames;
use crate::traffic::Traffic;

/// Requests answered, by `method`, `route` and `status`.
pub const REQUESTS: &str = "backstitch_http_requests_total";
/// Seconds to an answer, by `method` and `route`.
pub const REQUEST_SECONDS: &str = "backstitch_http_request_duration_seconds";

/// Durable commits that a view's tree has not applied, by `view`.
pub const VIEW_LAG_COMMITS: &str = "backstitch_view_lag_commits";
/// Seconds that a view's tree has been behind, by `view`.
pub const VIEW_LAG_SECONDS: &str = "backstitch_view_lag_seconds";

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Upper bounds of the buckets of durations, in milliseconds.
const MS_BUCKETS: [f64; 14] = [
    0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 100.0, 250.0, 1_000.0, 5_000.0, 30_000.0, 300_000.0,
];
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was recorded in this process. The first call sets the recorder up, for the whole
/// process; another one that is in place already is left there, and this prints nothing.
pub fn recorded() -> &'static PrometheusHandle {
    static RECORDED: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let suffix = Matcher::Suffix("_duration_seconds".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(suffix, &SECONDS_BUCKETS)
            .expect("there are buckets")
            .set_buckets_for_metric(Matcher::Suffix("_ms".to_owned()), &MS_BUCKETS)
            .expect("there are buckets")
            .build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is in place; /metrics stays empty");
        }
        // The server's life begins here.
        traffic();
        metrics::describe_counter!(REQUESTS, "requests answered");
        metrics::describe_counter!(super::rates::RATE_LIMITED, "requests of who asked too often");
        metrics::describe_counter!(super::backups::BACKUPS, "backups that ended");
        metrics::describe_histogram!(REQUEST_SECONDS, "seconds to an answer");
        metrics::describe_gauge!(VIEW_LAG_COMMITS, "durable commits a view's tree lacks");
        metrics::describe_gauge!(VIEW_LAG_SECONDS, "seconds a view's tree has been behind");
        archive_watch::describe();
        super::alarms::describe();
        gauges::describe();
        log::describe();
        handle
    })
}

/// The requests of the last minute, of the whole process as what is recorded is.
pub fn traffic() -> &'static Traffic {
    static TRAFFIC: OnceLock<Traffic> = OnceLock::new();
    TRAFFIC.get_or_init(Traffic::default)
}

/// `GET /metrics`: with the names of the documents, unless only our own are asked for or configured.
pub(super) async fn show(State(app): State<App>, uri: Uri) -> Result<Response, Refusal> {
    if !app.about().metrics {
        return Err(Refusal::new(codes::NOT_FOUND, "metrics are off: see the setting `metrics`"));
    }
    let asked = Parameters::of(&uri, &["names"])?;
    let names =
        asked.word("names", &MetricNames::WORDS.map(|(word, _)| word), MetricNames::of_word)?;
    if let Ok(engine) = app.engine() {
        let (contents, bytes) = engine.journal().kept_beside_all();
        kept_beside(contents, bytes);
        engine.record_waiting();
    }
    let recorded = recorded();
    if let Ok(engine) = app.engine() {
        for view in engine.views() {
            let lag = |number: u64| u32::try_from(number).map_or(f64::MAX, f64::from);
            let word = view.view.word();
            metrics::gauge!(VIEW_LAG_COMMITS, "view" => word).set(lag(view.lag_commits));
            metrics::gauge!(VIEW_LAG_SECONDS, "view" => word).set(lag(view.lag_ms) / 1_000.0);
        }
    }
    super::alarms::record(&app);
    gauges::record(&app);
    recorded.run_upkeep();
    let all = recorded.render();
    let text = match names.unwrap_or(app.about().metric_names) {
        MetricNames::All => all,
        MetricNames::Own => gauges::without_documents(&all),
    };
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// Counts and times every request.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = method_word(request.method());
    let began = Instant::now();
    let response = next.run(request).await;
    let took = began.elapsed();
    traffic().answered(response.status().is_server_error(), took);
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str).to_owned();
    let status = response.status().as_str().to_owned();
    metrics::histogram!(REQUEST_SECONDS, "method" => method, "route" => route.clone())
        .record(took.as_secs_f64());
    metrics::counter!(REQUESTS, "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}

/// A client may invent methods; labels stay bounded.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
