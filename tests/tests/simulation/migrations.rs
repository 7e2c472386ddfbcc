//! Revisions that come later, and operators who have runs go on with them.

use std::sync::Arc;

use backstitch_core::command::Command;
use backstitch_core::ids::ExecutionId;
use backstitch_core::lineage::Plans as _;
use backstitch_core::plan::Plan;
use backstitch_saga::partition::Input;
use serde_json::{Value, json};

use super::disk::DiskHistories;
use super::random::Random;
use super::rollouts::REVISIONS;
use super::world::{Asked, World};

/// Another revision of a definition: a step more, sometimes one less.
pub fn revised(definition: &Value, random: &mut Random) -> Value {
    let mut later = definition.clone();
    later["version"] = json!("2");
    let steps = later["steps"].as_array_mut().expect("steps");
    let count = steps.len();
    let named = |steps: &[Value], at: usize| {
        let own = json!(format!("s{at}")).to_string();
        let template = format!("steps.s{at}.");
        let others = steps.iter().enumerate().filter(|(other, _)| *other != at);
        others.into_iter().any(|(_, step)| {
            let text = step.to_string();
            text.contains(&own) || text.contains(&template)
        })
    };
    let last = count - 1;
    if count > 1 && random.chance(40) && !named(steps, last) {
        steps.truncate(last);
    }
    let mut more = json!({
        "id": "more", "type": "service", "with": { "n": "{{ input.n }}" }, "timeout": "1s",
        "undo": { "type": "service", "with": { "n": "{{ input.n }}" }, "timeout": "1s" },
    });
    if random.chance(50) {
        let need = steps[random.index(steps.len())]["id"].clone();
        let handles = |step: &Value| step["on_failure"].to_string().contains(&need.to_string());
        if !steps.iter().any(handles) {
            more["needs"] = json!([need]);
        }
    }
    steps.push(more);
    later
}

impl World {
    /// Somebody wants a run to go on with a revision of its workflow, be it its own.
    pub fn migrate(&mut self, run: ExecutionId) {
        if !self.disk.lock().expect("no panic").runs.contains_key(&run) {
            return;
        }
        let workflow = self.live_state(run).submitted.workflow.clone();
        let later = self.later.iter().chain(&self.workflows);
        let of: Vec<_> = later.filter(|plan| plan.workflow == workflow).cloned().collect();
        // The later one is asked for more often than the way back.
        let at = if self.random.chance(75) { 0 } else { of.len() - 1 };
        let plan = of[at].clone();
        let (reason, actor) = ("better".to_owned(), "operator".to_owned());
        let revision = if at == 0 { REVISIONS + 1 } else { REVISIONS };
        let command = Command::Migrate { plan, revision, reason, actor };
        self.ask(run, Asked::Other, |ticket| Input::Command(run, command, Some(ticket)));
    }

    /// The plan of a content as new runs have it, whatever became of the run's own.
    pub fn plain(&self, plan: &Plan) -> Arc<Plan> {
        let histories = DiskHistories(self.disk.clone());
        histories.plan_of(&[plan.digest]).expect("every content is on the disk")
    }
}
