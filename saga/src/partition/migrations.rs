//! Migrations in a partition: the plan of a run's lineage, made where nothing can happen to the
//! run in between.

use backstitch_core::command::{Command, Rejection};
use backstitch_core::ids::ExecutionId;

use super::{Abandon, Answer, Partition};

impl<T: Abandon> Partition<T> {
    /// The command with the plan that the run would have: a migration comes with the plan of
    /// its revision alone.
    pub(super) fn with_lineage(
        &mut self,
        id: ExecutionId,
        command: Command,
    ) -> Result<Command, Answer> {
        let Command::Migrate { plan, revision, reason, actor } = command else {
            return Ok(command);
        };
        let mut lineage = match self.resident_run(id) {
            Ok(Some(run)) if run.state.plan.digest == plan.digest => {
                let plan = run.state.plan.clone();
                return Ok(Command::Migrate { plan, revision, reason, actor });
            }
            Ok(Some(run)) => run.state.lineage(),
            Ok(None) => return Err(Answer::NotFound),
            Err(why) => return Err(Answer::Quarantined(why)),
        };
        lineage.push(plan.digest);
        let Some(plan) = self.histories.plan_of(&lineage) else {
            self.evict(id);
            let reasons = vec!["its steps and the revision's together are too many".to_owned()];
            return Err(Answer::Rejected(Rejection::MigrationRefused { reasons }));
        };
        Ok(Command::Migrate { plan, revision, reason, actor })
    }
}
