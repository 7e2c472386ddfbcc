//! Document 002, the orchestrator of a documentation ecosystem: everything at the root.

mod executions;
mod infrastructure;
mod tracing;
mod workflows;

use backstitch_core::access::Permission::{
    ExecutionsRead, HistoryRead, LettersRead, LettersWrite, OperationsRead, ReplaysWrite,
    RetentionWrite, ServicesAdmin, ViewsWrite, WorkflowsCancel, WorkflowsExecute, WorkflowsRead,
    WorkflowsWrite,
};

use super::{later, monitoring};
use crate::http::routes::Routes;
use crate::http::{availability, history, letter_groups, replays, retention, statistics, status};

const INGESTION: &str = "ingestion";
const JOBS: &str = "jobs";
const REPORTS: &str = "reports";
const REGISTRY: &str = "registry of services";
const PEERS: &str = "peers";

/// Its routes.
pub(super) fn routes() -> Routes {
    definitions().merge(runs()).merge(infrastructure()).merge(to_come())
}

fn definitions() -> Routes {
    Routes::with_queries()
        .get("/workflows", WorkflowsRead, workflows::list)
        .get("/workflows/search", WorkflowsRead, workflows::search)
        .merge(
            Routes::new()
                .post("/workflows", WorkflowsWrite, workflows::define)
                .post("/workflows/from-template", WorkflowsWrite, workflows::from_template)
                .get("/workflows/{workflow_id}", WorkflowsRead, workflows::show)
                .put("/workflows/{workflow_id}", WorkflowsWrite, workflows::update)
                .delete("/workflows/{workflow_id}", WorkflowsWrite, availability::archive)
                .get("/workflows/statistics", WorkflowsRead, workflows::statistics)
                .further(ExecutionsRead, statistics::LAST_RUN),
        )
}

fn runs() -> Routes {
    Routes::with_queries()
        .get("/workflows/{workflow_id}/executions", ExecutionsRead, executions::of_workflow)
        .get("/workflows/history", ExecutionsRead, executions::history)
        .merge(
            Routes::new()
                .post("/workflows/{workflow_id}/execute", WorkflowsExecute, executions::execute)
                .get("/workflows/executions/{execution_id}", ExecutionsRead, executions::show)
                .post(
                    "/workflows/executions/{execution_id}/cancel",
                    WorkflowsCancel,
                    executions::cancel,
                ),
        )
}

fn infrastructure() -> Routes {
    Routes::with_queries()
        .get("/infrastructure/events/history", HistoryRead, history::events)
        .get("/infrastructure/tracing/stats", ExecutionsRead, tracing::stats)
        .get("/infrastructure/tracing/trace/{trace_id}", ExecutionsRead, tracing::trace)
        .get("/infrastructure/tracing/service/{service_name}", ExecutionsRead, tracing::service)
        .merge(
            Routes::new()
                .get("/config/effective", OperationsRead, status::config)
                .get("/workflows/health", OperationsRead, monitoring::health)
                .get("/health/system", OperationsRead, monitoring::health)
                .get("/infrastructure/dlq/stats", LettersRead, letter_groups::statistics)
                .post("/infrastructure/dlq/retry", LettersWrite, infrastructure::retry)
                .get("/infrastructure/saga/stats", ExecutionsRead, infrastructure::sagas)
                .get("/infrastructure/saga/{saga_id}", ExecutionsRead, executions::show)
                .post("/infrastructure/events/replay", ReplaysWrite, replays::begin)
                .further(HistoryRead, replays::TO_A_URL)
                .further(ViewsWrite, replays::INTO_A_VIEW)
                .post("/infrastructure/events/clear", RetentionWrite, retention::apply),
        )
}

fn to_come() -> Routes {
    Routes::with_queries()
        .post("/workflows/run", WorkflowsExecute, later(INGESTION))
        .post("/ingest", WorkflowsExecute, later(INGESTION))
        .post("/demo/e2e", WorkflowsExecute, later(REPORTS))
        .post("/report/request", WorkflowsExecute, later(REPORTS))
        .post("/summarization/suggest", WorkflowsExecute, later(REPORTS))
        .post("/jobs/recalc-quality", WorkflowsExecute, later(JOBS))
        .post("/jobs/notify-consolidation", WorkflowsExecute, later(JOBS))
        .post("/docstore/save", WorkflowsExecute, later(JOBS))
        .get("/registry", OperationsRead, later(REGISTRY))
        .post("/registry/register", ServicesAdmin, later(REGISTRY))
        .post("/registry/sync-peers", ServicesAdmin, later(REGISTRY))
        .post("/registry/poll-openapi", ServicesAdmin, later(REGISTRY))
        .get("/peers", OperationsRead, later(PEERS))
}
