//! Which executor does which task type.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::plan::TaskTypes;
use backstitch_core::secrets;
use serde_json::Value;

use crate::Error;
use crate::http::{HttpConfig, HttpExecutor};
use crate::noop::NoopExecutor;
use crate::notification::NotificationExecutor;
use crate::task::{Executor, InputProblem};

/// Task types and who does them. Filled once at the start, then only read.
#[derive(Default)]
pub struct Registry {
    executors: BTreeMap<&'static str, Arc<dyn Executor>>,
    task_types: Vec<&'static str>,
}

impl Registry {
    /// All executors that come with Backstitch: `http`, `noop` and `notification`.
    ///
    /// # Errors
    /// [`Error::HttpClient`] when the machine's TLS or sockets can't be set up.
    pub fn builtin(http: HttpConfig) -> Result<Self, Error> {
        let mut registry = Self::default();
        registry.add("http", Arc::new(HttpExecutor::new(&http)?));
        registry.add("noop", Arc::new(NoopExecutor));
        registry.add("notification", Arc::new(NotificationExecutor));
        Ok(registry)
    }

    /// Lets `executor` do the tasks of a type, in place of whoever did them before.
    pub fn add(&mut self, task_type: &'static str, executor: Arc<dyn Executor>) {
        self.executors.insert(task_type, executor);
        self.task_types = self.executors.keys().copied().collect();
    }

    /// The task types there are, in alphabetical order.
    #[must_use]
    pub fn task_types(&self) -> &[&'static str] {
        &self.task_types
    }

    /// Who does the tasks of a type.
    #[must_use]
    pub fn get(&self, task_type: &str) -> Option<Arc<dyn Executor>> {
        self.executors.get(task_type).cloned()
    }

    /// What is wrong with the `with` of a step of a type; nothing for an unknown type, which
    /// is a problem of the step and not of its `with`.
    #[must_use]
    pub fn check(&self, task_type: &str, with: &Value) -> Vec<InputProblem> {
        self.executors.get(task_type).map_or_else(Vec::new, |executor| executor.check(with))
    }

    /// The same of an input that somebody gave a step in place of the rendered one, by its places
    /// below `input`.
    #[must_use]
    pub fn check_input(&self, task_type: &str, input: &Value) -> Vec<Problem> {
        let problem = |(path, message): InputProblem| {
            let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            Problem { path: format!("input{dot}{path}"), code: codes::BAD_VALUE, message }
        };
        // A reference to a secret is as open as the template that it was rendered from.
        let input = secrets::as_written(input.clone());
        self.check(task_type, &input).into_iter().map(problem).collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Registry").field(&self.task_types).finish()
    }
}

impl TaskTypes for Registry {
    fn effectful(&self) -> &[&'static str] {
        self.task_types()
    }

    fn check(&self, task_type: &str, with: &Value) -> Vec<InputProblem> {
        Self::check(self, task_type, with)
    }

    fn takes_secrets(&self, task_type: &str) -> bool {
        self.executors.get(task_type).is_some_and(|executor| executor.takes_secrets())
    }
}
