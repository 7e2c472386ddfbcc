//! Why a question has no answer, in one line that says what to do, and the exit code for it.

mod outcome;

use std::path::PathBuf;

use backstitch_core::command::Rejection;
use backstitch_core::definition::problem::Problem;
use backstitch_core::export::BadLine;
use backstitch_core::ids::LetterId;
use backstitch_core::travel::NoSuchPoint;

/// The exit codes of the program.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// The answer is no: not found, ambiguous, problems found, or what was to be written, be it
    /// a file, a directory or an answer, could not be.
    pub const NO: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// The directory cannot be read.
    pub const DIRECTORY: u8 = 3;
    /// A mistake in the program itself.
    pub const MISTAKE: u8 = 4;
    /// The server cannot be reached, has no time, or is none of ours.
    pub const SERVER: u8 = 5;
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was given can be no run's id.
    #[error(
        "`{given}` is not the beginning of a run's id (`exec_` and up to 36 hex digits); \
         `replay-tool list` shows the ids"
    )]
    BadId {
        /// As it was given.
        given: String,
    },
    /// No run's id begins so.
    #[error("there is no run whose id begins with `{prefix}`; `replay-tool list` shows the ids")]
    NotFound {
        /// What was asked for.
        prefix: String,
    },
    /// Several ids begin so.
    #[error("{count} runs begin with `{prefix}`: {}; give more digits", candidates(.some, *.count))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// How many there are.
        count: u64,
        /// The first of them met.
        some: Vec<String>,
    },
    /// The run has no such version.
    #[error("{run} has no version {asked}; choose one from 1 to {last}")]
    NoVersion {
        /// The run.
        run: String,
        /// What was asked for.
        asked: u64,
        /// The newest there is.
        last: u64,
    },
    /// The run has no such instant.
    #[error("there is nothing to show of {run}: {why}")]
    NoPoint {
        /// The run.
        run: String,
        /// Why not.
        why: NoSuchPoint,
    },
    /// There is no such letter.
    #[error("there is no dead letter {letter}; `replay-tool dlq list --status all` shows the ids")]
    NoLetter {
        /// What was asked for.
        letter: LetterId,
    },
    /// What was asked is wrong where the run stands.
    #[error("{what} cannot be done: {why}")]
    Rejected {
        /// What was asked.
        what: String,
        /// Why not.
        why: Rejection,
    },
    /// The step's executor takes no such input.
    #[error("{letter} is not retried, its step takes no such input: {}", listed(.problems))]
    BadInput {
        /// The letter.
        letter: LetterId,
        /// What is wrong, with its places.
        problems: Vec<Problem>,
    },
    /// The executors, which are asked about an input, cannot be had.
    #[error("the executors cannot be set up")]
    Executors(#[from] backstitch_executors::Error),
    /// The run does not fold, so nothing can be decided about it.
    #[error("{run} does not fold ({why}), so nothing can be decided about it")]
    Quarantined {
        /// The run.
        run: String,
        /// What does not fit.
        why: String,
    },
    /// The first events of the run do not add up to a state.
    #[error(
        "the first {asked} events of {run} do not fold: {why}; `replay-tool events` shows them \
         as they are"
    )]
    Unfolded {
        /// The run.
        run: String,
        /// What was asked for.
        asked: u64,
        /// What does not fit.
        why: String,
    },
    /// There is no such directory.
    #[error(
        "there is no directory {}; name the one that the server was given, with --data-dir",
        directory.display()
    )]
    NoDirectory {
        /// As it was given.
        directory: PathBuf,
    },
    /// There is no store to import into.
    #[error(
        "{} holds no store to import into; start a server on it once, which makes one \
         (`backstitch serve --data-dir DIR`), and import into that", directory.display()
    )]
    NoStore {
        /// As it was given.
        directory: PathBuf,
    },
    /// The directory holds something else.
    #[error(
        "{} is no Backstitch data directory ({detail}); name the one that the server was given, \
         with --data-dir", directory.display()
    )]
    Foreign {
        /// As it was given.
        directory: PathBuf,
        /// What gives it away.
        detail: String,
    },
    /// A server has the directory.
    #[error(
        "the data directory {} is in use by a running server; stop it first, or ask the server \
         itself with --server URL", directory.display()
    )]
    Locked {
        /// As it was given.
        directory: PathBuf,
    },
    /// The file that says what the directory is cannot be read as such.
    #[error(
        "{} is damaged ({detail}); put this file back from a copy of the directory, without it \
         the log cannot be read", path.display()
    )]
    Identity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The log is not what was written.
    #[error(
        "the log is damaged ({damage}); `replay-tool verify` names all of it, `--before-damage` \
         lists and shows what stands before it, `replay-tool salvage` saves what can be proven"
    )]
    Damaged {
        /// Where, and how.
        damage: backstitch_journal::Damage,
    },
    /// The directory cannot be read for another reason.
    #[error(transparent)]
    Journal(backstitch_journal::Error),
    /// What was decided could not be written.
    #[error("nothing was recorded: the journal refused it ({why})")]
    NotRecorded {
        /// What the journal said.
        why: String,
    },
    /// The file is no whole export.
    #[error("this is no whole export: {bad}; nothing of it was taken, export again")]
    BadExport {
        /// Which line, and why.
        bad: BadLine,
    },
    /// A run of a whole export cannot be taken in.
    #[error(
        "the import stopped: {bad}; runs before it were taken in, and the same file can be taken \
         again"
    )]
    ImportStopped {
        /// Which line, and why.
        bad: BadLine,
    },
    /// What is to be read twice can be read once at most.
    #[error(
        "{} is no file: an import is read through before anything of it is taken; write it to a \
         file first", path.display()
    )]
    NoFile {
        /// As it was given.
        path: PathBuf,
    },
    /// The policy is none.
    #[error("the retention policy is wrong: {}", listed(.problems))]
    BadPolicy {
        /// What is wrong, with its places.
        problems: Vec<Problem>,
    },
    /// The key can't be as it is wanted.
    #[error("the API key is wrong: {}", of_key(.problems))]
    BadKey {
        /// Fields, and a sentence about each.
        problems: Vec<(String, String)>,
    },
    /// As many keys as there may be are not revoked.
    #[error("there are {max} API keys already; revoke some first")]
    TooManyKeys {
        /// So many there may be.
        max: usize,
    },
    /// The system gives no random numbers, which a key is made of.
    #[error("the system gives no random numbers")]
    NoRandom,
    /// Nothing is done as of an instant that is still to come.
    #[error("{at} is in the future: name an instant that has come")]
    Future {
        /// As it was given.
        at: String,
    },
    /// Nobody said which runs are kept.
    #[error(
        "no retention policy is in this directory: one of a server's settings stands in its own \
         configuration; name its file with --policy"
    )]
    NoPolicy,
    /// The file ended too early for the system.
    #[error("the export cannot be read on; what was taken in stays")]
    Unread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server's answer did not come to its end.
    #[error("the answer of {url} broke off; no file was written, ask again")]
    BrokeOff {
        /// The server.
        url: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A file beside the data directory cannot be written or read.
    #[error("{action} {} failed", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A directory to be made has nothing to be made in.
    #[error("there is no directory {} to make one in; make it first", parent.display())]
    NoParent {
        /// What is missing.
        parent: PathBuf,
    },
    /// A file to be written is there.
    #[error(
        "{} is there already, and is not written over; name another file, or remove it first",
        path.display()
    )]
    Taken {
        /// As it was given.
        path: PathBuf,
    },
    /// What was to be written cannot be.
    #[error(transparent)]
    Output(backstitch_journal::Error),
    /// The command does not work there.
    #[error("{command} {why}")]
    Misplaced {
        /// As it was given, in backticks.
        command: String,
        /// What to do instead.
        why: &'static str,
    },
    /// What was given is no server's address.
    #[error(
        "the server `{given}` must be written as http://HOST:PORT, such as \
         http://127.0.0.1:8080 (--server, BACKSTITCH_SERVER, ORCHESTRATOR_URL)"
    )]
    BadServer {
        /// As it was given.
        given: String,
    },
    /// What was given cannot be sent as a token.
    #[error(
        "the token holds what cannot be sent, such as the end of a line; give it as one line of \
         ASCII (--token, BACKSTITCH_TOKEN)"
    )]
    BadToken,
    /// A file for TLS holds something else.
    #[error(
        "{} holds no certificate that can be used; --ca-certificate names authorities, \
         --client-certificate a certificate with its private key, both in PEM", path.display()
    )]
    BadCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No answer came.
    #[error("no answer from {url}; is the server running, and is this its address?")]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// Something else answered.
    #[error(
        "what answers at {url} is no Backstitch server, or a much older one ({detail}); check \
         --server"
    )]
    NoBackstitch {
        /// The server.
        url: String,
        /// What gave it away.
        detail: String,
    },
    /// The server is starting, stopping, or cannot write.
    #[error(
        "the server at {url} has no answer now: {message}; ask again, or stop it and use --data-dir"
    )]
    Unavailable {
        /// The server.
        url: String,
        /// Its reason.
        message: String,
    },
    /// The server wants to know who asks.
    #[error("the server at {url} refuses this caller: {message}; give --token or BACKSTITCH_TOKEN")]
    Unauthorized {
        /// The server.
        url: String,
        /// Its reason.
        message: String,
    },
    /// The server said no.
    #[error("{message} ({code})")]
    Refused {
        /// A stable word; each has a page in `docs/errors`.
        code: String,
        /// The server's sentence.
        message: String,
    },
}

fn of_key(problems: &[(String, String)]) -> String {
    let all: Vec<_> =
        problems.iter().map(|(field, message)| format!("{field} {message}")).collect();
    all.join("; ")
}

fn listed(problems: &[Problem]) -> String {
    let all: Vec<_> = problems
        .iter()
        .map(|own| format!("{}: {}", own.path, own.message).trim_start_matches(": ").to_owned())
        .collect();
    all.join("; ")
}

fn candidates(some: &[String], count: u64) -> String {
    let mut list = some.to_vec();
    let more = count.saturating_sub(some.len() as u64);
    if more > 0 {
        list.push(format!("and {more} more"));
    }
    list.join(", ")
}
