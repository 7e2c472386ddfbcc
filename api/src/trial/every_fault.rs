//! Which faults there are to meet, one run after the other.
//!
//! First a run without a fault, then each step in turn: it fails, it acts and then fails, it is
//! called twice. Then each undo called twice, in a run that undoes it, and each check called twice
//! and its answer lost, in a run that asks. Last the server killed, if it is the test's own, at each
//! journal position, of the run without a fault and of the one that undoes most: between any two
//! writes to the journal there are two moments, before the next one with all that the last one
//! brought about, and behind the last one with nothing of it.

use std::collections::BTreeMap;

use backstitch_saga::hold::Moment;

use super::course::{Course, Kill, Trial};
use super::faults::Fault;
use super::table::Table;
use crate::error::Error;

/// How far a test goes.
pub(super) struct Bounds {
    /// The most runs.
    pub(super) runs_max: u32,
    /// Whether there are faults.
    pub(super) every_fault: bool,
}

/// What is made so far.
struct Made<'a> {
    course: &'a mut Course,
    table: &'a mut Table,
    runs: u32,
    runs_max: u32,
    /// By step: a run that undoes it.
    undoing: BTreeMap<String, Fault>,
    /// By step: a run that asks whether it took effect.
    asking: BTreeMap<String, Fault>,
    /// The run that undoes most.
    most: Option<(usize, Fault)>,
}

/// Makes every run.
pub(super) async fn run(
    course: &mut Course,
    table: &mut Table,
    bounds: &Bounds,
) -> Result<(), Error> {
    let subject = course.subject();
    let (calls, undos, checks) = (subject.calls(), subject.undos(), subject.checks());
    let faults = 3 * calls.len() + undos.len() + 2 * checks.len();
    let planned = 1 + if bounds.every_fault { faults } else { 0 };
    table.begin(planned, bounds.every_fault && course.can_be_killed())?;
    let (undoing, asking) = (BTreeMap::new(), BTreeMap::new());
    let runs_max = bounds.runs_max;
    let mut made = Made { course, table, runs: 0, runs_max, undoing, asking, most: None };
    let Some(first) = made.run(Fault::None).await? else { return Ok(()) };
    if !bounds.every_fault {
        return Ok(());
    }
    if first.status != "completed" {
        let message = first.evidence.run()["error"]["message"].as_str().unwrap_or("it did not end");
        let why = format!("faults are for a run that completes without one; here {message}");
        return made.table.stop(&why);
    }
    for step in &calls {
        for fault in [Fault::Fails, Fault::FailsLate, Fault::Repeated] {
            if made.run(fault(step.clone())).await?.is_none() {
                return Ok(());
            }
        }
    }
    for step in undos {
        match made.undoing.get(&step).cloned() {
            Some(beside) => {
                let fault = Fault::UndoRepeated(step, Box::new(beside));
                if made.run(fault).await?.is_none() {
                    return Ok(());
                }
            }
            None => made.table.never_undone(&step)?,
        }
    }
    for step in checks {
        let Some(beside) = made.asking.get(&step).cloned() else {
            made.table.never_asked(&step)?;
            continue;
        };
        for fault in [Fault::CheckRepeated, Fault::CheckLost] {
            if made.run(fault(step.clone(), Box::new(beside.clone()))).await?.is_none() {
                return Ok(());
            }
        }
    }
    if !made.course.can_be_killed() {
        return Ok(());
    }
    made.kill_at_each_position(&first, &Fault::None).await?;
    if let Some((_, most)) = made.most.take() {
        let Some(unkilled) = made.quiet(most.clone()).await? else { return Ok(()) };
        made.kill_at_each_position(&unkilled, &most).await?;
    }
    Ok(())
}

impl Made<'_> {
    /// One more run, unless there are enough.
    async fn run(&mut self, fault: Fault) -> Result<Option<Trial>, Error> {
        let Some(trial) = self.quiet(fault).await? else { return Ok(None) };
        self.table.add(&trial)?;
        let undone = trial.evidence.undone();
        if self.most.as_ref().is_none_or(|(most, _)| undone.len() > *most) && !undone.is_empty() {
            self.most = Some((undone.len(), trial.fault.clone()));
        }
        for step in undone {
            self.undoing.entry(step).or_insert_with(|| trial.fault.clone());
        }
        for step in trial.evidence.asked() {
            self.asking.entry(step).or_insert_with(|| trial.fault.clone());
        }
        Ok(Some(trial))
    }

    /// The same, told nowhere.
    async fn quiet(&mut self, fault: Fault) -> Result<Option<Trial>, Error> {
        if !self.has_room()? {
            return Ok(None);
        }
        self.table.progress(self.runs, &fault.words())?;
        self.course.run(fault).await.map(Some)
    }

    fn has_room(&mut self) -> Result<bool, Error> {
        if self.runs >= self.runs_max {
            let why = format!("{} runs are made, which is all that --runs-max allows", self.runs);
            self.table.stop(&why)?;
            return Ok(false);
        }
        self.runs += 1;
        Ok(true)
    }

    /// Kills the server at each journal position of a run like `unkilled`.
    async fn kill_at_each_position(
        &mut self,
        unkilled: &Trial,
        during: &Fault,
    ) -> Result<(), Error> {
        let mut records = 0;
        self.table.begin_kills(during, unkilled)?;
        'positions: loop {
            for moment in [Moment::Behind, Moment::Before] {
                if moment == Moment::Behind && records == 0 {
                    continue; // Nothing is recorded.
                }
                if !self.has_room()? {
                    break 'positions;
                }
                let told = format!("killed at record {records}{}", during.beside());
                self.table.progress(self.runs, &told)?;
                match self.course.killed(records, moment, during).await? {
                    Kill::Struck(trial, held) => {
                        self.table.add_kill(&trial, unkilled)?;
                        if moment == Moment::Before {
                            records = held.recorded + held.waiting;
                        }
                    }
                    // That was the last record.
                    Kill::NotReached if moment == Moment::Before => break 'positions,
                    Kill::NotReached => {}
                    Kill::Late(trial) => {
                        self.table.add_kill(&trial, unkilled)?;
                        break 'positions;
                    }
                }
            }
        }
        self.table.end_kills()
    }
}
