//! Dry runs: a revision, or a definition that is none yet, played with mocks or with what a
//! past run recorded.

use std::sync::Arc;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::{Event, RunEvent, Submitted, targets_given};
use backstitch_core::ids::ExecutionId;
use backstitch_core::machine::replay;
use backstitch_core::payload::Payload;
use backstitch_core::plan::Plan;
use backstitch_core::rehearsal::{Question, Rehearsed, Script, Unmocked, rehearsal_json, rehearse};
use backstitch_core::time::Timestamp;
use backstitch_core::travel::{Told, compare};
use serde_json::{Value, json};

use super::{Handle, blocking};
use crate::catalog::{Catalog, Revision};
use crate::clock;
use crate::error::Error;
use crate::rehearsals::Shell;

/// A wish for a dry run, as a client puts it.
#[derive(Debug, Clone, Default)]
pub struct RehearsalWish {
    /// The workflow's id.
    pub workflow: String,
    /// Which revision; the newest if unsaid.
    pub revision: Option<u32>,
    /// A definition in place of a revision, in any form.
    pub definition: Option<Value>,
    /// The run's input; an empty object if unsaid, or that of `input_of`.
    pub input: Option<Value>,
    /// Overrides of the workflow's variables: an object.
    pub variables: Option<Value>,
    /// What attempts come to; `null` for nothing.
    pub mocks: Value,
    /// A run whose attempts stand in where `mocks` says nothing.
    pub recorded: Option<ExecutionId>,
    /// A run to be played again with its input, its attempts standing in wherever a step is
    /// given what it was given there, and to be compared with.
    pub input_of: Option<ExecutionId>,
    /// What becomes of an attempt that nobody mocks.
    pub unmocked: Unmocked,
    /// The virtual instant of the submission.
    pub starts_at: Option<Timestamp>,
}

/// A run of which something is taken.
struct Past {
    run: ExecutionId,
    plan: Arc<Plan>,
    submitted: Box<Submitted>,
    events: Vec<(Event, Timestamp)>,
}

impl Handle {
    /// Plays a run without recording or performing anything.
    ///
    /// # Errors
    /// [`Error::WorkflowNotFound`], [`Error::InvalidDefinition`], [`Error::InvalidSubmission`],
    /// [`Error::SubmissionTooLarge`], [`Error::ExecutionNotFound`], [`Error::Quarantined`], ...
    pub async fn rehearse(
        &self,
        namespace: &Arc<str>,
        wish: RehearsalWish,
    ) -> Result<Value, Error> {
        let (revision, plan) = self.rehearsed_plan(namespace, &wish).await?;
        let recorded = match wish.recorded {
            Some(run) => Some(self.past(namespace, run).await?),
            None => None,
        };
        let past = match wish.input_of {
            Some(run) => Some(self.past(namespace, run).await?),
            None => None,
        };
        let (namespace, catalog) = (namespace.clone(), self.shared.catalog.clone());
        let _turn = self.shared.large_prints.acquire().await.map_err(|_| Error::Stopped)?;
        blocking(move || {
            let question = question(namespace, plan, revision, &wish, recorded, past.as_ref())?;
            let played = rehearse(question, &Shell).map_err(|why| Error::Fold(why.to_string()))?;
            answer(&played, past.as_ref(), &catalog)
        })
        .await?
    }

    async fn rehearsed_plan(
        &self,
        namespace: &Arc<str>,
        wish: &RehearsalWish,
    ) -> Result<(u32, Arc<Plan>), Error> {
        if let Some(definition) = &wish.definition {
            let (handle, own, definition) = (self.clone(), namespace.clone(), definition.clone());
            let compiled = blocking(move || handle.compile(&own, &definition)).await??;
            let (plan, text) = (Arc::new(compiled.plan), compiled.text.into());
            let (defined_at, actor) = (clock::now(), Arc::from(""));
            let draft = Revision { number: 0, plan, text, defined_at, actor };
            return Ok((0, self.plan_made(namespace, draft).await?));
        }
        let revisions = self.catalog().revisions(namespace, &wish.workflow);
        let latest = revisions.last().map(|own| own.number);
        let Some(latest) = latest else {
            let workflow = wish.workflow.chars().take(256).collect();
            return Err(Error::WorkflowNotFound { workflow });
        };
        let wanted = wish.revision.unwrap_or(latest);
        let found = revisions.into_iter().find(|own| own.number == wanted);
        let found = found.ok_or_else(|| {
            let message = format!("`{}` has no revision {wanted}", wish.workflow);
            wrong("revision", codes::BAD_VALUE, message)
        })?;
        Ok((wanted, self.plan_made(namespace, found).await?))
    }

    async fn past(&self, namespace: &str, run: ExecutionId) -> Result<Past, Error> {
        let (records, plan) = self.history(run).await?;
        let missing = || Error::Quarantined(format!("the revision of {run} is not in the journal"));
        let plan = plan.ok_or_else(missing)?;
        let events: Vec<_> =
            records.into_iter().map(|record| (record.event, record.recorded_at)).collect();
        let Some((Event::Run(RunEvent::Submitted(submitted)), _)) = events.first() else {
            return Err(Error::Fold(format!("{run} has no submission")));
        };
        if *submitted.namespace != *namespace {
            return Err(Error::ExecutionNotFound(run));
        }
        Ok(Past { run, plan, submitted: submitted.clone(), events })
    }
}

fn wrong(path: &str, code: &'static str, message: String) -> Error {
    Error::InvalidSubmission(vec![Problem { path: path.to_owned(), code, message }])
}

/// The question that a wish is.
fn question(
    namespace: Arc<str>,
    plan: Arc<Plan>,
    revision: u32,
    wish: &RehearsalWish,
    recorded: Option<Past>,
    past: Option<&Past>,
) -> Result<Question, Error> {
    if *plan.workflow != *wish.workflow {
        let message = format!(
            "`definition` is of `{}`, and the dry run of `{}`",
            plan.workflow, wish.workflow
        );
        return Err(wrong("definition", codes::BAD_VALUE, message));
    }
    let given = wish.input.as_ref().map(Payload::of);
    let input = given.or_else(|| past.map(|past| past.submitted.input.clone()));
    let input = input.unwrap_or_else(|| Payload::of(&json!({})));
    let variables = wish.variables.as_ref().map(Payload::of);
    let variables = variables.or_else(|| past.map(|past| past.submitted.variables.clone()));
    let variables = variables.unwrap_or_else(|| Payload::of(&json!({})));
    super::request::check_given(&input, &variables)?;
    let (mut problems, mut mocks) = (Vec::new(), Script::default());
    problems.extend(plan.check_input(&input.value()).err().unwrap_or_default());
    match Script::read(&wish.mocks, &plan, &Shell) {
        Ok(read) => mocks = read,
        Err(wrong) => problems.extend(wrong),
    }
    if !variables.value().is_object() {
        let message = "must be an object".to_owned();
        problems.push(Problem { path: "variables".into(), code: codes::WRONG_TYPE, message });
    }
    if !problems.is_empty() {
        return Err(Error::InvalidSubmission(problems));
    }
    let mut question = Question::of(plan, revision, input);
    let mut script = Script::default();
    if let Some(past) = past {
        // What was rendered there is rendered again: the run's own id and instants are the same.
        let own = &past.submitted;
        question.execution = past.run;
        question.correlation_id = own.correlation_id.clone();
        question.callbacks = own.callbacks.clone();
        question.targets = targets_given(past.events.iter().map(|(event, _)| event));
        question.actor = own.actor.clone();
        question.starts_at = past.events.first().map_or(question.starts_at, |(_, at)| *at);
        script = Script::recorded(&past.plan, &past.events);
    }
    if let Some(recorded) = recorded {
        let own = Script::recorded(&recorded.plan, &recorded.events).for_any_input();
        script = script.overlaid(own);
    }
    script = script.of_plan(&question.plan).overlaid(mocks);
    question.starts_at = wish.starts_at.unwrap_or(question.starts_at);
    Ok(Question { namespace, variables, script, unmocked: wish.unmocked, ..question })
}

/// What is answered: the run as it was played and, of a past one, what is different.
fn answer(played: &Rehearsed, past: Option<&Past>, catalog: &Catalog) -> Result<Value, Error> {
    let mut answer = rehearsal_json(played);
    if let Some(past) = past {
        let events = past.events.iter().map(|(event, at)| (event, *at));
        let state =
            replay(past.run, catalog, events).map_err(|why| Error::Quarantined(why.to_string()))?;
        let before = Told { state: &state, events: &past.events };
        let after = Told { state: &played.state, events: &played.events };
        let compared = compare(before, after);
        answer["comparison"] = json!({
            "execution_id": past.run.to_string(),
            "revision": state.submitted.revision,
            "status": [state.status().word(), played.state.status().word()],
            "same_definition": compared.same_definition,
            "first_divergence": compared.first_divergence,
            "steps": compared.steps,
        });
    }
    Ok(answer)
}
