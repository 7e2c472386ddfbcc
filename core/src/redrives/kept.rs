//! Which redrives a store lets go.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::RedriveState;
use crate::ids::RedriveId;
use crate::time::Timestamp;

/// Redrives at rest that a store keeps: those that moved last.
pub const KEPT_MAX: usize = 1_000;
/// How long a redrive is kept after it moved last: 90 days.
pub const KEPT_MS: u64 = 90 * 24 * 3_600_000;
/// The most redrives that leave at a time.
pub const REMOVED_AT_ONCE_MAX: usize = 256;

/// The redrives that are to leave, ascending. One that retries, or has letters whose outcome is
/// not known, stays whatever its age; a stopped one that nobody resumed for so long leaves.
#[must_use]
pub fn outdated(all: &BTreeMap<RedriveId, RedriveState>, now: Timestamp) -> Vec<RedriveId> {
    let at_rest = all.iter().filter(|(_, own)| !own.is_under_way());
    let mut at_rest: Vec<_> = at_rest.map(|(id, own)| (Reverse(own.updated_at), *id)).collect();
    at_rest.sort_unstable();
    let old = |at: Timestamp| at.plus_ms(KEPT_MS) <= now;
    let fresh = at_rest.iter().take(KEPT_MAX).take_while(|(Reverse(at), _)| !old(*at)).count();
    let oldest_first = at_rest.split_off(fresh).into_iter().rev();
    let mut gone: Vec<_> = oldest_first.map(|(_, id)| id).take(REMOVED_AT_ONCE_MAX).collect();
    gone.sort_unstable();
    gone
}

#[cfg(test)]
mod tests {
    use super::super::{LetterChoice, RedriveStatus, StopWhen, Terms};
    use super::*;
    use crate::event::RedriveRequest;

    fn redrive(status: RedriveStatus, moved_at: Timestamp) -> RedriveState {
        let (filter, stop_when) = (LetterChoice::default(), StopWhen::default());
        let request = Box::new(RedriveRequest {
            namespace: "default".into(),
            until: moved_at,
            terms: Terms { filter, canary: None, stop_when, edit: None }.payload(),
            rate_per_second: 1,
            reason: String::new(),
            actor: "ann".to_owned(),
        });
        RedriveState { status, ..RedriveState::begin(request, moved_at) }
    }

    #[test]
    fn the_old_leave_but_for_those_under_way() {
        let halted = RedriveStatus::Halted { reason: "tired".to_owned(), actor: None };
        let statuses = [RedriveStatus::Running, RedriveStatus::Completed, halted];
        let all: BTreeMap<_, _> = (0..)
            .zip(statuses)
            .map(|(id, status)| (RedriveId(id), redrive(status, Timestamp(0))))
            .collect();
        let end = Timestamp(0).plus_ms(KEPT_MS);
        assert_eq!(outdated(&all, Timestamp(end.0 - 1)), []);
        assert_eq!(outdated(&all, end), [RedriveId(1), RedriveId(2)]);
    }

    #[test]
    fn those_beyond_the_newest_leave_some_at_a_time() {
        let count = KEPT_MAX + REMOVED_AT_ONCE_MAX + 3;
        // The ids say nothing of when they moved last.
        let mut all: BTreeMap<_, _> = (0..count)
            .map(|at| {
                let moved_at = Timestamp(i64::try_from(count - at).expect("small"));
                (RedriveId(at as u128), redrive(RedriveStatus::Completed, moved_at))
            })
            .collect();
        let ids = |from: usize| (from..count).map(|at| RedriveId(at as u128)).collect::<Vec<_>>();
        let first = outdated(&all, Timestamp(0));
        assert_eq!(first, ids(count - REMOVED_AT_ONCE_MAX));
        first.iter().for_each(|id| drop(all.remove(id)));
        assert_eq!(outdated(&all, Timestamp(0)).len(), 3);
        outdated(&all, Timestamp(0)).iter().for_each(|id| drop(all.remove(id)));
        assert_eq!(outdated(&all, Timestamp(0)), []);
    }
}
