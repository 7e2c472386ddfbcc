//! Document 003, the orchestrator service: everything below `/v1`.

mod executions;
mod workflows;

use backstitch_core::access::Permission::{
    ExecutionsRead, RetentionWrite, SchedulesAdmin, WorkflowsCancel, WorkflowsExecute,
    WorkflowsRead, WorkflowsWrite,
};

use super::later;
use crate::http::availability;
use crate::http::routes::Routes;

const SCHEDULES: &str = "schedules";
const EVENTS: &str = "events that start runs";
const COMPACTION: &str = "compaction by request";

/// Its routes.
pub(super) fn routes() -> Routes {
    Routes::with_queries()
        .get("/v1/workflows", WorkflowsRead, workflows::list)
        .get("/v1/executions", ExecutionsRead, executions::list)
        .get("/v1/executions/active", ExecutionsRead, executions::active)
        .get("/v1/schedules", SchedulesAdmin, later(SCHEDULES))
        .post("/v1/schedules", SchedulesAdmin, later(SCHEDULES))
        .get("/v1/schedules/{schedule_id}", SchedulesAdmin, later(SCHEDULES))
        .put("/v1/schedules/{schedule_id}", SchedulesAdmin, later(SCHEDULES))
        .delete("/v1/schedules/{schedule_id}", SchedulesAdmin, later(SCHEDULES))
        .post("/v1/events", WorkflowsExecute, later(EVENTS))
        .post("/v1/admin/compact", RetentionWrite, later(COMPACTION))
        .merge(
            Routes::new()
                .post("/v1/workflows", WorkflowsWrite, workflows::define)
                .get("/v1/workflows/{workflow_id}", WorkflowsRead, workflows::show)
                .put("/v1/workflows/{workflow_id}", WorkflowsWrite, workflows::update)
                .delete("/v1/workflows/{workflow_id}", WorkflowsWrite, availability::archive)
                .post("/v1/run", WorkflowsExecute, executions::run)
                .post("/v1/cancel/{workflow_id}", WorkflowsCancel, executions::cancel)
                .get("/v1/executions/{execution_id}", ExecutionsRead, executions::show),
        )
}
