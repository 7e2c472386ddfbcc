//! The error codes that HTTP answers carry, and the status each is answered with.
//!
//! One page each in `docs/errors`. A code keeps its meaning for ever.

use axum::http::StatusCode;
use backstitch_core::failure::codes as failures;

/// No workflow of that id, or no such revision of it.
pub const WORKFLOW_NOT_FOUND: &str = "WORKFLOW_NOT_FOUND";
/// No execution of that id.
pub const EXECUTION_NOT_FOUND: &str = "EXECUTION_NOT_FOUND";
/// The run was removed by a rule of retention.
pub const EXECUTION_REMOVED: &str = "EXECUTION_REMOVED";
/// The log is not cut: it is being cut, or there is nothing to cut it from.
pub const CUT_REFUSED: &str = "CUT_REFUSED";
/// A retention policy is being applied already.
pub const RETENTION_RUNNING: &str = "RETENTION_RUNNING";
/// No dead letter of that id.
pub const DEAD_LETTER_NOT_FOUND: &str = "DEAD_LETTER_NOT_FOUND";
/// The run has no callback of that number.
pub const CALLBACK_NOT_FOUND: &str = "CALLBACK_NOT_FOUND";
/// The callback is still being delivered.
pub const CALLBACK_PENDING: &str = "CALLBACK_PENDING";
/// No such path.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The definition is wrong; `details.problems` has every place.
pub const INVALID_WORKFLOW_DEFINITION: &str = "INVALID_WORKFLOW_DEFINITION";
/// The body's fields are wrong; `details.problems` has every place.
pub const INVALID_INPUT: &str = "INVALID_INPUT";
/// The export can't be read on; `details.line` says where.
pub const INVALID_EXPORT: &str = "INVALID_EXPORT";
/// The request can't be read: not JSON, not YAML, not UTF-8, a bad query or header.
pub const INVALID_REQUEST: &str = "INVALID_REQUEST";
/// The body did not arrive in time.
pub const REQUEST_TIMEOUT: &str = "REQUEST_TIMEOUT";
/// The body, or input and variables together, are larger than taken.
pub const PAYLOAD_TOO_LARGE: &str = "PAYLOAD_TOO_LARGE";
/// No payload of that digest is kept or named.
pub const PAYLOAD_NOT_FOUND: &str = "PAYLOAD_NOT_FOUND";
/// A payload that is needed was erased.
pub const PAYLOAD_ERASED: &str = "PAYLOAD_ERASED";
/// A payload that is needed is missing or damaged.
pub const PAYLOAD_MISSING: &str = "PAYLOAD_MISSING";
/// The body is neither JSON nor YAML by its content type.
pub const UNSUPPORTED_MEDIA_TYPE: &str = "UNSUPPORTED_MEDIA_TYPE";
/// The run has no state at the version or instant asked for.
pub const POINT_NOT_FOUND: &str = "POINT_NOT_FOUND";
/// The cursor was given out before the store was restored, or by another store.
pub const CURSOR_OUTDATED: &str = "CURSOR_OUTDATED";
/// Some of the events asked for were cut off the log.
pub const HISTORY_CUT: &str = "HISTORY_CUT";
/// No service of that key was called or spoken of since the start.
pub const BREAKER_NOT_FOUND: &str = "BREAKER_NOT_FOUND";
/// Operators keep as many breakers open or closed as there may be.
pub const TOO_MANY_BREAKERS: &str = "TOO_MANY_BREAKERS";
/// No replay of that id.
pub const REPLAY_NOT_FOUND: &str = "REPLAY_NOT_FOUND";
/// The letter is retried with the input it has.
pub const INPUT_NOT_EDITABLE: &str = "INPUT_NOT_EDITABLE";
/// The letter keeps no more notes.
pub const TOO_MANY_NOTES: &str = "TOO_MANY_NOTES";
/// No redrive of that id.
pub const REDRIVE_NOT_FOUND: &str = "REDRIVE_NOT_FOUND";
/// The redrive has completed or was cancelled.
pub const REDRIVE_OVER: &str = "REDRIVE_OVER";
/// As many redrives as there may be are under way.
pub const TOO_MANY_REDRIVES: &str = "TOO_MANY_REDRIVES";
/// The replay has delivered everything.
pub const REPLAY_COMPLETED: &str = "REPLAY_COMPLETED";
/// A replay into a view can't be stopped.
pub const REPLAY_INTO_VIEW: &str = "REPLAY_INTO_VIEW";
/// As many replays as there may be are under way.
pub const TOO_MANY_REPLAYS: &str = "TOO_MANY_REPLAYS";
/// The path takes other methods; the header `Allow` lists them.
pub const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
/// The idempotency key was used with another request.
pub const IDEMPOTENCY_KEY_CONFLICT: &str = "IDEMPOTENCY_KEY_CONFLICT";
/// The run already has its final word.
pub const EXECUTION_ENDED: &str = "EXECUTION_ENDED";
/// Only a run whose steps start can be paused.
pub const EXECUTION_NOT_PAUSABLE: &str = "EXECUTION_NOT_PAUSABLE";
/// The run is a chunk of a loop: people act on the run it belongs to.
pub const PART_OF_EXECUTION: &str = "PART_OF_EXECUTION";
/// The undo neither waits for a person nor has an open dead letter.
pub const UNDO_NOT_OPEN: &str = "UNDO_NOT_OPEN";
/// The time in which an ended run can be rolled back is over.
pub const ROLLBACK_WINDOW_OVER: &str = "ROLLBACK_WINDOW_OVER";
/// The run can't be rolled back to that step.
pub const ROLLBACK_REFUSED: &str = "ROLLBACK_REFUSED";
/// The run is not suspended, and what was asked is done to suspended runs only.
pub const EXECUTION_NOT_SUSPENDED: &str = "EXECUTION_NOT_SUSPENDED";
/// The run can't be resumed while a step of it has failed.
pub const STEPS_FAILED: &str = "STEPS_FAILED";
/// The run's workflow has no such step.
pub const STEP_NOT_FOUND: &str = "STEP_NOT_FOUND";
/// The step runs or is settled, and can't be set.
pub const STEP_NOT_OPEN: &str = "STEP_NOT_OPEN";
/// As many signals as a run keeps wait to be taken.
pub const TOO_MANY_SIGNALS: &str = "TOO_MANY_SIGNALS";
/// The run can't be forked so; `details.reasons` has every reason.
pub const FORK_REFUSED: &str = "FORK_REFUSED";
/// The run can't go on with the revision; `details.reasons` has every reason.
pub const MIGRATION_REFUSED: &str = "MIGRATION_REFUSED";
/// The workflow's roll-out keeps the revision from whoever asks for it.
pub const REVISION_NOT_OPEN: &str = "REVISION_NOT_OPEN";
/// The workflow has no roll-out that could be switched off.
pub const ROLLOUT_NOT_FOUND: &str = "ROLLOUT_NOT_FOUND";
/// The workflow is disabled.
pub const WORKFLOW_DISABLED: &str = failures::WORKFLOW_DISABLED;
/// The workflow is archived.
pub const WORKFLOW_ARCHIVED: &str = failures::WORKFLOW_ARCHIVED;
/// The workflow's newest revision is another than `If-Match` names.
pub const PRECONDITION_FAILED: &str = "PRECONDITION_FAILED";
/// Only an archived workflow is purged.
pub const WORKFLOW_NOT_ARCHIVED: &str = "WORKFLOW_NOT_ARCHIVED";
/// Runs of the workflow are kept; `details.runs` says how many.
pub const WORKFLOW_HAS_RUNS: &str = "WORKFLOW_HAS_RUNS";
/// Steps that say that running again does harm would run again.
pub const FORK_UNSAFE: &str = "FORK_UNSAFE";
/// The letter was retried, discarded or resolved before.
pub const DEAD_LETTER_NOT_OPEN: &str = "DEAD_LETTER_NOT_OPEN";
/// The letter's run is still being undone.
pub const DEAD_LETTER_NOT_READY: &str = "DEAD_LETTER_NOT_READY";
/// The request names a host or an origin that this server does not answer to.
pub const FORBIDDEN_HOST: &str = "FORBIDDEN_HOST";
/// Nothing says who sent the request, or what says so does not count.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// Whoever sent the request may not do that; `details.permission` says what they lack.
pub const PERMISSION_DENIED: &str = "PERMISSION_DENIED";
/// No API key of that id, or it was revoked.
pub const API_KEY_NOT_FOUND: &str = "API_KEY_NOT_FOUND";
/// The audit has no row at that position.
pub const AUDIT_ROW_NOT_FOUND: &str = "AUDIT_ROW_NOT_FOUND";
/// As many API keys as there may be are not revoked.
pub const TOO_MANY_API_KEYS: &str = "TOO_MANY_API_KEYS";
/// No object of configuration of that kind and name.
pub const OBJECT_NOT_FOUND: &str = "OBJECT_NOT_FOUND";
/// As many objects of configuration of that kind as there may be.
pub const TOO_MANY_OBJECTS: &str = "TOO_MANY_OBJECTS";
/// A run was to be submitted with faults, and this server takes none.
pub const FAULTS_NOT_ALLOWED: &str = "FAULTS_NOT_ALLOWED";
/// A backup is running already.
pub const BACKUP_RUNNING: &str = "BACKUP_RUNNING";
/// No directory is configured that backups may go to.
pub const BACKUPS_OFF: &str = "BACKUPS_OFF";
/// The workflow takes no more runs at a time, and lets none wait.
pub const QUEUE_FULL: &str = "QUEUE_FULL";
/// The address, or the caller, asks too often.
pub const RATE_LIMITED: &str = "RATE_LIMITED";
/// Too many runs wait to begin.
pub const INSUFFICIENT_RESOURCES: &str = "INSUFFICIENT_RESOURCES";
/// The server is starting, stopping, or can't write its journal.
pub const ORCHESTRATOR_UNAVAILABLE: &str = "ORCHESTRATOR_UNAVAILABLE";
/// The run's history can't be folded; the run is set aside.
pub const EXECUTION_QUARANTINED: &str = "EXECUTION_QUARANTINED";
/// A run that somebody waited for failed.
pub const WORKFLOW_EXECUTION_FAILED: &str = failures::WORKFLOW_EXECUTION_FAILED;
/// The path is one of a document whose part this server does not have yet.
pub const NOT_IMPLEMENTED: &str = "NOT_IMPLEMENTED";
/// A bug in the server; its log has more.
pub const INTERNAL: &str = "INTERNAL";

/// Every code with its status.
pub const ALL: [(&str, StatusCode); 77] = [
    (WORKFLOW_NOT_FOUND, StatusCode::NOT_FOUND),
    (EXECUTION_NOT_FOUND, StatusCode::NOT_FOUND),
    (EXECUTION_REMOVED, StatusCode::GONE),
    (CUT_REFUSED, StatusCode::CONFLICT),
    (RETENTION_RUNNING, StatusCode::CONFLICT),
    (DEAD_LETTER_NOT_FOUND, StatusCode::NOT_FOUND),
    (NOT_FOUND, StatusCode::NOT_FOUND),
    (POINT_NOT_FOUND, StatusCode::NOT_FOUND),
    (BREAKER_NOT_FOUND, StatusCode::NOT_FOUND),
    (TOO_MANY_BREAKERS, StatusCode::TOO_MANY_REQUESTS),
    (REPLAY_NOT_FOUND, StatusCode::NOT_FOUND),
    (REDRIVE_NOT_FOUND, StatusCode::NOT_FOUND),
    (REDRIVE_OVER, StatusCode::CONFLICT),
    (INPUT_NOT_EDITABLE, StatusCode::CONFLICT),
    (TOO_MANY_NOTES, StatusCode::TOO_MANY_REQUESTS),
    (TOO_MANY_REDRIVES, StatusCode::TOO_MANY_REQUESTS),
    (REPLAY_COMPLETED, StatusCode::CONFLICT),
    (REPLAY_INTO_VIEW, StatusCode::CONFLICT),
    (QUEUE_FULL, StatusCode::TOO_MANY_REQUESTS),
    (RATE_LIMITED, StatusCode::TOO_MANY_REQUESTS),
    (INSUFFICIENT_RESOURCES, StatusCode::SERVICE_UNAVAILABLE),
    (TOO_MANY_REPLAYS, StatusCode::TOO_MANY_REQUESTS),
    (CURSOR_OUTDATED, StatusCode::GONE),
    (HISTORY_CUT, StatusCode::GONE),
    (INVALID_WORKFLOW_DEFINITION, StatusCode::UNPROCESSABLE_ENTITY),
    (INVALID_INPUT, StatusCode::UNPROCESSABLE_ENTITY),
    (INVALID_EXPORT, StatusCode::UNPROCESSABLE_ENTITY),
    (INVALID_REQUEST, StatusCode::BAD_REQUEST),
    (REQUEST_TIMEOUT, StatusCode::REQUEST_TIMEOUT),
    (PAYLOAD_TOO_LARGE, StatusCode::PAYLOAD_TOO_LARGE),
    (PAYLOAD_NOT_FOUND, StatusCode::NOT_FOUND),
    (PAYLOAD_ERASED, StatusCode::GONE),
    (PAYLOAD_MISSING, StatusCode::GONE),
    (UNSUPPORTED_MEDIA_TYPE, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    (METHOD_NOT_ALLOWED, StatusCode::METHOD_NOT_ALLOWED),
    (IDEMPOTENCY_KEY_CONFLICT, StatusCode::CONFLICT),
    (EXECUTION_ENDED, StatusCode::CONFLICT),
    (EXECUTION_NOT_PAUSABLE, StatusCode::CONFLICT),
    (PART_OF_EXECUTION, StatusCode::CONFLICT),
    (UNDO_NOT_OPEN, StatusCode::CONFLICT),
    (ROLLBACK_WINDOW_OVER, StatusCode::CONFLICT),
    (ROLLBACK_REFUSED, StatusCode::CONFLICT),
    (EXECUTION_NOT_SUSPENDED, StatusCode::CONFLICT),
    (STEPS_FAILED, StatusCode::CONFLICT),
    (STEP_NOT_FOUND, StatusCode::NOT_FOUND),
    (STEP_NOT_OPEN, StatusCode::CONFLICT),
    (TOO_MANY_SIGNALS, StatusCode::TOO_MANY_REQUESTS),
    (FORK_REFUSED, StatusCode::CONFLICT),
    (ROLLOUT_NOT_FOUND, StatusCode::NOT_FOUND),
    (FORK_UNSAFE, StatusCode::CONFLICT),
    (MIGRATION_REFUSED, StatusCode::CONFLICT),
    (REVISION_NOT_OPEN, StatusCode::CONFLICT),
    (CALLBACK_NOT_FOUND, StatusCode::NOT_FOUND),
    (CALLBACK_PENDING, StatusCode::CONFLICT),
    (WORKFLOW_DISABLED, StatusCode::CONFLICT),
    (WORKFLOW_ARCHIVED, StatusCode::CONFLICT),
    (PRECONDITION_FAILED, StatusCode::PRECONDITION_FAILED),
    (WORKFLOW_NOT_ARCHIVED, StatusCode::CONFLICT),
    (WORKFLOW_HAS_RUNS, StatusCode::CONFLICT),
    (DEAD_LETTER_NOT_OPEN, StatusCode::CONFLICT),
    (DEAD_LETTER_NOT_READY, StatusCode::CONFLICT),
    (FORBIDDEN_HOST, StatusCode::FORBIDDEN),
    (UNAUTHENTICATED, StatusCode::UNAUTHORIZED),
    (PERMISSION_DENIED, StatusCode::FORBIDDEN),
    (API_KEY_NOT_FOUND, StatusCode::NOT_FOUND),
    (AUDIT_ROW_NOT_FOUND, StatusCode::NOT_FOUND),
    (TOO_MANY_API_KEYS, StatusCode::TOO_MANY_REQUESTS),
    (OBJECT_NOT_FOUND, StatusCode::NOT_FOUND),
    (TOO_MANY_OBJECTS, StatusCode::TOO_MANY_REQUESTS),
    (FAULTS_NOT_ALLOWED, StatusCode::FORBIDDEN),
    (BACKUP_RUNNING, StatusCode::CONFLICT),
    (BACKUPS_OFF, StatusCode::FORBIDDEN),
    (ORCHESTRATOR_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
    (EXECUTION_QUARANTINED, StatusCode::INTERNAL_SERVER_ERROR),
    (WORKFLOW_EXECUTION_FAILED, StatusCode::UNPROCESSABLE_ENTITY),
    (NOT_IMPLEMENTED, StatusCode::NOT_IMPLEMENTED),
    (INTERNAL, StatusCode::INTERNAL_SERVER_ERROR),
];

/// The status of a code; 500 for a word that is none.
#[must_use]
pub fn status(code: &str) -> StatusCode {
    let known = ALL.iter().find(|(known, _)| *known == code);
    known.map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status)| *status)
}

/// The code that says most about a bare status: for answers that were made elsewhere.
#[must_use]
pub fn of_status(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT => REQUEST_TIMEOUT,
        StatusCode::PAYLOAD_TOO_LARGE => PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => UNSUPPORTED_MEDIA_TYPE,
        StatusCode::SERVICE_UNAVAILABLE => ORCHESTRATOR_UNAVAILABLE,
        status if status.is_client_error() => INVALID_REQUEST,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once() {
        let mut words: Vec<_> = ALL.iter().map(|(code, _)| code).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ALL.len());
    }
}
