//! Every path of the API, what is behind it, and the permission that it needs.

use backstitch_core::access::Permission::{
    AuditRead, BackupsWrite, BreakersWrite, CacheWrite, ConfigurationRead, ConfigurationWrite,
    ExecutionsControl, ExecutionsRead, ExecutionsSignal, HistoryImport, HistoryRead, KeysRead,
    KeysWrite, LettersRead, LettersWrite, LimitsRead, LogsRead, LogsWrite, NamespacesAdmin,
    OperationsRead, PayloadsAdmin, ReplaysRead, ReplaysWrite, RetentionWrite, SettingsReload,
    ViewsWrite, WorkflowsCancel, WorkflowsExecute, WorkflowsPurge, WorkflowsRead, WorkflowsWrite,
};

use super::routes::Access::Open;
use super::routes::Routes;
use super::{
    admin, api_keys, audit, availability, backups, breakers, cache, callbacks, control, cut,
    database, documents, executions, forks, history, items, letter_groups, letters, limits,
    log_levels, logs, migrations, objects, payloads, redrives, reference, rehearsals, reload,
    replays, retention, rollouts, statistics, status, telemetry, templates, transfer, travel,
    undos, workflow_list, workflow_revisions, workflow_updates, workflows,
};

/// Every route.
pub(super) fn routes() -> Routes {
    server()
        .merge(definitions())
        .merge(runs())
        .merge(control_of_runs())
        .merge(dead_letters())
        .merge(configuration())
        .merge(store())
        .merge(replayed())
        .merge(documents::routes())
}

/// The server itself, and what its node knows.
fn server() -> Routes {
    Routes::new()
        .get("/health", Open, status::health)
        .get("/ready", Open, status::ready)
        .get("/openapi.json", Open, reference::document)
        .get("/docs", Open, reference::page)
        .get("/docs/page.css", Open, reference::style)
        .get("/docs/page.js", Open, reference::script)
        .get("/info", OperationsRead, status::info)
        .get("/api/v1/config/effective", OperationsRead, status::config)
        .post("/api/v1/config/reload", SettingsReload, reload::reload)
        .get("/api/v1/stats/db", OperationsRead, database::show)
        .get("/v1/stats/db", OperationsRead, database::show)
        .get("/api/v1/limits", LimitsRead, limits::show)
        .list("/api/v1/breakers", LimitsRead, breakers::list)
        .get("/api/v1/breakers/{key}", LimitsRead, breakers::show)
        .post("/api/v1/breakers/{key}/{order}", BreakersWrite, breakers::order)
        .merge(
            Routes::with_queries()
                .get("/metrics", OperationsRead, telemetry::show)
                .get("/api/v1/cache", OperationsRead, cache::show)
                .delete("/api/v1/cache", CacheWrite, cache::empty),
        )
}

/// Workflows, and which revision new runs get.
fn definitions() -> Routes {
    const ROLLOUT: &str = "/api/v1/workflows/{workflow_id}/rollout";
    Routes::new()
        .post("/api/v1/workflows/validate", WorkflowsRead, workflows::validate)
        .post("/api/v1/workflows/{workflow_id}/dry-run", WorkflowsRead, rehearsals::dry_run)
        .further(ExecutionsRead, "with `recorded` or `input_of`")
        .list("/api/v1/templates", WorkflowsRead, templates::list)
        .get("/api/v1/templates/{template_name}", WorkflowsRead, templates::show)
        .post("/api/v1/workflows/from-template", WorkflowsWrite, templates::define)
        .list("/api/v1/schemas", WorkflowsRead, workflows::schemas)
        .get("/api/v1/schemas/{form}", WorkflowsRead, workflows::schema)
        .patch("/api/v1/workflows/{workflow_id}", WorkflowsWrite, workflow_updates::patch)
        .list("/api/v1/workflows/{workflow_id}/revisions", WorkflowsRead, workflows::revisions)
        .list("/api/v1/statistics", WorkflowsRead, statistics::all)
        .further(ExecutionsRead, statistics::LAST_RUN)
        .get("/api/v1/workflows/{workflow_id}/statistics", WorkflowsRead, statistics::of_workflow)
        .further(ExecutionsRead, statistics::LAST_RUN)
        .get(ROLLOUT, WorkflowsRead, rollouts::show)
        .put(ROLLOUT, WorkflowsWrite, rollouts::set)
        .delete(ROLLOUT, WorkflowsWrite, rollouts::end)
        .post("/api/v1/workflows/{workflow_id}/rollout/kill", WorkflowsWrite, rollouts::kill)
        .post("/api/v1/workflows/{workflow_id}/enable", WorkflowsWrite, availability::enable)
        .post("/api/v1/workflows/{workflow_id}/disable", WorkflowsWrite, availability::disable)
        .post("/api/v1/workflows/{workflow_id}/archive", WorkflowsWrite, availability::archive)
        .post("/api/v1/workflows/{workflow_id}/restore", WorkflowsWrite, availability::restore)
        .merge(
            Routes::with_queries()
                .delete("/api/v1/workflows/{workflow_id}", WorkflowsWrite, availability::delete)
                .further(WorkflowsPurge, "with `purge=true`")
                .get("/api/v1/workflows", WorkflowsRead, workflow_list::list)
                .further(ExecutionsRead, "with `status=active`")
                .post("/api/v1/workflows", WorkflowsWrite, workflows::define)
                .further(WorkflowsExecute, "with `execute=true`")
                .get("/api/v1/workflows/{workflow_id}", WorkflowsRead, workflows::show)
                .further(ExecutionsRead, "for the id of an execution, and `last_execution`")
                .get(
                    "/api/v1/workflows/{workflow_id}/diff",
                    WorkflowsRead,
                    workflow_revisions::diff,
                )
                .get(
                    "/api/v1/workflows/{workflow_id}/effective",
                    WorkflowsRead,
                    workflow_revisions::effective,
                )
                .get("/api/v1/workflows/{workflow_id}/events", ExecutionsRead, history::of_workflow)
                .post(
                    "/api/v1/workflows/{workflow_id}/migrate",
                    ExecutionsControl,
                    migrations::all,
                ),
        )
}

/// Runs: begun, read, cancelled.
fn runs() -> Routes {
    const RUN: &str = "/api/v1/executions/{execution_id}";
    Routes::new()
        .post("/api/v1/workflows/{workflow_id}/execute", WorkflowsExecute, executions::execute)
        .post("/api/v1/executions/{execution_id}/cancel", WorkflowsCancel, executions::cancel)
        .get(
            "/api/v1/executions/{execution_id}/compare/{other_id}",
            ExecutionsRead,
            travel::compare,
        )
        .get("/api/v1/executions/{execution_id}/why", ExecutionsRead, control::why)
        .merge(
            Routes::with_queries()
                .get("/api/v1/executions", ExecutionsRead, executions::list)
                .get(RUN, ExecutionsRead, executions::show)
                .get("/api/v1/executions/{execution_id}/events", ExecutionsRead, executions::events)
                .get(
                    "/api/v1/executions/{execution_id}/steps/{step_id}/items",
                    ExecutionsRead,
                    items::list,
                )
                .get(
                    "/api/v1/executions/{execution_id}/rollback",
                    ExecutionsRead,
                    control::unwind_plan,
                )
                .get("/api/v1/executions/{execution_id}/diff", ExecutionsRead, travel::diff)
                .get(
                    "/api/v1/executions/{execution_id}/export",
                    ExecutionsRead,
                    transfer::export_one,
                ),
        )
}

/// What is done to a run under way.
fn control_of_runs() -> Routes {
    use ExecutionsControl as Control;
    Routes::new()
        .post("/api/v1/executions/{execution_id}/pause", Control, control::pause)
        .post("/api/v1/executions/{execution_id}/resume", Control, control::resume)
        .post("/api/v1/executions/{execution_id}/undos/done", Control, undos::done)
        .post("/api/v1/executions/{execution_id}/undos/accept", Control, undos::accept)
        .post("/api/v1/executions/{execution_id}/undos/set-aside", Control, undos::set_aside)
        .post("/api/v1/executions/{execution_id}/steps/{step_id}/skip", Control, control::skip_step)
        .post(
            "/api/v1/executions/{execution_id}/steps/{step_id}/set-output",
            Control,
            control::set_output,
        )
        .post(
            "/api/v1/executions/{execution_id}/callbacks/{number}/redeliver",
            LettersWrite,
            callbacks::redeliver,
        )
        .post("/api/v1/callbacks/test", WorkflowsExecute, callbacks::try_out)
        .post("/api/v1/executions/{execution_id}/fork", Control, forks::fork)
        .post("/api/v1/executions/{execution_id}/signals/{name}", ExecutionsSignal, control::signal)
        .merge(
            Routes::with_queries()
                .post("/api/v1/executions/{execution_id}/rollback", Control, control::roll_back)
                .post("/api/v1/executions/{execution_id}/migrate", Control, migrations::one),
        )
}

/// Dead letters, one by one and by a filter.
fn dead_letters() -> Routes {
    const LETTER_SHOWN: &str = "for the letter in the answer";
    Routes::new()
        .get("/api/v1/dlq/stats", LettersRead, letter_groups::statistics)
        .list("/api/v1/dlq/retries", LettersRead, redrives::list)
        .post("/api/v1/dlq/retries", LettersWrite, redrives::begin)
        .get("/api/v1/dlq/retries/{redrive_id}", LettersRead, redrives::show)
        .post("/api/v1/dlq/retries/{redrive_id}/pause", LettersWrite, redrives::pause)
        .post("/api/v1/dlq/retries/{redrive_id}/resume", LettersWrite, redrives::resume)
        .post("/api/v1/dlq/retries/{redrive_id}/cancel", LettersWrite, redrives::cancel)
        .get("/api/v1/dlq/{letter_id}", LettersRead, letters::show)
        .post("/api/v1/dlq/{letter_id}/retry", LettersWrite, letters::retry)
        .further(WorkflowsWrite, "for another input of a step that refers to secrets")
        .post("/api/v1/dlq/{letter_id}/discard", LettersWrite, letters::discard)
        .post("/api/v1/dlq/{letter_id}/assign", LettersWrite, letters::assign)
        .further(LettersRead, LETTER_SHOWN)
        .post("/api/v1/dlq/{letter_id}/notes", LettersWrite, letters::note)
        .further(LettersRead, LETTER_SHOWN)
        .merge(Routes::with_queries().get("/api/v1/dlq", LettersRead, letters::list).get(
            "/api/v1/dlq/groups",
            LettersRead,
            letter_groups::list,
        ))
}

/// What holds for many workflows, or where the server runs.
fn configuration() -> Routes {
    const COLLECTIONS: [(&str, &str); 5] = [
        ("/api/v1/policies", "/api/v1/policies/{name}"),
        ("/api/v1/environments", "/api/v1/environments/{name}"),
        ("/api/v1/adapters", "/api/v1/adapters/{name}"),
        ("/api/v1/alerts/channels", "/api/v1/alerts/channels/{name}"),
        ("/api/v1/alerts/rules", "/api/v1/alerts/rules/{name}"),
    ];
    COLLECTIONS.into_iter().fold(Routes::new(), |routes, (all, one)| {
        let changes = Routes::with_queries().put(one, ConfigurationWrite, objects::set).delete(
            one,
            ConfigurationWrite,
            objects::remove,
        );
        routes
            .list(all, ConfigurationRead, objects::list)
            .get(one, ConfigurationRead, objects::show)
            .merge(changes)
    })
}

/// The store as a whole: what is kept, for how long, and who did what.
fn store() -> Routes {
    const POLICY: &str = "/api/v1/admin/retention/policy";
    const APPLY: &str = "/api/v1/admin/retention/apply";
    const BACKUPS: &str = "/api/v1/admin/backups";
    const LOG_LEVELS: &str = "/api/v1/admin/log-levels";
    const ELSEWHERE: &str = "for keys of other namespaces";
    Routes::new()
        .post("/api/v1/import", HistoryImport, transfer::import)
        .get("/api/v1/audit/{position}", AuditRead, audit::show)
        .further(WorkflowsRead, "for what a new revision changed")
        .further(ConfigurationRead, "for what an object of configuration says")
        .post("/api/v1/admin/api-keys", KeysWrite, api_keys::create)
        .further(NamespacesAdmin, ELSEWHERE)
        .delete("/api/v1/admin/api-keys/{key_id}", KeysWrite, api_keys::revoke)
        .further(NamespacesAdmin, ELSEWHERE)
        .post("/api/v1/admin/payloads/collect", PayloadsAdmin, payloads::collect)
        .get("/api/v1/admin/payloads/{digest}", PayloadsAdmin, payloads::show)
        .post("/api/v1/admin/payloads/{digest}/erase", PayloadsAdmin, payloads::erase)
        .get(POLICY, OperationsRead, retention::policy)
        .put(POLICY, RetentionWrite, retention::set_policy)
        .post("/api/v1/admin/cut", RetentionWrite, cut::cut)
        .post("/api/v1/admin/retention/plan", OperationsRead, retention::plan)
        .get(APPLY, OperationsRead, retention::progress)
        .post(APPLY, RetentionWrite, retention::apply)
        .list("/api/v1/admin/views", OperationsRead, admin::views)
        .post("/api/v1/admin/views/rebuild", ViewsWrite, admin::rebuild_view)
        .get(BACKUPS, OperationsRead, backups::show)
        .post(BACKUPS, BackupsWrite, backups::begin)
        .delete(BACKUPS, BackupsWrite, backups::cancel)
        .get(LOG_LEVELS, LogsRead, log_levels::show)
        .put(LOG_LEVELS, LogsWrite, log_levels::set)
        .merge(
            Routes::with_queries()
                .get("/api/v1/admin/api-keys", KeysRead, api_keys::list)
                .further(NamespacesAdmin, ELSEWHERE)
                .get("/api/v1/audit", AuditRead, audit::list)
                .get("/api/v1/admin/logs", LogsRead, logs::list)
                .get("/api/v1/export", ExecutionsRead, transfer::export)
                .get("/api/v1/events", HistoryRead, history::events),
        )
}

/// Recorded events delivered anew.
fn replayed() -> Routes {
    Routes::new()
        .list("/api/v1/replays", ReplaysRead, replays::list)
        .post("/api/v1/replays", ReplaysWrite, replays::begin)
        .further(HistoryRead, replays::TO_A_URL)
        .further(ViewsWrite, replays::INTO_A_VIEW)
        .get("/api/v1/replays/{replay_id}", ReplaysRead, replays::show)
        .post("/api/v1/replays/{replay_id}/stop", ReplaysWrite, replays::stop)
        .post("/api/v1/replays/{replay_id}/resume", ReplaysWrite, replays::resume)
}
