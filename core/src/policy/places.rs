//! Where a definition names a task: in a step, its undo, its check, and the same of a loop's items.

use serde_json::Value;

use crate::definition::{Breaker, Check, Definition, DurationText, Retry, Step, Undo};
use crate::plan::OWN_TYPES;

/// A task, and what may be said of it. What it may not be given is not here.
pub(super) struct Place<'d> {
    pub task_type: &'d mut String,
    pub with: &'d mut Option<Value>,
    /// Of an undo and a check there is none: unsaid, theirs is `critical`.
    pub retry: Option<&'d mut Option<Retry>>,
    pub timeout: Option<&'d mut Option<DurationText>>,
    /// An undo of its step's own type has its step's.
    pub breaker: Option<&'d mut Option<Breaker>>,
}

/// Every task of a definition that calls anything.
pub(super) fn each_task(definition: &mut Definition, visit: &mut dyn FnMut(Place<'_>)) {
    for step in &mut definition.steps {
        of_step(step, visit);
    }
}

fn of_step(step: &mut Step, visit: &mut dyn FnMut(Place<'_>)) {
    let own_type = step.task_type.clone();
    around(&own_type, &mut step.undo, &mut step.check, visit);
    if !OWN_TYPES.contains(&own_type.as_str()) {
        visit(Place {
            task_type: &mut step.task_type,
            with: &mut step.with,
            retry: Some(&mut step.retry),
            timeout: Some(&mut step.timeout),
            // One that runs alone waits for no service.
            breaker: (!step.exclusive).then_some(&mut step.breaker),
        });
    }
    let Some(each) = step.each.as_deref_mut() else { return };
    let own_type = each.task_type.clone();
    around(&own_type, &mut each.undo, &mut each.check, visit);
    if !OWN_TYPES.contains(&own_type.as_str()) {
        visit(Place {
            task_type: &mut each.task_type,
            with: &mut each.with,
            retry: Some(&mut each.retry),
            timeout: Some(&mut each.timeout),
            breaker: Some(&mut each.breaker),
        });
    }
}

fn around(
    of: &str,
    undo: &mut Option<Undo>,
    check: &mut Option<Check>,
    visit: &mut dyn FnMut(Place<'_>),
) {
    if let Some(undo) = undo.as_mut().filter(|own| !OWN_TYPES.contains(&own.task_type.as_str())) {
        let breaker = (undo.task_type != of).then_some(&mut undo.breaker);
        let (task_type, with) = (&mut undo.task_type, &mut undo.with);
        let timeout = Some(&mut undo.timeout);
        visit(Place { task_type, with, retry: None, timeout, breaker });
    }
    if let Some(check) = check.as_mut().filter(|own| !OWN_TYPES.contains(&own.task_type.as_str())) {
        let breaker = (check.task_type != of).then_some(&mut check.breaker);
        let (task_type, with) = (&mut check.task_type, &mut check.with);
        let timeout = Some(&mut check.timeout);
        visit(Place { task_type, with, retry: None, timeout, breaker });
    }
}
