//! Looks at every durable event as it comes: the arrows it follows, and the reference model.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::event::{Event, ForkEvent, RunEvent};
use backstitch_core::evolve::evolve_onto;
use backstitch_core::ids::{ExecutionId, StreamId};
use backstitch_core::lineage::Plans as _;
use backstitch_core::state::State;
use backstitch_saga::partition::StagedRecord;

use super::arrows::{self, Arrow, Standing};
use super::disk::Disk;
use super::model::Model;
use super::model::slots::Slots;

/// Every run that is on the disk, folded event by event beside its model.
#[derive(Default)]
pub struct Watch {
    runs: BTreeMap<ExecutionId, Watched>,
    /// Who may go on at a time.
    pub slots: Slots,
    /// The arrows that any run followed.
    pub arrows: BTreeSet<Arrow>,
    /// What was planned for checks and struck one.
    pub struck: BTreeSet<&'static str>,
}

struct Watched {
    state: State,
    model: Model,
    standing: Standing,
}

impl Watch {
    /// Nobody is there yet.
    pub fn new(runs_max: Option<usize>) -> Self {
        Self { slots: Slots::new(runs_max), ..Self::default() }
    }

    /// A record became durable.
    pub fn see(&mut self, record: &StagedRecord, disk: &Disk, seed: u64) {
        let StreamId::Execution(run) = &record.stream else { return };
        let Event::Run(event) = &record.event else { return };
        if let RunEvent::Submitted(own) = event {
            let plan = disk.plan_of(&[own.digest]).expect("every content is on the disk");
            let state = State::begin(*run, plan.clone(), own.clone(), record.at);
            self.slots.submitted(*run, &plan);
            let (standing, model) = (Standing::of(&state), Model::new(plan));
            self.runs.insert(*run, Watched { state, model, standing });
            return;
        }
        let Some(own) = self.runs.get_mut(run) else {
            panic!("seed {seed}: {run}: version {}: {event:?} of no run", record.version)
        };
        own.see(event, record, disk, (&mut self.arrows, &mut self.slots)).unwrap_or_else(|why| {
            for (version, event) in (1..).zip(&disk.runs[run]) {
                eprintln!("{version:4} {:?}", event.event);
            }
            panic!("seed {seed}: {run}: version {}: {event:?}: {why}", record.version)
        });
    }

    /// The runs on the disk that stand so.
    pub fn runs_that(&self, stand: impl Fn(&State) -> bool) -> Vec<ExecutionId> {
        let standing = self.runs.iter().filter(|(_, own)| stand(&own.state));
        standing.map(|(run, _)| *run).collect()
    }

    /// A run left the disk.
    pub fn forget(&mut self, run: &ExecutionId) {
        self.runs.remove(run);
        self.slots.forget(run);
    }
}

impl Watched {
    fn see(
        &mut self,
        event: &RunEvent,
        record: &StagedRecord,
        disk: &Disk,
        (seen, slots): (&mut BTreeSet<Arrow>, &mut Slots),
    ) -> Result<(), String> {
        let subject = match event {
            RunEvent::LetterRetried { letter, .. } => self.model.subject(*letter),
            _ => None,
        };
        let onto = match event {
            RunEvent::Fork(ForkEvent::Migrated { digest, .. }) => {
                let mut lineage = self.state.lineage();
                lineage.push(*digest);
                let plan = disk.plan_of(&lineage).ok_or("its revisions make no plan")?;
                self.model.migrate(plan.clone())?;
                Some(plan)
            }
            _ => None,
        };
        self.model.happened(event, record.at)?;
        evolve_onto(&mut self.state, event, onto.as_ref(), record.at)
            .map_err(|illegal| illegal.to_string())?;
        // Nobody here performs anything.
        drop(self.state.take_touched(record.at));
        let (after, told) = (Standing::of(&self.state), self.model.standing());
        if after != told {
            return Err(format!("the model and the fold differ:\n{told:?}\n{after:?}"));
        }
        arrows::note((&self.standing, &after), event, subject, seen)?;
        let own = (self.state.id, &self.state.submitted.workflow);
        slots.happened(own, event, (&self.standing, &after), self.model.is_told())?;
        self.standing = after;
        Ok(())
    }
}
