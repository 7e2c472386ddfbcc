//! Pinning runs to what policies, the environment and adapters make of their revisions.

use std::sync::Arc;

use backstitch_core::definition::problem::Problem;
use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{Digest, ExecutionId};
use backstitch_core::lineage::lineage_of;
use backstitch_core::plan::Plan;
use backstitch_core::policy::Rules;
use backstitch_core::report::{Written, effective_json};
use serde_json::{Value, json};

use super::{Handle, blocking, unexpected};
use crate::catalog::{Chosen, Revision};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Definition, Expected, Input};
use crate::policies::{Made, Settled, make};

impl Handle {
    /// A revision with what a new run of it is pinned to. That is durable.
    ///
    /// # Errors
    /// [`Error::InvalidSubmission`] when policies make no definition of it, [`Error::Draining`],
    /// [`Error::Stopped`].
    pub(super) async fn pinned(
        &self,
        namespace: &Arc<str>,
        chosen: Chosen,
    ) -> Result<Chosen, Error> {
        let settled = match self.catalog().policies().settled(namespace, chosen.plan.digest) {
            Ok(settled) => settled,
            Err(_) => self.settle(namespace, &chosen.plan.workflow, chosen.number).await?,
        };
        match settled {
            Settled::AsItIs => Ok(chosen),
            Settled::Adapted(plan) => Ok(Chosen { plan, ..chosen }),
            Settled::DoesNotFit(problems) => Err(Error::InvalidSubmission(problems.to_vec())),
        }
    }

    /// The same of a revision that a run under way goes on with.
    pub(super) async fn pinned_revision(
        &self,
        namespace: &Arc<str>,
        revision: Revision,
    ) -> Result<Revision, Error> {
        let (number, plan) = (revision.number, revision.plan.clone());
        let chosen = self.pinned(namespace, Chosen { number, plan, variant: None }).await?;
        Ok(Revision { plan: chosen.plan, ..revision })
    }

    /// Works out what the rules in force make of a revision, and makes it durable.
    ///
    /// # Errors
    /// [`Error::Draining`], [`Error::Stopped`], [`Error::WorkflowNotFound`] when it is gone.
    pub(crate) async fn settle(
        &self,
        namespace: &Arc<str>,
        workflow: &Arc<str>,
        number: u32,
    ) -> Result<Settled, Error> {
        let (namespace, workflow) = (namespace.clone(), workflow.clone());
        let settle = move |handle: Self| async move {
            let _one_at_a_time = handle.catalog().policies().settling.lock().await;
            let revision = handle.numbered(&namespace, &workflow, number)?;
            let content = revision.plan.digest;
            let rules = match handle.catalog().policies().settled(&namespace, content) {
                Ok(settled) => return Ok(settled),
                Err(rules) => rules,
            };
            let settled = match handle.made(&rules, revision).await? {
                Ok(None) => Settled::AsItIs,
                Ok(Some(made)) => Settled::Adapted(handle.keep_made(&namespace, made).await?),
                Err(problems) => Settled::DoesNotFit(problems.into()),
            };
            let policies = handle.catalog().policies();
            policies.remember((&namespace, content), &rules, settled.clone());
            Ok(settled)
        };
        self.to_its_end(settle).await
    }

    fn numbered(&self, namespace: &str, workflow: &str, number: u32) -> Result<Revision, Error> {
        let revisions = self.catalog().revisions(namespace, workflow);
        let found = revisions.into_iter().find(|own| own.number == number);
        found.ok_or_else(|| Error::WorkflowNotFound { workflow: workflow.to_owned() })
    }

    /// What the rules in force make of a revision, recorded nowhere.
    pub(super) async fn plan_made(
        &self,
        namespace: &str,
        revision: Revision,
    ) -> Result<Arc<Plan>, Error> {
        let (rules, plan) = (self.catalog().policies().rules(namespace), revision.plan.clone());
        let made = self.made(&rules, revision).await?.map_err(Error::InvalidSubmission)?;
        Ok(made.map_or(plan, |own| own.plan))
    }

    async fn made(
        &self,
        rules: &Arc<Rules>,
        revision: Revision,
    ) -> Result<Result<Option<Made>, Vec<Problem>>, Error> {
        let (rules, registry) = (rules.clone(), self.shared.registry.clone());
        blocking(move || make(&rules, &revision, &registry)).await
    }

    /// Makes a content durable that rules made.
    async fn keep_made(&self, namespace: &Arc<str>, made: Made) -> Result<Arc<Plan>, Error> {
        let Made { plan, text, adaptation } = made;
        let definition = Box::new(Definition {
            namespace: namespace.clone(),
            workflow: plan.workflow.clone(),
            text,
            plan: plan.clone(),
            source: None,
            adaptation: Some(adaptation),
            expected: Expected::Anything,
            actor: Arc::from(""),
            defined_at: clock::now(),
        });
        match self.ask(WORKFLOWS_PARTITION, |ticket| Input::Keep(definition, ticket)).await? {
            Answer::Kept => Ok(plan),
            answer => Err(unexpected(answer, None)),
        }
    }

    /// What a revision comes to for a run that begins now, with the origin of each value.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidSubmission`] when policies make no definition
    /// of it.
    pub async fn effective(
        &self,
        namespace: &str,
        workflow: &str,
        number: u32,
    ) -> Result<Value, Error> {
        let revision = self.numbered(namespace, workflow, number)?;
        let rules = self.catalog().policies().rules(namespace);
        let made = self.made(&rules, revision.clone()).await?;
        let made = made.map_err(Error::InvalidSubmission)?;
        blocking(move || effective_of(&revision, made.as_ref())).await?
    }

    /// What the content comes to that a tenant's run is pinned to, whatever is in force by now; with
    /// the workflow's id and the revision's number.
    ///
    /// # Errors
    /// [`Error::ExecutionNotFound`], [`Error::ExecutionRemoved`], [`Error::Quarantined`] when its
    /// content is not in the journal.
    pub async fn effective_of_run(
        &self,
        namespace: &str,
        run: ExecutionId,
    ) -> Result<(Arc<str>, u32, Value), Error> {
        let (records, plan) = self.history(run).await?;
        let missing = || Error::Quarantined(format!("the content of {run} is not in the journal"));
        let plan = plan.ok_or_else(missing)?;
        let events = || records.iter().map(|own| &own.event);
        let (number, pinned) = self.plain(&plan, events())?;
        let digest = *lineage_of(events()).last().ok_or_else(missing)?;
        let of_tenant = |event: &Event| match event {
            Event::Run(RunEvent::Submitted(own)) => *own.namespace == *namespace,
            _ => false,
        };
        if !events().any(of_tenant) {
            return Err(Error::ExecutionNotFound(run));
        }
        let text = self.catalog().text(namespace, &plan.workflow, &digest).ok_or_else(missing)?;
        let adaptation = self.catalog().adaptation(&digest);
        // A revision's own content, or one whose revision was not imported with it.
        let revision = self.numbered(namespace, &plan.workflow, number).ok();
        let revision = revision.filter(|_| adaptation.is_some()).unwrap_or_else(|| Revision {
            number,
            plan: pinned.clone(),
            text: text.clone(),
            defined_at: clock::now(),
            actor: Arc::from(""),
        });
        let made = adaptation.map(|adaptation| Made { plan: pinned, text, adaptation });
        let shown = blocking(move || effective_of(&revision, made.as_ref())).await??;
        Ok((plan.workflow.clone(), number, shown))
    }
}

fn effective_of(revision: &Revision, made: Option<&Made>) -> Result<Value, Error> {
    let read = |text: &str| serde_json::from_str(text).map_err(|why| Error::Fold(why.to_string()));
    let own: Value = read(&revision.text)?;
    let (mut shown, digest) = match made {
        None => (effective_json(&Written::alone(&own), &revision.plan), revision.plan.digest),
        Some(made) => {
            let adapted: Value = read(&made.text)?;
            let applied = &made.adaptation.applied;
            let written = Written { own: &own, adapted: &adapted, applied };
            (effective_json(&written, &made.plan), made.plan.digest)
        }
    };
    shown["digest"] = json!(Digest::to_string(&digest));
    Ok(shown)
}
