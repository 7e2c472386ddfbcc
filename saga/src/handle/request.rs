//! What a client asks for and gets: plain data, and the checks made before anything else.

use std::sync::Arc;

use backstitch_core::command::{
    CALLBACKS_MAX, Rejection, TAGS_MAX, WORDS_BYTES_MAX, is_callback_url, tag_problem,
};
use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{Callback, CallbackForm, Priority, Target};
use backstitch_core::failure::Failure;
use backstitch_core::faults::{FaultWish, Struck};
use backstitch_core::forms::Form;
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::payload::{PAYLOAD_BYTES_MAX, Payload};
use backstitch_core::plan::Plan;
use backstitch_core::report::target_json;
use backstitch_core::time::Timestamp;
use backstitch_core::trace::TraceContext;
use backstitch_core::yaml::Format;
use backstitch_journal::COMMIT_BYTES_MAX;
use serde_json::{Value, json};

use crate::clock;
use crate::error::Error;
use crate::partition::Answer;

/// A wish for a new run, as a client puts it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Tenant.
    pub namespace: Arc<str>,
    /// The workflow's id.
    pub workflow: String,
    /// The revision to run; what is in force if unsaid.
    pub revision: Option<u32>,
    /// Any JSON; checked against the workflow's `input_schema`.
    pub input: Value,
    /// Overrides of the workflow's variables: an object.
    pub variables: Value,
    /// Carried through; the execution id if empty.
    pub correlation_id: String,
    /// Tags beside those of the definition.
    pub tags: Vec<String>,
    /// Who goes first when not all can; as the definition says if unsaid.
    pub priority: Option<Priority>,
    /// Who is told.
    pub callbacks: Vec<Target>,
    /// What goes wrong with its attempts on purpose.
    pub faults: Vec<FaultWish>,
    /// The same key with the same request answers the same run.
    pub idempotency_key: Option<String>,
    /// Who asks.
    pub actor: String,
    /// Where whoever asks stands in a trace. It does not tell one request from another.
    pub trace: Option<TraceContext>,
}

impl Request {
    /// A wish with nothing said but what must be: whose it is, what runs, on which input, and who
    /// asks.
    #[must_use]
    pub fn new(namespace: Arc<str>, workflow: String, input: Value, actor: String) -> Self {
        Self {
            namespace,
            workflow,
            revision: None,
            input,
            variables: json!({}),
            correlation_id: String::new(),
            tags: Vec::new(),
            priority: None,
            callbacks: Vec::new(),
            faults: Vec::new(),
            idempotency_key: None,
            actor,
            trace: None,
        }
    }
}

/// An accepted run. It is durable.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The run.
    pub execution: ExecutionId,
    /// Its status word when it was accepted.
    pub status: &'static str,
    /// Whether the idempotency key had been used for it before.
    pub repeated: bool,
}

/// A defined revision. It is durable.
#[derive(Debug, Clone)]
pub struct Defined {
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// The revision's number, from 1.
    pub revision: u32,
    /// Its content.
    pub digest: Digest,
    /// Whether the content is new.
    pub created: bool,
    /// The form it was written in.
    pub form: Form,
    /// What its author should know: what is not in force yet, what nothing performs here.
    pub warnings: Vec<Problem>,
}

/// The text of a definition, as a client sent it.
#[derive(Debug, Clone)]
pub struct SubmittedText {
    /// How it is written.
    pub format: Format,
    /// Byte by byte.
    pub text: Arc<str>,
}

/// What became of a retried letter.
#[derive(Debug, Clone)]
pub struct Retried {
    /// The run that goes on: the letter's own, or the new one that starts over.
    pub execution: ExecutionId,
    /// Whether it is a new run.
    pub new_run: bool,
    /// Its status word.
    pub status: &'static str,
}

pub(super) fn deadline(plan: &Plan) -> Option<Timestamp> {
    plan.timeout_ms.map(|timeout_ms| clock::now().plus_ms(timeout_ms))
}

pub(super) fn check_words(request: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bad = |path: String, code: &'static str, message: String| {
        problems.push(Problem { path, code, message });
    };
    let words = [
        ("correlation_id", request.correlation_id.as_str()),
        ("idempotency_key", request.idempotency_key.as_deref().unwrap_or("none")),
    ];
    for (path, word) in words {
        if word.len() > WORDS_BYTES_MAX || word.chars().any(char::is_control) {
            let message = format!("at most {WORDS_BYTES_MAX} bytes, without control characters");
            bad(path.to_owned(), codes::BAD_VALUE, message);
        }
    }
    if request.idempotency_key.as_deref() == Some("") {
        bad("idempotency_key".to_owned(), codes::BAD_VALUE, "is empty".to_owned());
    }
    if !request.variables.is_object() {
        bad("variables".to_owned(), codes::WRONG_TYPE, "must be an object".to_owned());
    }
    if request.tags.len() > TAGS_MAX {
        bad("tags".to_owned(), codes::OUT_OF_RANGE, format!("at most {TAGS_MAX} tags are taken"));
    }
    for (at, tag) in request.tags.iter().enumerate() {
        if let Some(message) = tag_problem(tag) {
            bad(format!("tags[{at}]"), codes::OUT_OF_RANGE, message);
        }
    }
    if request.callbacks.len() > CALLBACKS_MAX {
        let message = format!("at most {CALLBACKS_MAX} callbacks are taken");
        bad("callbacks".to_owned(), codes::OUT_OF_RANGE, message);
    }
    for (at, callback) in request.callbacks.iter().enumerate() {
        if !is_callback_url(&callback.url) {
            let message = "must be an http or https URL without user or password".to_owned();
            bad(format!("callbacks[{at}].url"), codes::BAD_URL, message);
        }
    }
    problems
}

/// Callbacks in our own form, as a submission holds them, and those in other forms.
pub(super) fn parted(targets: Vec<Target>) -> (Vec<Callback>, Vec<Target>) {
    let own = |target: &Target| target.form == CallbackForm::Backstitch;
    let (plain, formed): (Vec<_>, Vec<_>) = targets.into_iter().partition(own);
    let plain = plain.into_iter().map(|Target { event, url, .. }| Callback { event, url });
    (plain.collect(), formed)
}

/// What tells a repeat from another request under the same key.
pub(super) fn request_digest(request: &Request) -> Digest {
    let (callbacks, targets) = parted(request.callbacks.clone());
    let callbacks: Vec<_> =
        callbacks.iter().map(|own| json!([own.event.word(), own.url])).collect();
    let mut whole = json!([
        request.namespace,
        request.workflow,
        request.input,
        request.variables,
        request.correlation_id,
        callbacks,
    ]);
    if let (false, Value::Array(parts)) = (targets.is_empty(), &mut whole) {
        let keyed = |own: &Target| {
            let (body, headers) = (own.form.body(), own.form.headers());
            let mut parts = vec![target_json(own)];
            parts.extend(body.key().map(|(_, key)| json!(key)));
            // Keys of requests without headers stay what they were.
            parts.extend((!headers.is_empty()).then(|| json!(headers)));
            Value::Array(parts)
        };
        parts.push(json!({ "targets": targets.iter().map(keyed).collect::<Vec<_>>() }));
    }
    // Keys of requests without tags stay what they were.
    if let (false, Value::Array(parts)) = (request.tags.is_empty(), &mut whole) {
        parts.push(json!(request.tags));
    }
    if let (Some(priority), Value::Array(parts)) = (request.priority, &mut whole) {
        parts.push(json!({ "priority": priority.word() }));
    }
    if let (Some(revision), Value::Array(parts)) = (request.revision, &mut whole) {
        parts.push(json!({ "revision": revision }));
    }
    if let (false, Value::Array(parts)) = (request.faults.is_empty(), &mut whole) {
        let words = |own: &FaultWish| {
            let strikes = match own.strikes {
                Struck::Step => Value::Bool(false),
                Struck::Undo => Value::Bool(true),
                Struck::Check => "check".into(),
            };
            json!([own.step, strikes, own.attempt, own.kind])
        };
        parts.push(json!({ "faults": request.faults.iter().map(words).collect::<Vec<_>>() }));
    }
    Digest::of(whole.to_string().as_bytes())
}

/// Whether a run can begin with these: neither is gone, and both fit.
///
/// # Errors
/// [`Error::PayloadAbsent`], [`Error::SubmissionTooLarge`].
pub(super) fn check_given(input: &Payload, variables: &Payload) -> Result<(), Error> {
    if let Some(absent) = [input, variables].into_iter().find_map(Payload::absent) {
        let why = absent.failure("what the run was submitted with");
        return Err(Error::PayloadAbsent(Box::new(why)));
    }
    let bytes = input.length_bytes() + variables.length_bytes();
    match bytes > PAYLOAD_BYTES_MAX {
        true => Err(Error::SubmissionTooLarge { bytes, max: PAYLOAD_BYTES_MAX }),
        false => Ok(()),
    }
}

/// What a run is submitted with makes no key of its workflow's limits.
pub(super) fn no_limit_key(why: &Failure) -> Error {
    let (path, message) = ("concurrency".to_owned(), why.message.clone());
    Error::InvalidSubmission(vec![Problem { path, code: codes::BAD_VALUE, message }])
}

/// An answer that is not what was asked for, as an error.
pub(crate) fn unexpected(answer: Answer, run: Option<ExecutionId>) -> Error {
    match (answer, run) {
        (Answer::NotFound, Some(run)) => Error::ExecutionNotFound(run),
        (Answer::KeyConflict(run), _) => Error::KeyConflict(run),
        (Answer::Rejected(Rejection::NoLimitKey { why }), _) => no_limit_key(&why),
        (Answer::Rejected(rejection), _) => Error::Rejected(rejection),
        (Answer::Quarantined(why), _) => Error::Quarantined(why),
        (Answer::Full(full), _) => Error::Full(full),
        (Answer::Unavailable(workflow, why), _) => Error::Unavailable { workflow, why },
        (Answer::TooLarge, _) => Error::RecordTooLarge { max: COMMIT_BYTES_MAX },
        (Answer::Draining, _) => Error::Draining,
        (answer, _) => Error::Fold(format!("the partition answered {answer:?}")),
    }
}
