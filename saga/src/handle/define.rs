//! Adding revisions to workflows, from definitions of every form.

use std::sync::Arc;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::forms::{self, Compiled};
use backstitch_core::ids::Digest;
use backstitch_core::workflow::Source;
use backstitch_core::yaml::Format;
use backstitch_executors::Registry;
use serde_json::Value;

use super::{Defined, Handle, SubmittedText, blocking, unexpected};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Definition, Expected, Input};
use crate::policies::Vocabulary;

/// The most contents whose ids are made from one name.
pub const NAMESAKES_MAX: u32 = 100;

impl Handle {
    /// Checks a tenant's definition and compiles it, without recording it.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`] with every problem.
    pub fn compile(&self, namespace: &str, definition: &Value) -> Result<Compiled, Error> {
        self.compile_numbered(namespace, definition, 1)
    }

    fn compile_numbered(
        &self,
        namespace: &str,
        definition: &Value,
        number: u32,
    ) -> Result<Compiled, Error> {
        let rules = self.catalog().policies().rules(namespace);
        let known = Vocabulary { registry: &self.shared.registry, rules: &rules };
        forms::compile_numbered(definition, &known, number).map_err(Error::InvalidDefinition)
    }

    /// Adds a revision to a workflow; the same content again answers the revision it has.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn define(
        &self,
        namespace: &Arc<str>,
        definition: &Value,
        actor: &str,
    ) -> Result<Defined, Error> {
        self.define_from(namespace, definition, None, actor).await
    }

    /// The same, and keeps the text that the definition was submitted as.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`], [`Error::Draining`], [`Error::Stopped`].
    pub async fn define_from(
        &self,
        namespace: &Arc<str>,
        definition: &Value,
        text: Option<SubmittedText>,
        actor: &str,
    ) -> Result<Defined, Error> {
        self.define_if(namespace, definition, text, (Expected::Anything, actor)).await
    }

    /// The same, if the workflow's newest content is as expected.
    ///
    /// # Errors
    /// [`Error::NotExpected`], and as [`Handle::define_from`].
    pub async fn define_if(
        &self,
        namespace: &Arc<str>,
        definition: &Value,
        text: Option<SubmittedText>,
        (expected, actor): (Expected, &str),
    ) -> Result<Defined, Error> {
        let mut compiled = self.compiled(namespace, definition, 1).await?;
        let _named = match compiled.is_id_made {
            true => Some(self.shared.naming.lock().await),
            false => None,
        };
        for number in 2.. {
            if !compiled.is_id_made || self.is_free(namespace, &compiled) {
                break;
            }
            if number > NAMESAKES_MAX {
                let message =
                    format!("{NAMESAKES_MAX} other workflows have this name; give an `id`");
                let path = "name".to_owned();
                let problem = Problem { path, code: codes::DUPLICATE_ID, message };
                return Err(Error::InvalidDefinition(vec![problem]));
            }
            compiled = self.compiled(namespace, definition, number).await?;
        }
        self.add_revision(namespace, compiled, text, (expected, actor)).await
    }

    async fn compiled(
        &self,
        namespace: &Arc<str>,
        definition: &Value,
        number: u32,
    ) -> Result<Compiled, Error> {
        let (handle, namespace, value) = (self.clone(), namespace.clone(), definition.clone());
        blocking(move || handle.compile_numbered(&namespace, &value, number)).await?
    }

    /// Whether nobody has a definition's id, or only the same content.
    fn is_free(&self, namespace: &str, compiled: &Compiled) -> bool {
        let plan = &compiled.plan;
        let known = self.catalog().revisions(namespace, &plan.workflow);
        known.is_empty() || known.iter().any(|own| own.plan.digest == plan.digest)
    }

    async fn add_revision(
        &self,
        namespace: &Arc<str>,
        compiled: Compiled,
        text: Option<SubmittedText>,
        (expected, actor): (Expected, &str),
    ) -> Result<Defined, Error> {
        let Compiled { form, plan, text: canonical, warnings, is_id_made: _ } = compiled;
        let source = text.map(|submitted| Source {
            form: form.word().into(),
            format: format_word(submitted.format).into(),
            digest: Digest::of(submitted.text.as_bytes()),
            text: submitted.text,
        });
        let (workflow, digest) = (plan.workflow.clone(), plan.digest);
        let definition = Box::new(Definition {
            namespace: namespace.clone(),
            workflow: workflow.clone(),
            text: canonical.into(),
            plan: Arc::new(plan),
            source,
            adaptation: None,
            expected,
            actor: actor.into(),
            defined_at: clock::now(),
        });
        let ask = |ticket| Input::Define(definition, ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Defined { revision, created } => {
                Ok(Defined { workflow, revision, digest, created, form, warnings })
            }
            Answer::NotExpected(current) => Err(Error::NotExpected { workflow, current }),
            answer => Err(unexpected(answer, None)),
        }
    }
}

/// How a text is written, in one word.
fn format_word(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Yaml => "yaml",
    }
}

/// Checks a definition of any form and compiles it.
///
/// # Errors
/// Every problem.
pub fn compile(definition: &Value, registry: &Registry) -> Result<Compiled, Vec<Problem>> {
    forms::compile(definition, registry)
}
