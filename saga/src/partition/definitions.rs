//! The workflow streams of a partition: which revisions exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::availability::{self, Availability, Unavailable};
use backstitch_core::event::{Event, WorkflowEvent};
use backstitch_core::ids::{Digest, StreamId};
use backstitch_core::plan::Plan;
use backstitch_core::time::{Moment, Timestamp};
use backstitch_core::workflow::{self, Adaptation, Source, WorkflowState};
use backstitch_journal::record_fits;

use super::stage::{Release, Stage, StagedRecord};
use super::{Abandon, Answer, Partition};
use crate::catalog::{Name, Revision};

/// What must be a workflow's newest content for another to be recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    #[default]
    Anything,
    /// There is no such workflow.
    Nothing,
    /// There is one.
    Something,
    /// It is one of these.
    OneOf(Vec<Digest>),
}

impl Expected {
    /// Whether it is so.
    #[must_use]
    pub fn holds(&self, current: Option<Digest>) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => current.is_none(),
            Self::Something => current.is_some(),
            Self::OneOf(known) => current.is_some_and(|own| known.contains(&own)),
        }
    }
}

/// A revision that somebody wants to add.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Tenant.
    pub namespace: Arc<str>,
    /// The workflow's id.
    pub workflow: Arc<str>,
    /// The canonical JSON.
    pub text: Arc<str>,
    /// The same, compiled.
    pub plan: Arc<Plan>,
    /// The text it was submitted as; once it is recorded, the one that is kept.
    pub source: Option<Source>,
    /// What policies said in it, if it is what they made of a revision.
    pub adaptation: Option<Adaptation>,
    /// What must be current.
    pub expected: Expected,
    /// Who.
    pub actor: Arc<str>,
    /// When it was asked for; once it is recorded, when that was.
    pub defined_at: Timestamp,
}

impl Definition {
    fn stream(&self) -> StreamId {
        let (namespace, workflow) = (self.namespace.clone(), self.workflow.clone());
        StreamId::Workflow { namespace, workflow }
    }
}

/// What is recorded of a definition: its text as submitted, whether the workflow is disabled with
/// it, and the revision. A crash in between leaves a workflow disabled at most.
fn defining(own: &Definition, state: &Option<WorkflowState>) -> Vec<WorkflowEvent> {
    let Definition { text, plan, actor, source, .. } = own;
    let mut events = match source {
        Some(source) => workflow::keep_source(state, plan.digest, source, actor),
        None => Vec::new(),
    };
    let revisions = workflow::define(state, text, plan.digest, actor);
    let none = WorkflowState::default();
    let known = state.as_ref().unwrap_or(&none);
    let is_new = !revisions.is_empty();
    let number = if is_new { known.next_number() } else { known.next_number() - 1 };
    let said = availability::of_revision(&known.availability, number, plan.disabled, actor);
    let said = said.map(WorkflowEvent::Availability);
    if plan.disabled {
        // Somebody may have enabled the revision that there is.
        events.extend(said.filter(|_| is_new));
        events.extend(revisions);
    } else {
        events.extend(revisions);
        events.extend(said);
    }
    events
}

/// A content that runs are pinned to and that is no revision.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Compiled.
    pub plan: Arc<Plan>,
    /// The canonical JSON.
    pub text: Arc<str>,
    /// What policies said in it, if they made it.
    pub adaptation: Option<Adaptation>,
}

/// The fold of all workflow streams.
#[derive(Debug, Default)]
pub(super) struct Workflows {
    states: BTreeMap<StreamId, (Option<WorkflowState>, u64)>,
}

impl Workflows {
    pub(super) fn adopt(
        &mut self,
        stream: StreamId,
        events: &[(Event, Timestamp)],
    ) -> Result<(), String> {
        let (state, version) = self.states.entry(stream).or_default();
        for (event, at) in events {
            let Event::Workflow(event) = event else {
                return Err("a workflow's stream holds an event of a run".to_owned());
            };
            workflow::evolve(state, event, *at).map_err(|why| why.to_string())?;
            *version += 1;
        }
        Ok(())
    }

    /// Every workflow that anything is recorded of.
    pub(super) fn each(&self) -> impl Iterator<Item = (Name, &WorkflowState)> {
        self.states.iter().filter_map(|(stream, (state, _))| {
            let StreamId::Workflow { namespace, workflow } = stream else { return None };
            Some(((namespace.clone(), workflow.clone()), state.as_ref()?))
        })
    }

    /// A workflow as its stream tells it, with what is staged.
    pub(super) fn state(&self, stream: &StreamId) -> Option<&WorkflowState> {
        self.states.get(stream)?.0.as_ref()
    }

    pub(super) fn revisions(&self) -> Result<Vec<(Name, Revision)>, String> {
        let mut revisions = Vec::new();
        for (name, state) in self.each() {
            for own in &state.revisions {
                let plan = Plan::recompile(&own.text)
                    .map_err(|why| format!("revision {} of {}: {why:?}", own.number, name.1))?;
                let revision = Revision {
                    number: own.number,
                    plan: Arc::new(plan),
                    text: own.text.clone(),
                    defined_at: own.defined_at,
                    actor: own.actor.as_str().into(),
                };
                revisions.push((name.clone(), revision));
            }
        }
        Ok(revisions)
    }

    /// The contents that runs are pinned to and that are no revisions, compiled.
    pub(super) fn kept(&self) -> Result<Vec<Kept>, String> {
        let mut found = Vec::new();
        for (name, state) in self.each() {
            for (digest, text) in &state.kept {
                let plan = Plan::recompile(text)
                    .map_err(|why| format!("content {digest} of {}: {why:?}", name.1))?;
                let adaptation = state.adapted.get(digest).cloned();
                found.push(Kept { plan: Arc::new(plan), text: text.clone(), adaptation });
            }
        }
        Ok(found)
    }

    /// The texts that contents were submitted as.
    pub(super) fn sources(&self) -> Vec<(Name, Digest, Source)> {
        let of = |(name, state): (Name, &WorkflowState)| {
            let sources = state.sources.iter();
            let own = sources.map(|(content, source)| (name.clone(), *content, source.clone()));
            own.collect::<Vec<_>>()
        };
        self.each().flat_map(of).collect()
    }

    /// Records a revision and the text it was submitted as; answers with the text that is kept.
    pub(super) fn define(
        &mut self,
        definition: &mut Definition,
        now: Timestamp,
        stage: &mut Stage,
    ) -> Answer {
        if self.is_archived(definition) {
            let workflow = definition.workflow.clone();
            return Answer::Unavailable(workflow, Unavailable::Archived);
        }
        let current = self.state(&definition.stream()).and_then(WorkflowState::latest);
        let current = current.map(|own| own.digest);
        if !definition.expected.holds(current) {
            return Answer::NotExpected(current);
        }
        let digest = definition.plan.digest;
        let decide = |state: &Option<WorkflowState>| defining(definition, state);
        let (mut kept, mut defined_at) = (None, definition.defined_at);
        let answer = self.record(definition, decide, now, stage, |created, state| {
            kept = state.and_then(|own| own.sources.get(&digest).cloned());
            let Some(known) = state.and_then(WorkflowState::latest) else {
                return Answer::Quarantined("the revision was not recorded".to_owned());
            };
            defined_at = known.defined_at;
            Answer::Defined { revision: known.number, created }
        });
        (definition.source, definition.defined_at) = (kept, defined_at);
        answer
    }

    fn is_archived(&self, definition: &Definition) -> bool {
        let own = self.state(&definition.stream());
        own.is_some_and(|own| own.availability.archived.is_some())
    }

    /// How a workflow stands, with what is staged.
    pub(super) fn availability(&self, definition: &Definition) -> Option<&Availability> {
        Some(&self.state(&definition.stream())?.availability)
    }

    /// Records a content that imported runs are pinned to, or that policies made.
    pub(super) fn keep(
        &mut self,
        definition: &Definition,
        now: Timestamp,
        stage: &mut Stage,
    ) -> Answer {
        let Definition { text, plan, actor, adaptation, .. } = definition;
        let decide = |state: &Option<WorkflowState>| match adaptation {
            Some(own) => workflow::adapt(state, text, plan.digest, own),
            None => workflow::keep(state, text, plan.digest, actor),
        };
        self.record(definition, decide, now, stage, |_, _| Answer::Kept)
    }

    fn record(
        &mut self,
        definition: &Definition,
        decide: impl FnOnce(&Option<WorkflowState>) -> Vec<WorkflowEvent>,
        now: Timestamp,
        stage: &mut Stage,
        answer: impl FnOnce(bool, Option<&WorkflowState>) -> Answer,
    ) -> Answer {
        let stream = definition.stream();
        let events = decide(&self.states.entry(stream.clone()).or_default().0);
        let created = events.iter().any(|event| matches!(event, WorkflowEvent::Defined { .. }));
        match self.append(&stream, events, now, stage) {
            Ok(()) => answer(created, self.state(&stream)),
            Err(answer) => answer,
        }
    }

    /// Folds events and stages them: all, or none.
    pub(super) fn append(
        &mut self,
        stream: &StreamId,
        events: Vec<WorkflowEvent>,
        now: Timestamp,
        stage: &mut Stage,
    ) -> Result<(), Answer> {
        let events: Vec<_> = events.into_iter().map(Event::Workflow).collect();
        if !events.iter().all(|event| record_fits(stream, event)) {
            return Err(Answer::TooLarge);
        }
        let (state, version) = self.states.entry(stream.clone()).or_default();
        let before = state.clone();
        for event in &events {
            let Event::Workflow(event) = event else { continue };
            if let Err(why) = workflow::evolve(state, event, now) {
                *state = before;
                return Err(Answer::Quarantined(why.to_string()));
            }
        }
        for event in events {
            *version += 1;
            let stream = stream.clone();
            stage.records.push(StagedRecord::new(stream, *version, now, event));
        }
        Ok(())
    }
}

impl<T: Abandon> Partition<T> {
    /// The revisions of all workflows taken in at the start, with their plans.
    ///
    /// # Errors
    /// A sentence, when a recorded definition can't be compiled.
    pub fn revisions(&self) -> Result<Vec<(Name, Revision)>, String> {
        self.workflows.revisions()
    }

    pub(super) fn define(&mut self, mut definition: Box<Definition>, ticket: T, moment: Moment) {
        let before = self.workflows.availability(&definition).cloned().unwrap_or_default();
        let answer = self.workflows.define(&mut definition, moment.stamp, &mut self.open);
        let after = self.workflows.availability(&definition).cloned().unwrap_or_default();
        // Before the revision: a disabled one is never to be had.
        if after != before {
            let name = (definition.namespace.clone(), definition.workflow.clone());
            self.releases.push(Release::PublishAvailability(name, Box::new(after)));
        }
        self.releases.push(Release::Publish(definition, answer.clone()));
        self.answer(ticket, answer);
    }

    pub(super) fn keep(&mut self, definition: Box<Definition>, ticket: T, moment: Moment) {
        let answer = self.workflows.keep(&definition, moment.stamp, &mut self.open);
        self.releases.push(Release::Publish(definition, answer.clone()));
        self.answer(ticket, answer);
    }
}
