//! Which buckets each arm has.

use super::BUCKETS;
use crate::event::{Arm, Buckets};

/// Gives each arm as many buckets as it is to have: its own first, the lowest ones if it has
/// too many; what it lacks from those that no arm keeps, the lowest first. The sizes together
/// must not exceed [`BUCKETS`]; what there is no bucket for is left out.
pub(super) fn allot(before: &[Arm], wanted: Vec<(String, u32, u16)>) -> Vec<Arm> {
    let mut owners: Vec<Option<usize>> = vec![None; usize::from(BUCKETS)];
    let mut missing = Vec::new();
    for (at, (name, _, size)) in wanted.iter().enumerate() {
        let known = before.iter().find(|own| own.name == *name);
        let own = known.map_or(&[][..], |own| &own.buckets).iter();
        let own = own.flat_map(|own| own.from..own.to).take(usize::from(*size));
        let mut kept = 0;
        for bucket in own {
            if let Some(owner) = owners.get_mut(usize::from(bucket)) {
                *owner = Some(at);
                kept += 1;
            }
        }
        missing.push(size - kept);
    }
    let mut free = 0;
    for (at, missing) in missing.into_iter().enumerate() {
        for _ in 0..missing {
            let Some(next) = owners[free..].iter().position(Option::is_none) else { break };
            free += next;
            owners[free] = Some(at);
        }
    }
    let arm = |(at, (name, revision, _))| Arm { name, revision, buckets: stretches(&owners, at) };
    wanted.into_iter().enumerate().map(arm).collect()
}

fn stretches(owners: &[Option<usize>], arm: usize) -> Vec<Buckets> {
    let mut found: Vec<Buckets> = Vec::new();
    for (bucket, _) in (0..).zip(owners).filter(|(_, owner)| **owner == Some(arm)) {
        match found.last_mut() {
            Some(last) if last.to == bucket => last.to += 1,
            _ => found.push(Buckets { from: bucket, to: bucket + 1 }),
        }
    }
    found
}
