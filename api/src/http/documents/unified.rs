//! Document 000, the unified orchestrator: everything below `/orchestrator`.

mod executions;
mod executors;
mod workflows;

use backstitch_core::access::Permission::{
    ExecutionsRead, OperationsRead, ServicesAdmin, WorkflowsCancel, WorkflowsExecute,
    WorkflowsRead, WorkflowsWrite,
};

use super::{later, monitoring};
use crate::http::routes::Access::Open;
use crate::http::routes::Routes;

const SERVICES: &str = "services";
const EXECUTORS: &str = "registration of task executors";

/// Its routes.
pub(super) fn routes() -> Routes {
    Routes::with_queries()
        .get("/orchestrator/services", OperationsRead, later(SERVICES))
        .post("/orchestrator/services", ServicesAdmin, later(SERVICES))
        .post("/orchestrator/services/{service_id}/start", ServicesAdmin, later(SERVICES))
        .post("/orchestrator/services/{service_id}/stop", ServicesAdmin, later(SERVICES))
        .post("/orchestrator/services/{service_id}/restart", ServicesAdmin, later(SERVICES))
        .get("/orchestrator/services/{service_id}/health", OperationsRead, later(SERVICES))
        .get("/orchestrator/workflows", WorkflowsRead, workflows::list)
        .get("/orchestrator/workflows/executions", ExecutionsRead, executions::list)
        .post("/orchestrator/task-executors", ServicesAdmin, later(EXECUTORS))
        .merge(
            Routes::new()
                .post("/orchestrator/workflows", WorkflowsWrite, workflows::define)
                .post(
                    "/orchestrator/workflows/{workflow_id}/execute",
                    WorkflowsExecute,
                    executions::execute,
                )
                .get(
                    "/orchestrator/workflows/executions/{execution_id}",
                    ExecutionsRead,
                    executions::show,
                )
                .post(
                    "/orchestrator/workflows/executions/{execution_id}/cancel",
                    WorkflowsCancel,
                    executions::cancel,
                )
                .get("/orchestrator/task-executors", OperationsRead, executors::list)
                .get("/orchestrator/metrics", OperationsRead, monitoring::metrics)
                .get("/orchestrator/health", Open, monitoring::alive),
        )
}
