//! The keys by which services know an effect again.

use super::{State, Subject};

impl State {
    /// The key an effect of the step carries, the same for all attempts of a round:
    /// `execution/step/round`, of an item of a loop `execution/step/item/round` by the run and
    /// the step it belongs to; for its undo with `/undo`, for asking whether there is anything to
    /// undo with `/check`. A step that a fork has kept has the key of the run it was kept from: by
    /// that its service knows it.
    #[must_use]
    pub fn idempotency_key(&self, subject: Subject) -> String {
        let (step, suffix) = match subject {
            Subject::Step(step) => (step, ""),
            Subject::Undo(step) if self.is_asking(step) => (step, "/check"),
            Subject::Undo(step) => (step, "/undo"),
            Subject::Delivery(number) => return format!("{}/callback/{number}", self.id),
            Subject::Deadline => return format!("{}/deadline", self.id),
            Subject::Message(number) => return format!("{}/message/{number}", self.id),
            Subject::Sla => return format!("{}/sla", self.id),
            Subject::Compensation => return format!("{}/compensation", self.id),
            Subject::StepLimit(step) => (step, "/limit"),
            Subject::StepSla(step) => (step, "/sla"),
        };
        let (plan, state) = (&self.plan.steps[step.at()], self.step(step));
        if let (Some(part), Some(parent), Some(whole)) =
            (&self.plan.part, self.parent(), self.plan.loop_step())
        {
            // The same for every chunk that ever has the item.
            let (run, index, round) = (parent.run, part.index(step), state.round);
            return format!("{run}/{}/{index}/{round}{suffix}", whole.id);
        }
        let kept_from = self.kept_from(step).filter(|_| subject == Subject::Step(step));
        let run = kept_from.unwrap_or(self.id);
        format!("{run}/{}/{}{suffix}", plan.id, state.round)
    }
}
