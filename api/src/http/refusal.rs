//! An answer that says no: the error envelope, and what the engine's errors look like in it.

use std::error::Error as _;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use backstitch_core::availability::Unavailable;
use backstitch_core::command::{NOTES_PER_LETTER_MAX, Rejection, SIGNALS_KEPT_MAX};
use backstitch_core::definition::problem::Problem;
use backstitch_core::redrives::RedriveRejection;
use backstitch_core::replays::{RUNNING_MAX, ReplayRejection};
use backstitch_core::travel::NoSuchPoint;
use backstitch_journal::Error as JournalError;
use backstitch_saga::{Error, clock};
use serde_json::{Value, json};

use super::history::cut_json;
use super::{answer, codes, limits, retention};

/// When a client that was told 503 may come again, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// A request that was not done, as its client is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// A stable word of [`codes`].
    pub code: &'static str,
    /// For a person.
    pub message: String,
    /// For a program: an object.
    pub details: Value,
}

/// Marks an answer that already has the envelope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enveloped;

impl Refusal {
    /// A refusal without details.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: json!({}) }
    }

    /// The same with details.
    #[must_use]
    pub fn with(self, details: Value) -> Self {
        Self { details, ..self }
    }

    /// 400: the request can't be read.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(codes::INVALID_REQUEST, message)
    }

    /// 422: the body's fields are wrong, in every place named.
    #[must_use]
    pub fn wrong_fields(problems: &[Problem]) -> Self {
        Self::new(codes::INVALID_INPUT, summary("the request", problems))
            .with(json!({ "problems": problems }))
    }

    /// 422: the definition is wrong, in every place named.
    #[must_use]
    pub fn wrong_definition(problems: &[Problem]) -> Self {
        Self::new(codes::INVALID_WORKFLOW_DEFINITION, summary("the definition", problems))
            .with(json!({ "problems": problems }))
    }

    /// 503, with a reason.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(codes::ORCHESTRATOR_UNAVAILABLE, reason)
    }

    /// What it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        codes::status(self.code)
    }
}

/// The first problem, and how many more there are: enough where only the message is shown.
fn summary(what: &str, problems: &[Problem]) -> String {
    match problems {
        [] => format!("{what} is wrong"),
        [only] => format!("{what} is wrong: {only}"),
        [first, rest @ ..] => format!("{what} is wrong: {first}, and {} more", rest.len()),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = json!({
            "success": false,
            "error_code": self.code,
            "message": self.message,
            "details": self.details,
            "timestamp": clock::now().to_string(),
        });
        let mut response = answer::json(status, &body);
        response.extensions_mut().insert(Enveloped);
        if let Some(challenge) = challenge(&self) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.details["retry_after_seconds"].as_u64() {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        } else if status == StatusCode::SERVICE_UNAVAILABLE || self.code == codes::QUEUE_FULL {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// What a client is told in the words of RFC 6750.
fn challenge(refusal: &Refusal) -> Option<HeaderValue> {
    let text = match refusal.code {
        codes::UNAUTHENTICATED => "Bearer realm=\"backstitch\"".to_owned(),
        codes::PERMISSION_DENIED => {
            let scope = refusal.details["permission"].as_str().unwrap_or_default();
            format!("Bearer realm=\"backstitch\", error=\"insufficient_scope\", scope=\"{scope}\"")
        }
        _ => return None,
    };
    HeaderValue::from_str(&text).ok()
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        if let Some(removed) = retention::removed(&error) {
            return removed;
        }
        let message = error.to_string();
        match error {
            Error::WorkflowNotFound { workflow } => Self::new(codes::WORKFLOW_NOT_FOUND, message)
                .with(json!({ "workflow_id": workflow })),
            Error::RevisionNotFound { workflow, revision } => {
                Self::new(codes::WORKFLOW_NOT_FOUND, message)
                    .with(json!({ "workflow_id": workflow, "revision": revision }))
            }
            Error::RevisionNotOpen { workflow, revision, .. } => {
                Self::new(codes::REVISION_NOT_OPEN, message)
                    .with(json!({ "workflow_id": workflow, "revision": revision }))
            }
            Error::Unavailable { workflow, why } => unavailable(&workflow, why, message),
            Error::NotExpected { workflow, current } => {
                let current = current.map(|own| own.to_string());
                Self::new(codes::PRECONDITION_FAILED, message)
                    .with(json!({ "workflow_id": workflow, "digest": current }))
            }
            Error::NotArchived { workflow } => Self::new(codes::WORKFLOW_NOT_ARCHIVED, message)
                .with(json!({ "workflow_id": workflow })),
            Error::RunsKept { workflow, runs } => Self::new(codes::WORKFLOW_HAS_RUNS, message)
                .with(json!({ "workflow_id": workflow, "runs": runs })),
            Error::RolloutNotFound { workflow } => Self::new(codes::ROLLOUT_NOT_FOUND, message)
                .with(json!({ "workflow_id": workflow })),
            Error::ExecutionNotFound(_) => Self::new(codes::EXECUTION_NOT_FOUND, message),
            Error::ExecutionRemoved { .. } => Self::new(codes::EXECUTION_REMOVED, message),
            Error::CutRunning | Error::Journal(JournalError::CutRefused { .. }) => {
                Self::new(codes::CUT_REFUSED, sentence(&error))
            }
            Error::RetentionRunning => Self::new(codes::RETENTION_RUNNING, message),
            Error::LetterNotFound(_) => Self::new(codes::DEAD_LETTER_NOT_FOUND, message),
            Error::BadExport(bad) => {
                Self::new(codes::INVALID_EXPORT, message).with(json!({ "line": bad.line }))
            }
            Error::ReplayNotFound(_) | Error::ReplayRejected(ReplayRejection::Unknown) => {
                Self::new(codes::REPLAY_NOT_FOUND, message)
            }
            Error::ReplayRejected(ReplayRejection::AlreadyCompleted) => {
                Self::new(codes::REPLAY_COMPLETED, message)
            }
            Error::ReplayRejected(ReplayRejection::IntoView) => {
                Self::new(codes::REPLAY_INTO_VIEW, message)
            }
            Error::ReplayRejected(ReplayRejection::TooMany) => {
                Self::new(codes::TOO_MANY_REPLAYS, message).with(json!({ "max": RUNNING_MAX }))
            }
            Error::RedriveNotFound(_) | Error::RedriveRejected(RedriveRejection::Unknown) => {
                Self::new(codes::REDRIVE_NOT_FOUND, message)
            }
            Error::RedriveRejected(RedriveRejection::Over { status }) => {
                Self::new(codes::REDRIVE_OVER, message).with(json!({ "status": status }))
            }
            Error::RedriveRejected(RedriveRejection::TooMany { max }) => {
                Self::new(codes::TOO_MANY_REDRIVES, message).with(json!({ "max": max }))
            }
            Error::FaultsNotAllowed => Self::new(codes::FAULTS_NOT_ALLOWED, message),
            Error::TooManyBreakers { max } => {
                Self::new(codes::TOO_MANY_BREAKERS, message).with(json!({ "max": max }))
            }
            Error::NoSuchPoint(why) => no_such_point(&why, message),
            Error::CursorOutdated { generation, .. } => {
                Self::new(codes::CURSOR_OUTDATED, message).with(json!({ "generation": generation }))
            }
            Error::ApiKeyNotFound(_) => Self::new(codes::API_KEY_NOT_FOUND, message),
            Error::AuditRowNotFound { .. } => Self::new(codes::AUDIT_ROW_NOT_FOUND, message),
            Error::TooManyApiKeys { max } => {
                Self::new(codes::TOO_MANY_API_KEYS, message).with(json!({ "max": max }))
            }
            Error::ObjectNotFound { .. } => Self::new(codes::OBJECT_NOT_FOUND, message),
            Error::TooManyObjects { max, .. } => {
                Self::new(codes::TOO_MANY_OBJECTS, message).with(json!({ "max": max }))
            }
            Error::ObjectNotExpected { .. } => Self::new(codes::PRECONDITION_FAILED, message),
            Error::HistoryCut { partition, position, cut } => {
                Self::new(codes::HISTORY_CUT, message).with(json!({
                    "partition": partition, "position": position, "cut": cut_json(&cut),
                }))
            }
            Error::InvalidDefinition(problems) => Self::wrong_definition(&problems),
            Error::InvalidSubmission(problems)
            | Error::InvalidRollout(problems)
            | Error::InvalidObject(problems)
            | Error::InvalidApiKey(problems) => Self::wrong_fields(&problems),
            Error::SubmissionTooLarge { bytes, max } => {
                Self::new(codes::PAYLOAD_TOO_LARGE, message)
                    .with(json!({ "bytes": bytes, "bytes_max": max }))
            }
            Error::RecordTooLarge { max } => {
                Self::new(codes::PAYLOAD_TOO_LARGE, message).with(json!({ "bytes_max": max }))
            }
            Error::PayloadNotFound(_) => Self::new(codes::PAYLOAD_NOT_FOUND, message),
            Error::PayloadAbsent(why) => match why.code.as_str() {
                codes::PAYLOAD_ERASED => Self::new(codes::PAYLOAD_ERASED, message),
                _ => Self::new(codes::PAYLOAD_MISSING, message),
            },
            Error::KeyConflict(run) => Self::new(codes::IDEMPOTENCY_KEY_CONFLICT, message)
                .with(json!({ "execution_id": run.to_string() })),
            Error::Rejected(rejection) => rejected(&rejection, message),
            Error::Full(why) => limits::full(&why),
            Error::Quarantined(_) => Self::new(codes::EXECUTION_QUARANTINED, message),
            Error::Cursor(_) => Self::bad_request(message),
            Error::Draining | Error::Stopped => Self::unavailable(message),
            Error::Journal(_)
            | Error::Executors(_)
            | Error::Fold(_)
            | Error::UnknownEnvironment { .. } => internal(&error),
        }
    }
}

fn rejected(rejection: &Rejection, message: String) -> Refusal {
    match rejection {
        Rejection::AlreadyEnded { status } => {
            Refusal::new(codes::EXECUTION_ENDED, message).with(json!({ "status": status }))
        }
        Rejection::UnknownLetter { .. } => Refusal::new(codes::DEAD_LETTER_NOT_FOUND, message),
        Rejection::LetterNotOpen { status, .. } => {
            Refusal::new(codes::DEAD_LETTER_NOT_OPEN, message).with(json!({ "status": status }))
        }
        Rejection::UnknownDelivery { delivery } => {
            Refusal::new(codes::CALLBACK_NOT_FOUND, message).with(json!({ "callback": delivery }))
        }
        Rejection::DeliveryPending { delivery } => {
            Refusal::new(codes::CALLBACK_PENDING, message).with(json!({ "callback": delivery }))
        }
        Rejection::NeedsNewRun | Rejection::OthersWait { .. } => {
            Refusal::new(codes::DEAD_LETTER_NOT_READY, message)
        }
        // Only runs send messages, and no run is a client of the API.
        Rejection::MessageRefused { .. } | Rejection::NoSuchRun { .. } => {
            Refusal::new(codes::INTERNAL, message)
        }
        Rejection::PartOfRun { run } | Rejection::UndoneWithParent { run } => {
            Refusal::new(codes::PART_OF_EXECUTION, message)
                .with(json!({ "execution_id": run.to_string() }))
        }
        Rejection::RollbackWindowOver { until } => {
            Refusal::new(codes::ROLLBACK_WINDOW_OVER, message)
                .with(json!({ "until": until.to_string() }))
        }
        Rejection::UndoNotOpen { step, status, .. } => Refusal::new(codes::UNDO_NOT_OPEN, message)
            .with(json!({ "step": step, "status": status })),
        Rejection::NoUndoOpen { status } => {
            Refusal::new(codes::UNDO_NOT_OPEN, message).with(json!({ "status": status }))
        }
        Rejection::NotPausable { status } => {
            Refusal::new(codes::EXECUTION_NOT_PAUSABLE, message).with(json!({ "status": status }))
        }
        Rejection::NotSuspended { status } => {
            Refusal::new(codes::EXECUTION_NOT_SUSPENDED, message).with(json!({ "status": status }))
        }
        Rejection::StepsFailed { step } | Rejection::UndoFailed { step } => {
            Refusal::new(codes::STEPS_FAILED, message).with(json!({ "step": step }))
        }
        Rejection::RollbackRefused { step, why } => Refusal::new(codes::ROLLBACK_REFUSED, message)
            .with(json!({ "step": step, "reason": why })),
        Rejection::UnknownStep { step } | Rejection::NoItems { step } => {
            Refusal::new(codes::STEP_NOT_FOUND, message).with(json!({ "step": step }))
        }
        Rejection::StepNotOpen { step, status } => Refusal::new(codes::STEP_NOT_OPEN, message)
            .with(json!({ "step": step, "status": status })),
        Rejection::TooLarge { .. } => Refusal::new(codes::PAYLOAD_TOO_LARGE, message),
        // Told as a problem of what is submitted.
        Rejection::NoLimitKey { .. } => Refusal::new(codes::INTERNAL, message),
        Rejection::InputNotEditable { .. } => Refusal::new(codes::INPUT_NOT_EDITABLE, message),
        Rejection::TooManyNotes => Refusal::new(codes::TOO_MANY_NOTES, message)
            .with(json!({ "max": NOTES_PER_LETTER_MAX })),
        Rejection::TooManySignals => {
            Refusal::new(codes::TOO_MANY_SIGNALS, message).with(json!({ "max": SIGNALS_KEPT_MAX }))
        }
        Rejection::ForkRefused { reasons } => {
            Refusal::new(codes::FORK_REFUSED, message).with(json!({ "reasons": reasons }))
        }
        Rejection::MigrationRefused { reasons } => {
            Refusal::new(codes::MIGRATION_REFUSED, message).with(json!({ "reasons": reasons }))
        }
        Rejection::ForkUnsafe { steps } => {
            Refusal::new(codes::FORK_UNSAFE, message).with(json!({ "steps": steps }))
        }
        Rejection::NotYet { status } => {
            Refusal::new(codes::DEAD_LETTER_NOT_READY, message).with(json!({ "status": status }))
        }
    }
}

fn unavailable(workflow: &str, why: Unavailable, message: String) -> Refusal {
    let code = match why {
        Unavailable::Disabled => codes::WORKFLOW_DISABLED,
        Unavailable::Archived => codes::WORKFLOW_ARCHIVED,
        Unavailable::Purged => codes::WORKFLOW_NOT_FOUND,
    };
    Refusal::new(code, message).with(json!({ "workflow_id": workflow }))
}

fn no_such_point(why: &NoSuchPoint, message: String) -> Refusal {
    let details = match why {
        NoSuchPoint::VersionZero => json!({ "first_version": 1 }),
        NoSuchPoint::BeyondTheEnd { last, .. } => json!({ "last_version": last }),
        NoSuchPoint::BeforeTheSubmission { submitted_at, .. } => {
            json!({ "submitted_at": submitted_at.to_string() })
        }
        NoSuchPoint::StillToCome { now, .. } => json!({ "now": now.to_string() }),
    };
    Refusal::new(codes::POINT_NOT_FOUND, message).with(details)
}

/// An error with its causes.
fn sentence(error: &Error) -> String {
    let mut whole = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        whole = format!("{whole}: {cause}");
        source = cause.source();
    }
    whole
}

/// The client learns that it is not its fault; the log learns the rest.
fn internal(error: &Error) -> Refusal {
    tracing::error!(error = %sentence(error), "a request failed");
    Refusal::new(codes::INTERNAL, "the server failed to do this; its log says why")
}
