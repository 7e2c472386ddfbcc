//! Callbacks in a form of their own or about one step, and those sent again; part of the format.

use serde::{Deserialize, Serialize};

use super::{Alert, AlertOf, CallbackEvent, CallbackForm, Event, RunEvent};
use crate::ids::StepIndex;

/// Who is told of what, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What is reported.
    pub event: CallbackEvent,
    /// An `http` or `https` URL.
    pub url: String,
    /// How it is written.
    pub form: CallbackForm,
}

/// The step that a callback is about, as it stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AboutStep {
    /// Which.
    pub step: StepIndex,
    /// Whether it is about the step's undo.
    pub undo: bool,
    /// Of a loop: the item that failed, from 0.
    pub item: Option<u64>,
    /// Attempts made.
    pub attempts: u16,
    /// Its dead letter, if the callback is about that.
    pub letter: Option<u32>,
}

/// What becomes of callbacks beyond what the first version of the format had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryEvent {
    /// Callbacks given with the submission that have a form of their own. Stands right behind
    /// `Submitted`, in the same commit, if there are any.
    Targeted {
        /// In the order in which they were given.
        targets: Vec<Target>,
    },
    /// A callback is owed to somebody, in a form of its own or about a step.
    Scheduled {
        /// Counts the run's deliveries from 0.
        delivery: u32,
        /// To whom, of what, and how.
        target: Target,
        /// The step that it is about; the run as a whole, if unsaid.
        about: Option<AboutStep>,
    },
    /// A callback that was received is owed once more: somebody wants it sent again.
    SentAgain {
        /// Which delivery.
        delivery: u32,
        /// Who.
        actor: String,
    },
    /// The alerts that operators want of the run. Stands right behind `Submitted`, in the same
    /// commit, if there are any.
    AlertsPinned {
        /// In the order of their rules.
        alerts: Vec<Alert>,
    },
    /// An alert's channel is owed a callback: it is raised, or over.
    AlertScheduled {
        /// Counts the run's deliveries from 0.
        delivery: u32,
        /// To whom, of what, and how.
        target: Target,
        /// The step that it is about; the run as a whole, if unsaid.
        about: Option<AboutStep>,
        /// Which alert.
        of: AlertOf,
    },
}

impl DeliveryEvent {
    /// Which delivery it is about, if it is about one.
    #[must_use]
    pub fn delivery(&self) -> Option<u32> {
        match self {
            Self::Targeted { .. } | Self::AlertsPinned { .. } => None,
            Self::Scheduled { delivery, .. }
            | Self::SentAgain { delivery, .. }
            | Self::AlertScheduled { delivery, .. } => Some(*delivery),
        }
    }
}

/// Who was to be told in forms of their own, as the beginning of a run's records says.
#[must_use]
pub fn targets_given<'a>(records: impl IntoIterator<Item = &'a Event>) -> Vec<Target> {
    let beginning = records.into_iter().take_while(|event| match event {
        Event::Run(RunEvent::Submitted(_)) => true,
        Event::Run(event) => event.belongs_to_the_beginning(),
        _ => false,
    });
    let given = beginning.filter_map(|event| match event {
        Event::Run(RunEvent::Delivery(DeliveryEvent::Targeted { targets })) => Some(targets),
        _ => None,
    });
    given.flatten().cloned().collect()
}

impl CallbackEvent {
    /// Every event and its word.
    pub const WORDS: [(&'static str, Self); 10] = [
        ("workflow.started", Self::Started),
        ("workflow.completed", Self::Completed),
        ("workflow.failed", Self::Failed),
        ("workflow.compensating", Self::Compensating),
        ("workflow.cancelled", Self::Cancelled),
        ("workflow.sla_breached", Self::SlaBreached),
        ("step.failed", Self::StepFailed),
        ("step.dead_lettered", Self::StepDeadLettered),
        ("workflow.compensation_failed", Self::CompensationFailed),
        ("step.waiting", Self::StepWaiting),
    ];

    /// The word of the event.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(word, _)| word)
    }
}
