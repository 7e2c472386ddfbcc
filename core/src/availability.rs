//! Whether runs of a workflow begin: enabled, disabled, archived, purged.
//!
//! Knows nothing of how runs begin, nor of who may say so.

use crate::event::AvailabilityEvent;
use crate::time::Timestamp;

/// How a workflow stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Availability {
    /// Since when no run of it begins.
    pub disabled: Option<Closed>,
    /// Since when it is out of use.
    pub archived: Option<Closed>,
    /// Whether its revisions are gone, and nothing was defined since.
    pub purged: bool,
}

/// Since when, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// In their words.
    pub reason: String,
    /// The revision whose definition says so, if it was not somebody's order.
    pub revision: Option<u32>,
}

/// Why no run of a workflow begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It is disabled.
    #[error("is disabled: no run of it begins until it is enabled")]
    Disabled,
    /// It is archived.
    #[error("is archived: it takes no runs and no revisions until it is restored")]
    Archived,
    /// It was purged.
    #[error("was purged: define it anew")]
    Purged,
}

/// What can be done to a workflow as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AvailabilityAct {
    /// Let no run of it begin.
    Disable,
    /// Let runs begin again.
    Enable,
    /// Take it out of use.
    Archive,
    /// Take it into use again.
    Restore,
    /// Let its revisions go.
    Purge {
        /// Since when it is archived: it was looked through for runs since then.
        archived_at: Timestamp,
    },
}

/// Why it is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotDone {
    /// An archived workflow is restored first.
    Archived,
    /// Only what is archived is purged, and was not restored in between.
    NotArchived,
}

impl Availability {
    /// Why no run begins, if none does.
    #[must_use]
    pub fn unavailable(&self) -> Option<Unavailable> {
        match self {
            Self { purged: true, .. } => Some(Unavailable::Purged),
            Self { archived: Some(_), .. } => Some(Unavailable::Archived),
            Self { disabled: Some(_), .. } => Some(Unavailable::Disabled),
            _ => None,
        }
    }
}

/// What an act means: nothing, if it is done already.
///
/// # Errors
/// Why it can't be done as the workflow stands.
pub fn decide(
    known: &Availability,
    act: AvailabilityAct,
    reason: &str,
    actor: &str,
) -> Result<Option<AvailabilityEvent>, NotDone> {
    let archived = known.archived.as_ref();
    let (reason, actor) = (reason.to_owned(), actor.to_owned());
    match act {
        AvailabilityAct::Disable | AvailabilityAct::Enable if archived.is_some() => {
            Err(NotDone::Archived)
        }
        AvailabilityAct::Disable => {
            let event = AvailabilityEvent::Disabled { revision: None, reason, actor };
            Ok(known.disabled.is_none().then_some(event))
        }
        AvailabilityAct::Enable => {
            let event = AvailabilityEvent::Enabled { revision: None, reason, actor };
            Ok(known.disabled.is_some().then_some(event))
        }
        AvailabilityAct::Archive => {
            Ok(archived.is_none().then_some(AvailabilityEvent::Archived { reason, actor }))
        }
        AvailabilityAct::Restore => {
            Ok(archived.is_some().then_some(AvailabilityEvent::Restored { reason, actor }))
        }
        AvailabilityAct::Purge { archived_at } => match archived {
            Some(own) if own.at == archived_at => {
                Ok(Some(AvailabilityEvent::Purged { reason, actor }))
            }
            _ => Err(NotDone::NotArchived),
        },
    }
}

/// What a revision means that says whether runs begin, or no longer says so. An order that
/// somebody gave stands until they take it back.
#[must_use]
pub fn of_revision(
    known: &Availability,
    revision: u32,
    disabled: bool,
    actor: &str,
) -> Option<AvailabilityEvent> {
    let (revision, actor) = (Some(revision), actor.to_owned());
    let by_definition = known.disabled.as_ref().is_some_and(|own| own.revision.is_some());
    match disabled {
        true if known.disabled.is_none() => {
            let reason = "its definition says `enabled: false`".to_owned();
            Some(AvailabilityEvent::Disabled { revision, reason, actor })
        }
        false if by_definition => {
            let reason = "its definition no longer says `enabled: false`".to_owned();
            Some(AvailabilityEvent::Enabled { revision, reason, actor })
        }
        _ => None,
    }
}

/// Folds one event.
pub fn evolve(known: &mut Availability, event: &AvailabilityEvent, at: Timestamp) {
    let closed = |revision: Option<u32>, actor: &String, reason: &String| {
        Some(Closed { at, actor: actor.clone(), reason: reason.clone(), revision })
    };
    match event {
        AvailabilityEvent::Disabled { revision, reason, actor } => {
            known.disabled = closed(*revision, actor, reason);
        }
        AvailabilityEvent::Enabled { .. } => known.disabled = None,
        AvailabilityEvent::Archived { reason, actor } => {
            known.archived = closed(None, actor, reason);
        }
        AvailabilityEvent::Restored { .. } => known.archived = None,
        AvailabilityEvent::Purged { .. } => {
            *known = Availability { purged: true, ..Availability::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(7);

    /// Does it and answers whether anything changed.
    fn act(known: &mut Availability, act: AvailabilityAct) -> Result<bool, NotDone> {
        let event = decide(known, act, "why", "ann")?;
        event.iter().for_each(|event| evolve(known, event, AT));
        Ok(event.is_some())
    }

    #[test]
    fn what_is_done_already_changes_nothing() {
        let mut own = Availability::default();
        for (order, why) in [
            (AvailabilityAct::Disable, Some(Unavailable::Disabled)),
            (AvailabilityAct::Enable, None),
            (AvailabilityAct::Archive, Some(Unavailable::Archived)),
            (AvailabilityAct::Restore, None),
        ] {
            assert_eq!(act(&mut own, order), Ok(true), "{order:?}");
            assert_eq!(act(&mut own, order), Ok(false), "{order:?}");
            assert_eq!(own.unavailable(), why);
        }
        assert_eq!(own, Availability::default());
    }

    #[test]
    fn a_restored_workflow_is_disabled_if_it_was() {
        let mut own = Availability::default();
        assert_eq!(act(&mut own, AvailabilityAct::Disable), Ok(true));
        assert_eq!(act(&mut own, AvailabilityAct::Archive), Ok(true));
        for order in [AvailabilityAct::Enable, AvailabilityAct::Disable] {
            assert_eq!(act(&mut own, order), Err(NotDone::Archived));
        }
        assert_eq!(own.unavailable(), Some(Unavailable::Archived));
        assert_eq!(act(&mut own, AvailabilityAct::Restore), Ok(true));
        assert_eq!(own.unavailable(), Some(Unavailable::Disabled));
    }

    #[test]
    fn only_what_is_archived_since_then_is_purged() {
        let mut own = Availability::default();
        let purge = |archived_at| AvailabilityAct::Purge { archived_at };
        assert_eq!(act(&mut own, purge(AT)), Err(NotDone::NotArchived));
        assert_eq!(act(&mut own, AvailabilityAct::Archive), Ok(true));
        assert_eq!(act(&mut own, purge(Timestamp(6))), Err(NotDone::NotArchived));
        assert_eq!(act(&mut own, purge(AT)), Ok(true));
        assert_eq!(own.unavailable(), Some(Unavailable::Purged));
    }

    #[test]
    fn a_definition_has_its_word_and_an_order_stands() {
        let mut own = Availability::default();
        let says = |own: &mut Availability, revision, disabled| {
            let event = of_revision(own, revision, disabled, "ann");
            event.iter().for_each(|event| evolve(own, event, AT));
            event.is_some()
        };
        assert!(!says(&mut own, 1, false), "it says nothing");
        assert!(says(&mut own, 2, true));
        assert_eq!(own.disabled.as_ref().and_then(|own| own.revision), Some(2));
        assert!(!says(&mut own, 3, true), "it is disabled already");
        assert!(says(&mut own, 4, false), "it no longer says so");
        assert_eq!(own, Availability::default());
        assert_eq!(act(&mut own, AvailabilityAct::Disable), Ok(true));
        assert!(!says(&mut own, 5, false), "somebody said so, and nobody took it back");
        assert!(own.disabled.is_some());
    }
}
