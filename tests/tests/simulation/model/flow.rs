//! The rules of routers, handlers, signals and limits of time.

use backstitch_core::arrows::{Phase, StepStatus as S};
use backstitch_core::event::{GraphEvent, Number};
use backstitch_core::ids::StepIndex;
use backstitch_core::time::Timestamp;

use super::{Model, Verdict, rule};

impl Model {
    pub(super) fn branched(&mut self, event: &GraphEvent, at: Timestamp) -> Verdict {
        match event {
            GraphEvent::StepAwaitsSignal { step, .. } => {
                self.goes_forward()?;
                self.own(*step).due_at = None;
                self.move_step(*step, &[S::Ready], S::Waiting)
            }
            GraphEvent::StepSignalled { step, .. } => {
                self.goes_forward()?;
                self.move_step(*step, &[S::Waiting], S::Succeeded)
            }
            GraphEvent::RouteChosen { step, route, .. } => {
                self.goes_forward()?;
                let router = self.plan.step(*step).router().ok_or("it is no router")?;
                let taken = router.targets(*route).to_vec();
                self.routes.insert(*step, taken);
                self.move_step(*step, &[S::Ready], S::Succeeded)
            }
            GraphEvent::StepLimitPassed { step, limit_ms } => {
                self.goes_forward()?;
                let limit = self.number(Some(*step), Number::TotalTimeout);
                let limit = limit.or(self.plan.step(*step).total_timeout_ms);
                rule(limit == Some(*limit_ms), "a step has another limit, or none")?;
                let ready_at = self.own(*step).ready_at;
                let late = ready_at.is_some_and(|ready_at| ready_at.plus_ms(*limit_ms) <= at);
                rule(late, "a step passed its limit before its time")?;
                self.own(*step).unsure |= self.status(*step) == S::Running;
                let open = [S::Ready, S::Waiting, S::Retrying, S::Running];
                self.move_step(*step, &open, S::Faulted)
            }
            GraphEvent::SlaBreached { step, limit_ms } => {
                let agreed = match step {
                    Some(step) => self.plan.step(*step).sla_ms,
                    None => self.plan.sla_ms,
                };
                let agreed = self.number(*step, Number::Sla).or(agreed);
                rule(agreed == Some(*limit_ms), "something else was agreed")
            }
            GraphEvent::NumbersSet { step, numbers } => {
                self.goes_forward()?;
                let templates = match step {
                    Some(step) => {
                        self.opens(*step)?;
                        &self.plan.step(*step).numbers
                    }
                    None => &self.plan.numbers,
                };
                let meant = templates.iter().map(|own| own.number);
                let same = meant.eq(numbers.iter().map(|(own, _)| *own));
                rule(same, "other numbers are set than the definition has templates for")?;
                let known = self.numbers.insert(*step, numbers.iter().copied().collect());
                rule(known.is_none(), "numbers are set once")
            }
            GraphEvent::StepKeyed { step, keys } => {
                self.goes_forward()?;
                rule(self.may_open(*step), "a step opens before what it needs is settled")?;
                let most = self.plan.step(*step).limits.len();
                rule((1..=most).contains(&keys.len()), "a step has other keys than it asks for")
            }
            GraphEvent::StepCacheHit { step, attempt, .. } => {
                self.goes_forward()?;
                let plan = self.plan.step(*step);
                rule(plan.cache.is_some() && plan.undo.is_none(), "the step is not cached")?;
                rule(
                    *attempt == self.own(*step).attempt,
                    "an answer from the cache is no attempt",
                )?;
                self.move_step(*step, &[S::Ready], S::Succeeded)
            }
        }
    }

    /// What it waits for, but for the steps that it handles.
    pub(super) fn needs(&self, step: StepIndex) -> Vec<StepIndex> {
        let own = self.plan.step(step);
        own.needs.iter().copied().filter(|need| !own.handles().contains(need)).collect()
    }

    /// Whether a handler was called; nothing if it is none, or that is not said yet.
    pub(super) fn is_called(&self, step: StepIndex) -> Option<bool> {
        let handles = self.plan.step(step).handles();
        if handles.is_empty() {
            return None;
        }
        let pleases = |of: &StepIndex| {
            let flow = self.plan.step(*of).flow.as_ref();
            let names = flow.is_some_and(|flow| flow.on_success.contains(&step));
            names && self.status(*of) == S::Succeeded
        };
        let all_settled = handles.iter().all(|of| self.settled(*of));
        Some(self.called.contains(&step) || (all_settled && handles.iter().any(pleases)))
    }

    /// On a branch not taken, behind a failure that was made good, or a handler that nobody
    /// can call any more.
    pub(super) fn is_ruled_out(&self, step: StepIndex) -> bool {
        let needs = &self.plan.step(step).needs;
        let handles = self.plan.step(step).handles();
        let uncalled = !handles.is_empty()
            && handles.iter().all(|of| self.settled(*of))
            && self.is_called(step) == Some(false);
        uncalled || needs.iter().any(|need| self.leads_past(*need, step))
    }

    /// The settled step leads elsewhere.
    fn leads_past(&self, from: StepIndex, step: StepIndex) -> bool {
        let plan = self.plan.step(from);
        let behind =
            self.handled.contains(&from) && !self.plan.step(step).handles().contains(&from);
        let off_route = plan.router().is_some_and(|router| {
            let own = router.all_targets().any(|to| to == step);
            let taken = match self.routes.get(&from) {
                Some(taken) => taken.contains(&step),
                None => self.status(from) == S::Succeeded,
            };
            own && self.settled(from) && !taken
        });
        behind || off_route
    }

    /// A step failed for good: its handlers are called, if it has any and the run goes on.
    pub(super) fn failed(&mut self, step: StepIndex) {
        if self.allowed(step) {
            return;
        }
        let handlers = self.plan.step(step).failure_handlers().to_vec();
        let partial = self.part.is_some();
        let goes_on = matches!(self.phase, Phase::Forward | Phase::Suspended) || partial;
        let good = handlers.iter().any(|own| self.has_completed(*own));
        let hope = handlers.iter().any(|own| self.may_complete(*own));
        if !goes_on || !(good || hope) {
            self.standing.insert(step);
        } else if !good {
            self.called.extend(handlers);
        }
    }

    /// Failures whose handlers are at work are made good by the first that completes, and
    /// stand when none is left.
    pub(super) fn judge(&mut self) {
        loop {
            let mut changed = false;
            for step in self.places().collect::<Vec<_>>() {
                let open = self.status(step) == S::Failed
                    && !self.allowed(step)
                    && !self.standing.contains(&step)
                    && !self.handled.contains(&step);
                if !open {
                    continue;
                }
                let handlers = self.plan.step(step).failure_handlers();
                if handlers.iter().any(|own| self.has_completed(*own)) {
                    changed |= self.handled.insert(step);
                } else if !handlers.iter().any(|own| self.may_complete(*own)) {
                    changed |= self.standing.insert(step);
                }
            }
            if !changed {
                return;
            }
        }
    }

    pub(super) fn has_completed(&self, handler: StepIndex) -> bool {
        match self.status(handler) {
            S::Succeeded => true,
            S::Failed => self.handled.contains(&handler),
            _ => false,
        }
    }

    fn may_complete(&self, handler: StepIndex) -> bool {
        match self.status(handler) {
            S::Skipped | S::Pruned | S::Succeeded => false,
            S::Failed => !self.allowed(handler),
            _ => true,
        }
    }
}
