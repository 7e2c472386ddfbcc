//! A test for a person, a row for each run as it ends, or for a program, one object at the end.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::course::Trial;
use super::faults::Fault;
use super::subject::Subject;
use crate::error::Error;
use crate::terminal::{Terminal, Tone};

/// How wide the first two columns are.
const FAULT_CHARS: usize = 60;
const STATUS_CHARS: usize = 20;

/// Kills in one run, until they are told together.
#[derive(Debug, Default)]
struct Kills {
    words: String,
    /// Kills that changed nothing: what was left was left without them, too.
    same: u32,
    /// Whether that is nothing.
    is_clean: bool,
    statuses: BTreeMap<String, u32>,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Table {
    terminal: Terminal,
    is_json: bool,
    about: Value,
    workflow: String,
    runs: Vec<Value>,
    /// By step, or nothing for a run as a whole: in how many runs something was left.
    left: BTreeMap<Option<String>, u32>,
    never_undone: Vec<String>,
    never_asked: Vec<String>,
    kills: Kills,
    stopped: Option<String>,
}

impl Table {
    pub(super) fn new(terminal: Terminal, is_json: bool, subject: &Subject, mocked: bool) -> Self {
        let plan = subject.plan();
        let about = json!({
            "workflow_id": plan.workflow, "digest": plan.digest.to_string(), "mocked": mocked,
        });
        Self {
            terminal,
            is_json,
            about,
            workflow: plan.workflow.to_string(),
            runs: Vec::new(),
            left: BTreeMap::new(),
            never_undone: Vec::new(),
            never_asked: Vec::new(),
            kills: Kills::default(),
            stopped: None,
        }
    }

    /// Says how many runs there will be.
    pub(super) fn begin(&self, planned: usize, kills: bool) -> Result<(), Error> {
        let services = if self.about["mocked"] == true { "mocks" } else { "its services" };
        let kills = if kills { ", then one for each moment of a kill" } else { "" };
        let runs =
            if planned == 1 { "1 run".to_owned() } else { format!("at most {planned} runs") };
        self.say(&format!("Workflow `{}` against {services}: {runs}{kills}", self.workflow))?;
        let heading = format!("  {:<FAULT_CHARS$} {:<STATUS_CHARS$} left behind", "fault", "run");
        self.say(&self.terminal.paint(Tone::Faint, &heading))
    }

    /// Tells what is under way, where somebody looks on.
    pub(super) fn progress(&self, run: u32, words: &str) -> Result<(), Error> {
        if self.is_json { Ok(()) } else { self.terminal.passing(&format!("  run {run}: {words}")) }
    }

    /// A run and what it left behind.
    pub(super) fn add(&mut self, trial: &Trial) -> Result<(), Error> {
        self.note(trial);
        let status = if trial.is_met { &*trial.status } else { "not met" };
        self.row(&trial.fault.words(), status, trial)
    }

    /// No run undid a step, so that its undo was not called twice.
    pub(super) fn never_undone(&mut self, step: &str) -> Result<(), Error> {
        self.never_undone.push(step.to_owned());
        self.not_met(&format!("undo of {step} is called twice"))
    }

    /// No run asked whether a step took effect, so that no check met a fault.
    pub(super) fn never_asked(&mut self, step: &str) -> Result<(), Error> {
        self.never_asked.push(step.to_owned());
        self.not_met(&format!("check of {step} is called twice"))
    }

    fn not_met(&self, words: &str) -> Result<(), Error> {
        self.say(&format!("- {words:<FAULT_CHARS$} {:<STATUS_CHARS$} -", "not met"))
    }

    /// Kills in a run begin.
    pub(super) fn begin_kills(&mut self, during: &Fault, unkilled: &Trial) -> Result<(), Error> {
        let is_clean = unkilled.left.is_empty();
        self.kills = Kills { words: during.beside(), is_clean, ..Kills::default() };
        let records = unkilled.evidence.records.len();
        let all = 2 * records;
        self.say(&format!(
            "  killing at each of {records} journal records{}: at most {all} runs",
            during.beside()
        ))
    }

    /// One kill; it is told by itself if something was left.
    pub(super) fn add_kill(&mut self, trial: &Trial, unkilled: &Trial) -> Result<(), Error> {
        self.note(trial);
        if trial.left == unkilled.left {
            self.kills.same += 1;
            *self.kills.statuses.entry(trial.status.clone()).or_default() += 1;
            return Ok(());
        }
        let mut words = trial.fault.words();
        if let Fault::Killed { records, .. } = &trial.fault
            && unkilled.evidence.is_alone()
        {
            let last = usize::try_from(*records).ok().and_then(|at| at.checked_sub(1));
            let last = last.and_then(|at| trial.evidence.records.get(at));
            words.extend(last.map(|last| format!(" (record {records} is {last})")));
        }
        self.row(&words, &trial.status, trial)
    }

    /// All kills of a run are made.
    pub(super) fn end_kills(&mut self) -> Result<(), Error> {
        let Kills { words, same, is_clean, statuses } = std::mem::take(&mut self.kills);
        if same == 0 {
            return Ok(());
        }
        let fault = format!("killed at {same} moments{words}");
        let statuses: Vec<_> = statuses.keys().map(String::as_str).collect();
        let (sign, left) = match is_clean {
            true => (self.terminal.paint(Tone::Good, "+"), "-"),
            false => (self.terminal.paint(Tone::Bad, "x"), "the same as without the kill"),
        };
        self.say(&format!(
            "{sign} {fault:<FAULT_CHARS$} {:<STATUS_CHARS$} {left}",
            statuses.join(", ")
        ))
    }

    /// Not all runs are made, and why.
    pub(super) fn stop(&mut self, why: &str) -> Result<(), Error> {
        self.stopped = Some(why.to_owned());
        Ok(())
    }

    /// The end of it.
    ///
    /// # Errors
    /// [`Error::Failed`] if anything was left behind, or not all runs were made.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let total = self.runs.len();
        let mut sentences = Vec::new();
        for (step, runs) in &self.left {
            let whom = step.as_deref().map_or("the run".to_owned(), |step| format!("`{step}`"));
            sentences.push(format!("{whom} leaves something behind in {runs} of {total} runs"));
        }
        sentences.extend(self.stopped.as_ref().map(|why| format!("not all runs were made: {why}")));
        if self.is_json {
            let steps: Vec<_> = self.left.keys().flatten().collect();
            self.about["clean"] = sentences.is_empty().into();
            self.about["left_behind_by"] = json!(steps);
            self.about["never_undone"] = json!(self.never_undone);
            self.about["never_asked"] = json!(self.never_asked);
            self.about["stopped"] = json!(self.stopped);
            self.about["runs"] = std::mem::take(&mut self.runs).into();
            self.terminal.line(&self.about.to_string())?;
        }
        if !sentences.is_empty() {
            return Err(Error::Failed(sentences.join("; ")));
        }
        self.say(&format!("{total} runs, and nothing is left behind"))
    }

    fn note(&mut self, trial: &Trial) {
        let mut steps: Vec<_> = trial.left.iter().map(super::verdict::Left::name).collect();
        steps.sort();
        steps.dedup();
        for step in steps {
            *self.left.entry(step).or_default() += 1;
        }
        self.runs.push(json!({
            "number": trial.number,
            "fault": trial.fault.json(),
            "words": trial.fault.words(),
            "execution_id": trial.run,
            "status": trial.status,
            "met": trial.is_met,
            "left": trial.left.iter().map(super::verdict::Left::json).collect::<Vec<_>>(),
        }));
    }

    fn row(&self, fault: &str, status: &str, trial: &Trial) -> Result<(), Error> {
        let sign = match (trial.left.is_empty(), trial.is_met) {
            (false, _) => self.terminal.paint(Tone::Bad, "x"),
            (true, true) => self.terminal.paint(Tone::Good, "+"),
            (true, false) => "-".to_owned(),
        };
        let mut words = trial.left.iter().map(|left| left.words.as_str());
        let first = words.next().unwrap_or("-");
        self.say(&format!("{sign} {fault:<FAULT_CHARS$} {status:<STATUS_CHARS$} {first}"))?;
        let indent = FAULT_CHARS + STATUS_CHARS + 4;
        words.try_for_each(|words| self.say(&format!("{:indent$}{words}", "")))
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        if self.is_json {
            return Ok(());
        }
        self.terminal.passing("")?;
        self.terminal.line(text)
    }
}
