//! Roll-outs: which revision new runs of a workflow get, and how the arms do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use backstitch_core::definition::problem::Problem;
use backstitch_core::rollout::{Applicant, InForce, RolloutWish};
use backstitch_core::statistics::RunStatistics;

use super::{Handle, Request, blocking, unexpected};
use crate::catalog::{Chosen, NotChosen};
use crate::document_metrics;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Input, RolloutAct, RolloutOrder};

/// What is in force for a workflow's new runs, and whether asking changed it.
#[derive(Debug, Clone)]
pub struct RolledOut {
    /// The roll-out; none if new runs get the newest revision.
    pub rollout: Option<Arc<InForce>>,
    /// Whether it is new.
    pub changed: bool,
}

/// Statistics of the runs of each arm, by its name and revision.
pub type ArmStatistics = BTreeMap<(String, u32), RunStatistics>;

impl Handle {
    /// Sets, switches off or ends a workflow's roll-out. When this answers, it is durable, and
    /// every run that is submitted later follows it.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidRollout`] with every problem,
    /// [`Error::RolloutNotFound`] where there is none to switch off, [`Error::Draining`],
    /// [`Error::Stopped`].
    pub async fn roll_out(
        &self,
        namespace: &Arc<str>,
        workflow: &str,
        act: RolloutAct,
    ) -> Result<RolledOut, Error> {
        self.known_workflow(namespace, workflow)?;
        let order = Box::new(RolloutOrder { name: (namespace.clone(), workflow.into()), act });
        match self.ask(WORKFLOWS_PARTITION, |ticket| Input::Rollout(order, ticket)).await? {
            Answer::RolledOut { rollout, changed } => Ok(RolledOut { rollout, changed }),
            Answer::RolloutRefused(problems) => Err(Error::InvalidRollout(problems)),
            Answer::NoRollout => Err(Error::RolloutNotFound { workflow: workflow.to_owned() }),
            answer => Err(unexpected(answer, None)),
        }
    }

    /// Everything that is wrong with a roll-out over the revisions that a workflow has.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`].
    pub fn rollout_problems(
        &self,
        namespace: &str,
        workflow: &str,
        wish: &RolloutWish,
    ) -> Result<Vec<Problem>, Error> {
        self.known_workflow(namespace, workflow)?;
        let newest = self.catalog().latest(namespace, workflow);
        Ok(wish.problems(newest.map_or(0, |revision| revision.number)))
    }

    /// What is in force for a workflow's new runs, and the statistics of each arm that has
    /// retained runs.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::Stopped`].
    pub async fn rollout(
        &self,
        namespace: &str,
        workflow: &str,
    ) -> Result<(Option<Arc<InForce>>, ArmStatistics), Error> {
        self.known_workflow(namespace, workflow)?;
        let rollout = self.catalog().rollout(namespace, workflow);
        let (journal, name) =
            (self.shared.journal.clone(), (namespace.to_owned(), workflow.to_owned()));
        let arms = blocking(move || journal.arm_statistics(&name.0, &name.1)).await?;
        Ok((rollout, arms))
    }

    pub(super) fn known_workflow(&self, namespace: &str, workflow: &str) -> Result<(), Error> {
        match self.catalog().latest(namespace, workflow) {
            Some(_) => Ok(()),
            None => Err(Error::WorkflowNotFound { workflow: workflow.to_owned() }),
        }
    }

    /// The revision that a submission gets. Its key is what it is known by: the idempotency key,
    /// the correlation id, or else `run`, its own id.
    pub(super) fn choose(
        &self,
        request: &Request,
        tags: &[Arc<str>],
        run: &str,
    ) -> Result<Chosen, Error> {
        let correlation_id = match request.correlation_id.as_str() {
            "" => run,
            given => given,
        };
        let key = request.idempotency_key.as_deref().unwrap_or(correlation_id);
        let applicant = Applicant { key, correlation_id, tags, subject: &request.actor };
        self.chosen(&request.namespace, &request.workflow, request.revision, &applicant)
    }

    pub(super) fn chosen(
        &self,
        namespace: &str,
        workflow: &str,
        wanted: Option<u32>,
        applicant: &Applicant<'_>,
    ) -> Result<Chosen, Error> {
        let began = Instant::now();
        let chosen = self.catalog().choose(namespace, workflow, wanted, applicant);
        document_metrics::asked("workflow", chosen.is_ok());
        document_metrics::read("get_workflow", began.elapsed());
        let (workflow, revision) = (workflow.to_owned(), wanted.unwrap_or_default());
        chosen.map_err(|why| match why {
            NotChosen::NoWorkflow => Error::WorkflowNotFound { workflow },
            NotChosen::NoRevision => Error::RevisionNotFound { workflow, revision },
            NotChosen::NotOpen(why) => Error::RevisionNotOpen { workflow, revision, why },
            NotChosen::DoesNotFit | NotChosen::Unsettled(_) => {
                Error::Fold(format!("`{workflow}` was asked for without the policies in force"))
            }
        })
    }
}
