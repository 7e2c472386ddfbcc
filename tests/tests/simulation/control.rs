//! People who pause, resume, settle by hand and roll back, and senders of signals.

use backstitch_core::arrows::{Phase, StepStatus, UndoStatus};
use backstitch_core::command::Command;
use backstitch_core::event::UndoSettlement;
use backstitch_core::ids::ExecutionId;
use backstitch_core::payload::Payload;
use backstitch_core::state::State;
use backstitch_core::summary::RunStatus;
use backstitch_saga::partition::Input;
use serde_json::json;

use super::world::{Asked, World};

impl World {
    /// Something is done to a run, whether it makes sense there or not.
    pub fn control(&mut self, run: ExecutionId) {
        match self.random.below(12) {
            10 => self.roll_back_to_some_step(),
            11 => self.settle_undos(),
            0..=2 => self.meddle(|own| own.phase == Phase::Suspended),
            3 => self.force(),
            _ => self.anything(run),
        }
    }

    fn command(&mut self, run: ExecutionId, command: Command) {
        self.ask(run, Asked::Other, |ticket| Input::Command(run, command, Some(ticket)));
    }

    fn anything(&mut self, run: ExecutionId) {
        let (reason, actor) = ("by hand".to_owned(), "operator".to_owned());
        let command = match self.random.below(10) {
            0..=2 => Command::Pause { reason, actor },
            3..=4 => Command::Resume { reason, actor },
            5 => Command::RollBack { reason, actor },
            6 => {
                let step = format!("s{}", self.random.below(7));
                self.set_by_hand(step)
            }
            _ => {
                let name = match self.random.below(3) {
                    0 => format!("go-{}", self.random.below(10)),
                    _ => "go".to_owned(),
                };
                let id = self.random.chance(50).then(|| format!("id-{}", self.random.below(20)));
                let payload = Payload::of(&json!({ "by": "sender" }));
                Command::Signal { name: name.into(), payload, id, actor: "sender".to_owned() }
            }
        };
        self.command(run, command);
    }

    /// Somebody has a run that goes on, or has completed, done anew from a step, most often one
    /// that has succeeded.
    fn roll_back_to_some_step(&mut self) {
        let runs = self.watch.runs_that(|own| {
            let completed = own.status() == RunStatus::Completed;
            completed || matches!(own.phase, Phase::Forward | Phase::Suspended)
        });
        if runs.is_empty() {
            return;
        }
        let run = *self.random.pick(&runs);
        let state = self.live_state(run);
        let any = self.random.chance(5);
        let steps = state.plan.steps.iter().zip(&state.steps);
        let good = steps.filter(|(plan, own)| {
            any || (own.status == StepStatus::Succeeded && !plan.dependants.is_empty())
        });
        let good: Vec<_> = good.map(|(plan, _)| plan.id.to_string()).collect();
        if !good.is_empty() {
            let (step, accept_unsafe) = (self.random.pick(&good).clone(), self.random.chance(50));
            let (reason, actor) = ("done wrongly".to_owned(), "operator".to_owned());
            self.command(run, Command::RollBackTo { step, accept_unsafe, reason, actor });
        }
    }

    fn set_by_hand(&mut self, step: String) -> Command {
        let (reason, actor) = ("by hand".to_owned(), "operator".to_owned());
        let output = Payload::of(&json!({ "receipt": "by hand" }));
        let output = self.random.chance(50).then_some(output);
        Command::OverrideStep { step, output, reason, actor }
    }

    /// A step that is not settled is settled by hand in some run that stands so.
    fn meddle(&mut self, stands: impl Fn(&State) -> bool) {
        let runs = self.watch.runs_that(stands);
        if runs.is_empty() {
            return;
        }
        let run = *self.random.pick(&runs);
        let state = self.live_state(run);
        let settled = ["succeeded", "skipped", "pruned", "cancelled"];
        let steps = state.plan.steps.iter().zip(&state.steps);
        let open = steps.filter(|(_, own)| !settled.contains(&own.word()));
        let mut open: Vec<_> = open.map(|(plan, own)| (own.status, plan.id.to_string())).collect();
        // What is rare among them is as likely as what is not.
        open.dedup_by_key(|own| own.0);
        if !open.is_empty() {
            let (_, step) = self.random.pick(&open).clone();
            let command = self.set_by_hand(step);
            self.command(run, command);
        }
    }

    /// Somebody says what became of undos, most often where one waits for that or has failed.
    fn settle_undos(&mut self) {
        let open = |own: &State| {
            let mut undos = own.steps.iter().filter_map(|own| own.undo.as_ref());
            undos.any(|own| matches!(own.status, UndoStatus::Waiting | UndoStatus::Failed))
        };
        let runs = self.watch.runs_that(open);
        if !runs.is_empty() {
            let run = *self.random.pick(&runs);
            let step = self.random.chance(60).then(|| self.some_undo(run)).flatten();
            let command = self.settling(step);
            self.command(run, command);
        }
    }

    /// A step of the run whose undo waits for a person, has failed, or, rarely, neither.
    fn some_undo(&mut self, run: ExecutionId) -> Option<String> {
        let state = self.live_state(run);
        let any = self.random.chance(5);
        let steps = state.plan.steps.iter().zip(&state.steps);
        let open = steps.filter(|(_, own)| {
            let undo = own.undo.as_ref().map(|undo| undo.status);
            any || matches!(undo, Some(UndoStatus::Waiting | UndoStatus::Failed))
        });
        let open: Vec<_> = open.map(|(plan, _)| plan.id.to_string()).collect();
        (!open.is_empty()).then(|| self.random.pick(&open).clone())
    }

    pub fn settling(&mut self, step: Option<String>) -> Command {
        let settlement = *self.random.pick(&UndoSettlement::ALL);
        let (note, actor) = ("seen to".to_owned(), "operator".to_owned());
        Command::SettleUndos { step, settlement, note, actor }
    }

    /// Somebody has no patience with undos, least of all with one that waits.
    fn force(&mut self) {
        let waits = |own: &State| undo_stands(own, &[UndoStatus::Retrying]);
        let mut unwinding = self.watch.runs_that(waits);
        if unwinding.is_empty() || self.random.chance(50) {
            unwinding = self.watch.runs_that(|own| own.phase == Phase::Unwinding);
        }
        if !unwinding.is_empty() {
            let run = *self.random.pick(&unwinding);
            self.force_to_end(run);
        }
    }

    fn force_to_end(&mut self, run: ExecutionId) {
        let (reason, actor) = ("at once".to_owned(), "operator".to_owned());
        self.command(run, Command::Cancel { reason, actor, compensate: None, force: true });
    }

    /// Somebody comes between the two halves of a decision that was cut: where steps or undos
    /// are ready and have not started. Says whether there was a place for it.
    pub fn interrupt(&mut self) -> bool {
        let ready = |own: &State| own.steps.iter().any(|own| own.status == StepStatus::Ready);
        let undos = self.watch.runs_that(|own| undo_stands(own, &[UndoStatus::Ready]));
        let steps = self.watch.runs_that(|own| own.phase == Phase::Forward && ready(own));
        match (undos.first(), steps.first()) {
            (Some(run), _) => self.force_to_end(*run),
            (None, Some(run)) => {
                let (reason, actor) = ("between".to_owned(), "operator".to_owned());
                self.command(*run, Command::Pause { reason, actor });
                if self.random.chance(60) {
                    self.meddle(ready);
                }
            }
            (None, None) => return false,
        }
        true
    }
}

fn undo_stands(state: &State, so: &[UndoStatus]) -> bool {
    state.phase == Phase::Unwinding
        && state
            .steps
            .iter()
            .filter_map(|own| own.undo.as_ref())
            .any(|own| so.contains(&own.status))
}
