//! Runs of a test: each begun under its fault, its server killed where it is to be, waited for,
//! and looked at.
//!
//! One server over one data directory serves all of them, one after the other. A run that does not
//! end in time is left with its directory, so that it is in nobody's way.

use std::time::Duration;

use backstitch_saga::hold::{Held, Moment};
use serde_json::{Value, json};

use super::balance::{self, Balance};
use super::desk::Desk;
use super::evidence::Evidence;
use super::faults::Fault;
use super::given::{numbered, send_signals};
use super::host::Host;
use super::subject::Subject;
use super::verdict::{self, Left};
use crate::client::{Client, PATIENCE, path_of};
use crate::error::Error;

/// How often a run is asked whether it has ended.
const END_POLL: Duration = Duration::from_millis(5);
/// What a run is that goes on no more; a suspended one waits for a person, who is not there.
const AT_REST: [&str; 6] =
    ["completed", "failed", "compensated", "compensation_failed", "cancelled", "suspended"];

/// One run, and what is known of it.
#[derive(Debug)]
pub(super) struct Trial {
    /// Counts the runs of the test from 1.
    pub(super) number: u32,
    /// What it met.
    pub(super) fault: Fault,
    /// Its id.
    pub(super) run: String,
    /// How it ended; `running` if it did not.
    pub(super) status: String,
    /// Whether it met its fault: not if the step was never called.
    pub(super) is_met: bool,
    /// What it left behind.
    pub(super) left: Vec<Left>,
    /// What was found of it.
    pub(super) evidence: Evidence,
}

/// How a server went on with a run.
enum Went {
    /// It was held up.
    Held(Held),
    /// The run came to rest.
    On(String),
    /// The run's time was up.
    Late(String),
}

/// What became of a kill.
pub(super) enum Kill {
    /// It struck, there.
    Struck(Trial, Held),
    /// The run came to rest before it had so many records.
    NotReached,
    /// The run's time was up before.
    Late(Trial),
}

/// A server, and what every run of it is made of.
pub(super) struct Course {
    subject: Subject,
    desk: Option<Desk>,
    balance: Option<Balance>,
    /// The balance before and behind the run without a fault.
    usual: Option<(Value, Value)>,
    run_timeout: Duration,
    input: Value,
    variables: Value,
    number: u32,
    host: Host,
}

impl Course {
    /// What is tested, at a server that knows it.
    pub(super) fn at(
        host: Host,
        subject: Subject,
        desk: Option<Desk>,
        balance: Option<Balance>,
        run_timeout: Duration,
    ) -> Self {
        let (input, variables) = (json!({}), json!({}));
        Self { subject, desk, balance, usual: None, run_timeout, input, variables, number: 0, host }
    }

    /// What every run is given.
    pub(super) fn gives(&mut self, input: &Value, variables: &Value) {
        (self.input, self.variables) = (input.clone(), variables.clone());
    }

    /// What is tested.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether its server can be killed.
    pub(super) fn can_be_killed(&self) -> bool {
        self.host.is_own()
    }

    /// Ends the server if it is the test's own, and removes all it wrote.
    pub(super) async fn close(self) -> Result<(), Error> {
        self.host.end().await
    }

    /// Makes a run that meets a fault, and looks at it.
    pub(super) async fn run(&mut self, fault: Fault) -> Result<Trial, Error> {
        let body = self.body(&fault);
        let before = self.asked().await?;
        self.finished(fault, &body, before).await
    }

    /// Makes a run whose server is killed once so many records are durable.
    pub(super) async fn killed(
        &mut self,
        records: u64,
        moment: Moment,
        during: &Fault,
    ) -> Result<Kill, Error> {
        let during = Box::new(during.clone());
        let body = self.body(&during);
        let before = self.asked().await?;
        self.host.hold(records, moment).await?;
        let killed = |records| Fault::Killed { records, moment, during };
        match self.go(&body).await? {
            Went::Held(held) => {
                self.host.restart().await?;
                let trial = self.finished(killed(held.recorded), &body, before).await?;
                Ok(Kill::Struck(trial, held))
            }
            // The hold is still set: nothing of it may be left for the next run.
            Went::On(_) => {
                self.host.lift().await?;
                Ok(Kill::NotReached)
            }
            Went::Late(run) => {
                self.host.lift().await?;
                Ok(Kill::Late(self.judged(killed(records), run, before).await?))
            }
        }
    }

    async fn finished(
        &mut self,
        fault: Fault,
        body: &Value,
        before: Option<Value>,
    ) -> Result<Trial, Error> {
        match self.go(body).await? {
            Went::On(run) | Went::Late(run) => self.judged(fault, run, before).await,
            Went::Held(_) => Err(Error::Failed("the server is held up by itself".to_owned())),
        }
    }

    /// The submission of the next run.
    fn body(&mut self, fault: &Fault) -> Value {
        self.number += 1;
        let input = numbered(&self.input, self.number);
        let mut body = json!({
            "input": input, "variables": self.variables, "revision": self.host.revision(),
        });
        let wishes = fault.wishes();
        if !wishes.is_empty() {
            body["faults"] = wishes.into();
        }
        body
    }

    /// Has the server go on with the run of a submission, as far as it does.
    async fn go(&mut self, body: &Value) -> Result<Went, Error> {
        let client = self.host.client().clone().with_patience(PATIENCE);
        let (workflow, key) = (self.subject.plan().workflow.clone(), self.host.key(self.number));
        let (timeout, desk) = (self.run_timeout, self.desk.as_ref());
        let ended = async {
            // Under its key it is the same run before and behind a kill.
            let run = client.execute(&workflow, body, Some(&key)).await?;
            let path = path_of(&["api", "v1", "executions", &run]);
            let at_rest = async {
                loop {
                    // A server that is about to be killed answers nothing.
                    let run = client.get(&path).await.unwrap_or_default();
                    if is_at_rest(&run) {
                        return;
                    }
                    if let Some(desk) = desk {
                        send_signals(&client, &run, desk.mocks()).await;
                    }
                    tokio::time::sleep(END_POLL).await;
                }
            };
            Ok(match tokio::time::timeout(timeout, at_rest).await {
                Ok(()) => Went::On(run),
                Err(_) => Went::Late(run),
            })
        };
        tokio::select! {
            biased;
            held = self.host.held() => Ok(Went::Held(held?)),
            ended = ended => ended,
        }
    }

    /// The balance now, if there is one to ask for.
    async fn asked(&self) -> Result<Option<Value>, Error> {
        match &self.balance {
            Some(balance) => balance.ask().await.map(Some),
            None => Ok(None),
        }
    }

    async fn judged(
        &mut self,
        fault: Fault,
        run: String,
        before: Option<Value>,
    ) -> Result<Trial, Error> {
        let client = self.host.client();
        let evidence = Evidence::gather(client, &run).await?;
        let mut left = verdict::left(&self.subject, &evidence, self.desk.as_ref());
        let has_ended = AT_REST.contains(&evidence.status());
        if !has_ended {
            left.push(Left::of_run("not_ended", self.why(client, &run).await?));
        }
        if let (Some(before), Some(behind)) = (before, self.asked().await?) {
            let completed = evidence.status() == "completed";
            let wrong = balance::wrong((&before, &behind), completed, self.usual.as_ref());
            left.extend(wrong.map(|words| Left::of_run("balance", words)));
            if fault == Fault::None && completed {
                self.usual = Some((before, behind));
            }
        }
        if !has_ended {
            self.host.begin_anew(self.desk.as_ref(), &self.subject).await?;
        }
        let called = |step: &str| evidence.was_called(step, fault.strikes());
        let is_met = fault.step().is_none_or(called);
        let status = evidence.status().to_owned();
        Ok(Trial { number: self.number, fault, run, status, is_met, left, evidence })
    }

    /// What a run waits for whose time is up.
    async fn why(&self, client: &Client, run: &str) -> Result<String, Error> {
        let why = client.get(&path_of(&["api", "v1", "executions", run, "why"])).await?;
        let summary = why["summary"].as_str().unwrap_or_default();
        Ok(format!("the run did not end within {} s: {summary}", self.run_timeout.as_secs_f64()))
    }
}

fn is_at_rest(run: &Value) -> bool {
    run["status"].as_str().is_some_and(|status| AT_REST.contains(&status))
}
