//! Why the engine did not do as asked, in the classes the API maps to answers.

use std::sync::Arc;

use backstitch_core::availability::Unavailable;
use backstitch_core::command::Rejection;
use backstitch_core::definition::problem::Problem;
use backstitch_core::event::ObjectKind;
use backstitch_core::export::BadLine;
use backstitch_core::failure::Failure;
use backstitch_core::ids::{Digest, ExecutionId, LetterId, PartitionId, RedriveId, ReplayId};
use backstitch_core::redrives::RedriveRejection;
use backstitch_core::replays::ReplayRejection;
use backstitch_core::rollout::NotOpen;
use backstitch_core::time::Timestamp;
use backstitch_core::travel::NoSuchPoint;

use crate::handle::HistoryCut;
use crate::slots::Full;

/// Why a request to the engine failed. Nothing was recorded unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No workflow of that id.
    #[error("there is no workflow `{workflow}`")]
    WorkflowNotFound {
        /// As asked.
        workflow: String,
    },
    /// The workflow has no revision of that number.
    #[error("workflow `{workflow}` has no revision {revision}")]
    RevisionNotFound {
        /// Whose.
        workflow: String,
        /// As asked.
        revision: u32,
    },
    /// The workflow's roll-out keeps the revision from whoever asks for it.
    #[error("revision {revision} of workflow `{workflow}` {why}")]
    RevisionNotOpen {
        /// Whose.
        workflow: String,
        /// As asked.
        revision: u32,
        /// What the roll-out says.
        why: NotOpen,
    },
    /// The workflow is disabled or archived.
    #[error("workflow `{workflow}` {why}")]
    Unavailable {
        /// Whose.
        workflow: Arc<str>,
        /// How it stands.
        why: Unavailable,
    },
    /// Another content than expected is the workflow's newest, or there is none.
    #[error("{}", not_expected(.workflow, .current.as_ref()))]
    NotExpected {
        /// Whose.
        workflow: Arc<str>,
        /// What it is.
        current: Option<Digest>,
    },
    /// Only archived workflows are purged.
    #[error("workflow `{workflow}` is not archived: archive it before it is purged")]
    NotArchived {
        /// Whose.
        workflow: String,
    },
    /// Runs of the workflow are kept, which its revisions are needed for.
    #[error("{runs} runs of workflow `{workflow}` are kept: it is purged once they are removed")]
    RunsKept {
        /// Whose.
        workflow: String,
        /// How many.
        runs: usize,
    },
    /// The roll-out can't be, for every reason named.
    #[error("the roll-out has {} problem(s)", .0.len())]
    InvalidRollout(Vec<Problem>),
    /// No roll-out is in force that could be switched off.
    #[error(
        "workflow `{workflow}` has no roll-out to kill: new runs get the newest revision. To \
         have them get an older one, set a roll-out with it as `stable`"
    )]
    RolloutNotFound {
        /// The workflow's id.
        workflow: String,
    },
    /// The key can't be as it is wanted, for every reason named.
    #[error("the API key has {} problem(s)", .0.len())]
    InvalidApiKey(Vec<Problem>),
    /// As many keys as there may be are not revoked.
    #[error("there are {max} API keys already; revoke some first")]
    TooManyApiKeys {
        /// So many there may be.
        max: usize,
    },
    /// No key of that id, or it was revoked.
    #[error("there is no API key `{0}`")]
    ApiKeyNotFound(String),
    /// Nobody says what the environment is that the node is started in.
    #[error("there is no environment `{name}`")]
    UnknownEnvironment {
        /// As given.
        name: Arc<str>,
        /// Those that there are.
        known: Vec<Arc<str>>,
    },
    /// The object can't say that, for every reason named.
    #[error("the object has {} problem(s)", .0.len())]
    InvalidObject(Vec<Problem>),
    /// There are as many objects of that kind as there may be.
    #[error("there are {max} already of the kind `{}`; remove some first", .kind.word())]
    TooManyObjects {
        /// What sort.
        kind: ObjectKind,
        /// So many there may be.
        max: usize,
    },
    /// No object of that kind and name.
    #[error("there is no {} `{name}`", .kind.word())]
    ObjectNotFound {
        /// What sort.
        kind: ObjectKind,
        /// Which.
        name: String,
    },
    /// The object says something else than expected.
    #[error("the {} `{name}` is not as expected: it was changed, or is (not) there", .kind.word())]
    ObjectNotExpected {
        /// What sort.
        kind: ObjectKind,
        /// Which.
        name: String,
    },
    /// No run of that id.
    #[error("there is no execution {0}")]
    ExecutionNotFound(ExecutionId),
    /// The run was removed: its history is gone from the store.
    #[error("execution {run} was removed at {at} by the rule `{rule}`")]
    ExecutionRemoved {
        /// The run.
        run: ExecutionId,
        /// When.
        at: Timestamp,
        /// By which rule of retention.
        rule: String,
    },
    /// A policy of retention is being applied already.
    #[error("a retention policy is being applied; wait until it is done")]
    RetentionRunning,
    /// The log is being cut already.
    #[error("the log is being cut; wait until that is done")]
    CutRunning,
    /// No letter of that id.
    #[error("there is no dead letter {0}")]
    LetterNotFound(LetterId),
    /// The file is no export, or not whole. What came before the line is imported.
    #[error("the export can't be read on: {0}")]
    BadExport(BadLine),
    /// A run was to be submitted with faults, and the server takes none.
    #[error("this server takes no runs with faults: it is not started with fault_injection on")]
    FaultsNotAllowed,
    /// Operators keep as many breakers open or closed as there may be.
    #[error("{max} breakers are kept open or closed already: release one first")]
    TooManyBreakers {
        /// Allowed.
        max: usize,
    },
    /// The record at that place is none of the audit, or there is none.
    #[error("the audit has nothing at {partition}:{position}")]
    AuditRowNotFound {
        /// As asked.
        partition: PartitionId,
        /// As asked.
        position: u64,
    },
    /// No replay of that id.
    #[error("there is no replay {0}")]
    ReplayNotFound(ReplayId),
    /// The command is wrong where the replay stands.
    #[error(transparent)]
    ReplayRejected(#[from] ReplayRejection),
    /// No redrive of that id.
    #[error("there is no redrive {0}")]
    RedriveNotFound(RedriveId),
    /// The command is wrong where the redrive stands.
    #[error(transparent)]
    RedriveRejected(#[from] RedriveRejection),
    /// The run has no state at the point asked for.
    #[error(transparent)]
    NoSuchPoint(#[from] NoSuchPoint),
    /// The cursor belongs to a store as it was before a restore, or to another one.
    #[error(
        "the cursor was given out under generation {given} of another store or of this one \
         before it was restored (generation {generation}); what it points at may not exist \
         any more: begin again without it, or with `from`"
    )]
    CursorOutdated {
        /// The cursor's.
        given: u32,
        /// The store's.
        generation: u32,
    },
    /// Some of the history that was asked for was cut off the log.
    #[error(
        "some of the events asked for were cut: the history of partition {partition} begins behind \
         position {position}. Begin without a place, or with the cursor {} (what came before it was \
         cut, up to {})", .cut.cursor, .cut.until
    )]
    HistoryCut {
        /// Of which partition.
        partition: u16,
        /// Its last position that is gone.
        position: u64,
        /// Where what is left begins.
        cut: HistoryCut,
    },
    /// The definition is wrong, in every place named.
    #[error("the definition has {} problem(s)", .0.len())]
    InvalidDefinition(Vec<Problem>),
    /// The submission is wrong, in every place named.
    #[error("the submission has {} problem(s)", .0.len())]
    InvalidSubmission(Vec<Problem>),
    /// Input and variables are larger than one record may be.
    #[error("input and variables have {bytes} bytes; at most {max} are taken")]
    SubmissionTooLarge {
        /// Given.
        bytes: usize,
        /// Allowed.
        max: usize,
    },
    /// What is to be recorded is larger than one record may be.
    #[error("what is to be recorded is larger than a record may be, which is {max} bytes")]
    RecordTooLarge {
        /// Allowed.
        max: usize,
    },
    /// No record names a content of that digest, and none is kept.
    #[error("no payload {0} is kept beside the records")]
    PayloadNotFound(Digest),
    /// What the request needs of a run is erased or missing.
    #[error("{}", .0.message)]
    PayloadAbsent(Box<Failure>),
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used for {0} with another request")]
    KeyConflict(ExecutionId),
    /// The command is wrong where the run stands.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The run can't be worked on.
    #[error("the execution is set aside: {0}")]
    Quarantined(String),
    /// There is no room for the run, not even to wait. Nothing was recorded.
    #[error(transparent)]
    Full(#[from] Full),
    /// The node is stopping.
    #[error("the server is shutting down and takes no new work")]
    Draining,
    /// The engine has stopped; whether the request was recorded is unknown.
    #[error("the engine has stopped")]
    Stopped,
    /// The journal can't be read, opened or written.
    #[error("the journal failed")]
    Journal(#[source] backstitch_journal::Error),
    /// The cursor is of another list.
    #[error("{0}")]
    Cursor(backstitch_journal::Error),
    /// An executor can't be set up.
    #[error("the executors can't be set up")]
    Executors(#[from] backstitch_executors::Error),
    /// What is in the journal can't be folded.
    #[error("the journal can't be folded: {0}")]
    Fold(String),
}

impl From<backstitch_journal::Error> for Error {
    fn from(error: backstitch_journal::Error) -> Self {
        match error {
            cursor @ backstitch_journal::Error::Cursor => Self::Cursor(cursor),
            error => Self::Journal(error),
        }
    }
}

fn not_expected(workflow: &str, current: Option<&Digest>) -> String {
    match current {
        Some(digest) => format!(
            "the newest revision of workflow `{workflow}` is another than expected: its digest is \
             {digest}"
        ),
        None => format!("there is no workflow `{workflow}`, and one was expected"),
    }
}
