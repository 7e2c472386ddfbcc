//! Trials: a workflow is run again and again, meets one fault each time, and what every run leaves
//! behind is told.
//!
//! - `subject`: the definitions under test, and which of their steps act;
//! - `faults`: what a run meets;
//! - `mocks`, `books`, `desk`: who answers in place of services, and what took effect there;
//! - `stand_ins`: the executors of the server under test, which ask the desk;
//! - `given`: the input of a run, and the signals it waits for;
//! - `host`: the server, one of the test's own or one that runs;
//! - `course`: runs made, killed and waited for;
//! - `evidence`, `balance`, `verdict`: what is known of a run afterwards, and what it left behind;
//! - `table`: all of it for a person or a program;
//! - `every_fault`: which faults there are to meet, one after the other.
//!
//! Knows nothing of how runs are carried out: it sees a server from outside.

mod balance;
mod books;
mod course;
mod desk;
mod every_fault;
mod evidence;
mod faults;
mod given;
mod host;
mod mocks;
pub(crate) mod stand_ins;
mod subject;
mod table;
mod verdict;

use std::time::Duration;

use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::signals::Signals;
use crate::terminal::Terminal;
use balance::Balance;
use course::Course;
use desk::Desk;
use every_fault::Bounds;
pub(crate) use given::numbered;
use host::Host;
pub(crate) use mocks::{Mocks, Unmocked};
pub(crate) use subject::{Known, Subject};
use table::Table;

/// The most runs of one test unless it says otherwise.
pub const RUNS_MAX: u32 = 1_000;
/// How long one run may take unless the test says otherwise.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// What is to be tested, and how.
pub(crate) struct Test {
    /// The definitions.
    pub(crate) subject: Subject,
    /// The input of every run.
    pub(crate) input: Value,
    /// Overrides of the definition's variables.
    pub(crate) variables: Value,
    /// Who answers in place of services; without them the real ones are called.
    pub(crate) mocks: Option<Mocks>,
    /// Where it is run; in a server of its own if unsaid.
    pub(crate) server: Option<Client>,
    /// What answers the same before and behind a run that leaves nothing.
    pub(crate) balance: Option<String>,
    /// Whether runs meet faults, beside the one that meets none.
    pub(crate) every_fault: bool,
    /// The most runs.
    pub(crate) runs_max: u32,
    /// How long each may take.
    pub(crate) run_timeout: Duration,
    /// Whether the answer is one JSON object.
    pub(crate) is_json: bool,
}

/// Makes all runs and tells what they left behind.
///
/// # Errors
/// [`Error::Failed`] when any left something behind or not all could be made, and whatever kept
/// the server from being started and asked.
pub(crate) async fn run(test: Test) -> Result<(), Error> {
    let mut signals = Signals::catch()?;
    let Test { subject, input, variables, mocks, balance, .. } = test;
    let terminal = Terminal::of_stdout();
    let mut table = Table::new(terminal, test.is_json, &subject, mocks.is_some());
    let desk = match mocks {
        Some(mocks) => Some(Desk::open(mocks).await?),
        None => None,
    };
    let balance = balance.map(|url| Balance::at(&url)).transpose()?;
    let host = match test.server {
        Some(client) => Host::running(client, &subject, test.every_fault).await?,
        None => Host::own(desk.as_ref(), &subject).await?,
    };
    let mut course = Course::at(host, subject, desk, balance, test.run_timeout);
    course.gives(&input, &variables);
    let bounds = Bounds { runs_max: test.runs_max, every_fault: test.every_fault };
    let made = tokio::select! {
        made = every_fault::run(&mut course, &mut table, &bounds) => made,
        () = signals.next() => Err(Error::Failed("stopped before the end of the test".to_owned())),
    };
    // The server writes into its folder, and so it ends first.
    let closed = course.close().await;
    made?;
    closed?;
    table.finish()
}
