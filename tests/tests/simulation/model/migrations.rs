//! The rules of migrations.

use std::sync::Arc;

use backstitch_core::arrows::{Phase, StepStatus as S};
use backstitch_core::plan::Plan;

use super::{Model, Step, Verdict, rule};

impl Model {
    /// The run goes on with another plan: what was done is not said otherwise.
    pub fn migrate(&mut self, plan: Arc<Plan>) -> Verdict {
        let goes_on = matches!(self.phase, Phase::Forward | Phase::Suspended);
        rule(goes_on && !self.forks.waits(), "only a run under way is migrated")?;
        for step in self.places().collect::<Vec<_>>() {
            let (old, new) = (self.plan.step(step), plan.step(step));
            rule(old.id == new.id, "a step keeps its place")?;
            let status = self.status(step);
            if new.gone {
                let untouched = matches!(status, S::Pending | S::Skipped | S::Pruned);
                rule(old.gone || untouched, "a step that has begun is gone")?;
            } else if status != S::Pending {
                let same = old.task == new.task && old.needs == new.needs;
                rule(same, "a step that has begun is another")?;
                let kept = old.undo.is_none() || new.undo.is_some();
                rule(kept, "a step that has begun lost its undo")?;
            }
            if new.gone && status == S::Pending {
                self.own(step).status = S::Pruned;
            }
        }
        self.steps.resize_with(plan.steps.len(), Step::pending);
        self.plan = plan;
        Ok(())
    }
}
