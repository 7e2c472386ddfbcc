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
                // What was set aside, and certainly took no effect, has nothing to undo.
                let unsure = self.steps[step.at()].unsure;
                let set_aside = matches!(status, S::Skipped | S::Pruned) && !unsure;
                let kept = set_aside || old.undo.is_none() || new.undo.is_some();
                rule(kept, "a step that has begun lost its undo")?;
            }
            if new.gone && status == S::Pending {
                self.own(step).status = S::Pruned;
            }
        }
        self.keep_numbers(&plan);
        self.steps.resize_with(plan.steps.len(), Step::pending);
        self.plan = plan;
        Ok(())
    }

    /// Numbers stay that the new plan has templates for, but for steps that have not begun.
    fn keep_numbers(&mut self, plan: &Plan) {
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.retain(|step, own| {
            let templates = step.map_or(&plan.numbers, |step| &plan.step(step).numbers);
            own.retain(|number, _| templates.iter().any(|own| own.number == *number));
            !own.is_empty() && step.is_none_or(|step| self.status(step) != S::Pending)
        });
        self.numbers = numbers;
    }
}
