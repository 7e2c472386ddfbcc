//! Who wants to be told of what, and what nobody was told of yet.

use serde::{Deserialize, Serialize};

use super::State;
use crate::event::{AboutStep, Alert, AlertOf, CallbackEvent, CallbackForm, LetterSubject, Target};
use crate::failure::Failure;
use crate::payload::Payload;

/// What a run knows of callbacks beside their deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notices {
    /// Callbacks of the submission that have a form of their own.
    pub targets: Vec<Target>,
    /// What operators want to be told of the run.
    pub alerts: Vec<Alert>,
    /// What happened to steps, and not everybody is told of who wants to know; the oldest first.
    pub untold: Vec<Untold>,
}

/// What happened to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// What.
    pub event: CallbackEvent,
    /// To which.
    pub about: AboutStep,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// How many of those who want to know have a delivery.
    pub told: usize,
}

static OWN_FORM: CallbackForm = CallbackForm::Backstitch;

/// Who is told of what, and how: a borrowed [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// What is reported.
    pub event: CallbackEvent,
    /// Where it goes.
    pub url: &'a str,
    /// How it is written.
    pub form: &'a CallbackForm,
    /// The alert that it is about, if a rule wants it.
    pub alert: Option<&'a AlertOf>,
}

impl Notices {
    /// Visits every payload to change it.
    pub(crate) fn for_each_payload_mut(&mut self, visit: &mut dyn FnMut(&mut Payload)) {
        let failures = self.untold.iter_mut().filter_map(|own| own.failure.as_mut());
        let details = failures.filter_map(|failure| failure.details.as_mut());
        details.for_each(visit);
    }
}

impl Told<'_> {
    /// To keep.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { event: self.event, url: self.url.to_owned(), form: self.form.clone() }
    }
}

impl State {
    /// Everybody who is told of something: those of the definition, those of the submission, then
    /// the channels of alerts.
    pub fn told(&self) -> impl Iterator<Item = Told<'_>> {
        let plain = self.submitted.callbacks.iter();
        let plain =
            plain.map(|own| Told { event: own.event, url: &own.url, form: &OWN_FORM, alert: None });
        let given = self.targets().iter().map(borrowed);
        let alerts = self.alerts().iter().flat_map(of_alert);
        self.plan.callbacks.iter().map(borrowed).chain(plain).chain(given).chain(alerts)
    }

    /// What operators want to be told of the run.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        self.notices.as_ref().map_or(&[], |own| &own.alerts)
    }

    /// Callbacks of the submission that have a form of their own.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        self.notices.as_ref().map_or(&[], |own| &own.targets)
    }

    /// Those who are told of an event. What was not raised does not end.
    pub fn told_of(&self, event: CallbackEvent) -> impl Iterator<Item = Told<'_>> {
        let ends = CallbackEvent::ENDS_ALERTS.contains(&event);
        let raised = move |of: &AlertOf| {
            let mut alerts = self.deliveries.iter().filter_map(|own| own.alert.as_deref());
            !ends || alerts.any(|own| own == of)
        };
        self.told().filter(move |own| own.event == event && own.alert.is_none_or(&raised))
    }

    /// What happened to steps, and not everybody is told of.
    #[must_use]
    pub fn untold(&self) -> &[Untold] {
        self.notices.as_ref().map_or(&[], |own| &own.untold)
    }

    /// Something happened to a step or to its undo: notes it for those who want to know.
    pub(crate) fn note(
        &mut self,
        event: CallbackEvent,
        subject: LetterSubject,
        failure: Option<&Failure>,
    ) {
        if self.told_of(event).next().is_none() {
            return;
        }
        let letter = match event {
            CallbackEvent::StepDeadLettered => u32::try_from(self.letters.len()).ok(),
            _ => None,
        };
        let (step, undo, attempts) = match subject {
            LetterSubject::Step(step) => (step, false, self.step(step).attempt),
            LetterSubject::Undo(step) => {
                let undo = self.step(step).undo.as_ref();
                (step, true, undo.map_or(0, |own| own.attempt))
            }
            LetterSubject::Callback(_) => return,
        };
        let details = failure.and_then(|own| own.details.as_ref());
        let details = details.filter(|_| self.plan.steps[step.at()].each.is_some());
        let item = details.and_then(|own| own.value()["index"].as_u64());
        let about = AboutStep { step, undo, item, attempts, letter };
        let untold = Untold { event, about, failure: failure.cloned(), told: 0 };
        self.notices.get_or_insert_default().untold.push(untold);
    }

    /// One more of those who want to know has a delivery; answers why the step failed, if it did.
    pub(crate) fn tell(
        &mut self,
        event: CallbackEvent,
        about: &AboutStep,
    ) -> Result<Option<Failure>, String> {
        let wanted = self.told_of(event).count();
        let untold = self.notices.as_mut().map(|own| &mut own.untold);
        let untold = untold.ok_or("a callback about a step to which nothing happened")?;
        let at = untold.iter().position(|own| own.event == event && own.about == *about);
        let at = at.ok_or("a callback about what everybody is told of")?;
        untold[at].told += 1;
        let failure = untold[at].failure.clone();
        if untold[at].told >= wanted {
            untold.remove(at);
        }
        Ok(failure)
    }
}

fn borrowed(own: &Target) -> Told<'_> {
    Told { event: own.event, url: &own.url, form: &own.form, alert: None }
}

/// What raises an alert, and what ends it.
fn of_alert(own: &Alert) -> impl Iterator<Item = Told<'_>> {
    let events = own.events.iter().copied().chain(CallbackEvent::ENDS_ALERTS);
    events.map(|event| Told { event, url: &own.url, form: &own.form, alert: Some(&own.of) })
}
