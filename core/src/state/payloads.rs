//! Every payload that a state holds: of its events, and those derived of them.

use std::sync::Arc;

use super::{CheckVerdict, Delivery, Ending, Failing, Letter, Links, State, StepState};
use crate::event::Submitted;
use crate::failure::Failure;
use crate::ids::Digest;
use crate::payload::{AbsentWhy, Payload};

type Visit<'a> = &'a mut dyn FnMut(&mut Payload);

/// Visits every payload of a state's parts to change it.
pub(crate) fn for_each_mut(
    submitted: &mut Submitted,
    steps: &mut [StepState],
    failing: &mut Option<Failing>,
    ending: &mut Option<Ending>,
    (deliveries, letters): (&mut [Delivery], &mut [Letter]),
    links: Option<&mut Links>,
    visit: Visit<'_>,
) {
    visit(&mut submitted.input);
    visit(&mut submitted.variables);
    for step in steps {
        step.input.iter_mut().chain(&mut step.output).for_each(&mut *visit);
        of_failure(step.failure.as_deref_mut(), visit);
        if let Some(undo) = &mut step.undo {
            undo.input.iter_mut().chain(&mut undo.output).for_each(&mut *visit);
            of_failure(undo.failure.as_deref_mut(), visit);
            if let Some(check) = &mut undo.check {
                check.input.iter_mut().chain(&mut check.answer).for_each(&mut *visit);
                if let Some(CheckVerdict::TookEffect(Some(output))) = &mut check.verdict {
                    visit(output);
                }
            }
        }
    }
    of_failure(failing.as_mut().map(|own| &mut own.failure), visit);
    if let Some(ending) = ending {
        ending.output.iter_mut().for_each(&mut *visit);
    }
    for delivery in deliveries {
        visit(&mut delivery.body);
        of_failure(delivery.failure.as_deref_mut(), visit);
    }
    for letter in letters {
        of_failure(Some(&mut letter.failure), visit);
        let edit = letter.handling.as_mut().and_then(|own| own.edit.as_mut());
        edit.into_iter().for_each(|edit| visit(&mut edit.input));
    }
    let Some(links) = links else { return };
    links.outbox.values_mut().filter_map(|own| own.body.payload_mut()).for_each(&mut *visit);
    for own in links.loops.values_mut() {
        own.results.iter_mut().flatten().for_each(&mut *visit);
        of_failure(own.failure.as_mut(), visit);
    }
    for (_, failure) in &mut links.refused {
        of_failure(Some(failure), visit);
    }
}

fn of_failure(failure: Option<&mut Failure>, visit: Visit<'_>) {
    let details = failure.and_then(|failure| failure.details.as_mut());
    details.into_iter().for_each(visit);
}

impl State {
    /// Lets an erased content go wherever the state holds it, and the bodies of callbacks that
    /// are still owed and were made of it.
    pub fn forget(&mut self, digest: &Digest) {
        let output = self.ending.as_ref().and_then(|ending| ending.output.as_ref());
        let absent = output.filter(|output| names(output, digest)).map(|output| {
            let mut absent = output.clone();
            absent.let_go(AbsentWhy::Erased);
            absent
        });
        let Self { submitted, steps, failing, ending, deliveries, letters, .. } = self;
        let (links, controls) = (self.links.as_deref_mut(), &mut self.controls);
        let around = (&mut deliveries[..], &mut letters[..]);
        let mut forget = |payload: &mut Payload| {
            if names(payload, digest) {
                payload.let_go(AbsentWhy::Erased);
            }
        };
        for_each_mut(submitted, steps, failing, ending, around, links, &mut forget);
        controls.iter_mut().for_each(|own| own.for_each_payload_mut(&mut forget));
        self.notices.iter_mut().for_each(|own| own.for_each_payload_mut(&mut forget));
        // What was read of it is read anew.
        self.chunk = self.chunk.is_some().then(Arc::default);
        for delivery in deliveries {
            if let Some(absent) = &absent {
                delivery.body = absent.clone();
            }
        }
    }
}

fn names(payload: &Payload, digest: &Digest) -> bool {
    payload.reference().is_some_and(|(named, _)| named == *digest)
}
