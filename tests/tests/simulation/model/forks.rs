//! The rules of forks.

use std::collections::{BTreeMap, BTreeSet};

use backstitch_core::arrows::StepStatus as S;
use backstitch_core::event::{ForkEvent, KeptStatus};
use backstitch_core::ids::{ExecutionId, StepIndex};

use super::{Model, Verdict, rule};

/// What a run keeps of another, and what it gave to its forks.
#[derive(Default)]
pub(super) struct Forks {
    /// How many steps are still to be told.
    to_come: Option<u32>,
    /// Steps whose undo is another run's.
    elsewhere: BTreeSet<StepIndex>,
    given: BTreeMap<ExecutionId, Vec<StepIndex>>,
}

impl Forks {
    /// Whether not everything is told that is kept.
    pub(super) fn waits(&self) -> bool {
        self.to_come.is_some()
    }

    pub(super) fn is_elsewhere(&self, step: StepIndex) -> bool {
        self.elsewhere.contains(&step) || self.given.values().flatten().any(|own| *own == step)
    }
}

impl Model {
    pub(super) fn forked(&mut self, event: &ForkEvent) -> Verdict {
        match event {
            ForkEvent::Begun(origin) => {
                let fresh = self.steps.iter().all(|own| own.status == S::Pending);
                self.forks.to_come = Some(origin.kept);
                rule(fresh, "a fork begins with nothing done")
            }
            ForkEvent::StepKept(kept) => {
                let step = kept.step;
                let left = self.forks.to_come.and_then(|left| left.checked_sub(1));
                self.forks.to_come = Some(left.ok_or("more is kept than was said")?);
                if !kept.undone_here {
                    self.forks.elsewhere.insert(step);
                }
                self.routes.extend(kept.led_to.clone().map(|to| (step, to)));
                let own = self.own(step);
                (own.attempt, own.unsure) = (kept.attempt, kept.unsure);
                let to = match kept.status {
                    KeptStatus::Succeeded => S::Succeeded,
                    KeptStatus::Skipped => S::Skipped,
                    KeptStatus::Pruned => S::Pruned,
                    KeptStatus::Failed => S::Failed,
                };
                self.move_step(step, &[S::Pending], to)
            }
            ForkEvent::Started => {
                rule(self.forks.to_come == Some(0), "a fork starts when all is told")?;
                self.forks.to_come = None;
                let stands = |step: StepIndex| {
                    let needs = &self.plan.step(step).needs;
                    !self.settled(step) || needs.iter().all(|need| self.settled(*need))
                };
                rule(self.places().all(stands), "a step is kept that needs one that is not")
            }
            ForkEvent::Forked { to, undoes, actor: _ } => {
                let twice = undoes.iter().any(|step| self.forks.is_elsewhere(*step));
                rule(!twice, "an undo is given away twice")?;
                self.forks.given.insert(*to, undoes.clone());
                Ok(())
            }
            // With its plan, before.
            ForkEvent::Migrated { .. } => Ok(()),
            ForkEvent::ForkDropped { fork } => {
                rule(self.forks.given.remove(fork).is_some(), "a fork is dropped that is none")
            }
        }
    }
}
