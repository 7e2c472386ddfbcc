//! Putting commits found in any order back into their chains.
//!
//! A commit that does not come next waits for the one before it; only when too many wait, or
//! nothing more is to be found, is what lies between given up. Knows commits, not where they
//! were found.

use std::collections::BTreeMap;

use crate::commit::{Commit, Head, Origin};

/// Commits that may wait for one before them.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A commit in its place.
pub(super) enum Linked {
    /// It follows the one before it.
    Next(Commit),
    /// Something is missing before it.
    Behind {
        /// The commit.
        commit: Commit,
        /// Where the chain stood.
        before: Head,
    },
}

/// The chains on their way.
pub(super) struct Chainer {
    origin: Origin,
    heads: Vec<Head>,
    generations: Vec<u32>,
    waiting: Vec<BTreeMap<u64, Vec<Commit>>>,
    waiting_bytes: usize,
}

impl Chainer {
    pub(super) fn at(origin: Origin, heads: Vec<Head>) -> Self {
        let (generations, waiting) = (vec![0; heads.len()], vec![BTreeMap::new(); heads.len()]);
        Self { origin, heads, generations, waiting, waiting_bytes: 0 }
    }

    pub(super) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Takes a commit that was found; answers what is in its place now.
    pub(super) fn offer(&mut self, commit: Commit) -> Vec<Linked> {
        let index = usize::from(commit.partition().0);
        let known = self.heads.get(index).is_some_and(|head| commit.sequence() > head.sequence);
        if !known || !commit.origin().is_of(&self.origin) {
            return Vec::new();
        }
        let waiting = self.waiting[index].entry(commit.sequence()).or_default();
        if waiting.iter().any(|other| other.head().hash == commit.head().hash) {
            return Vec::new();
        }
        self.waiting_bytes += commit.bytes().len();
        waiting.push(commit);
        let mut linked = Vec::new();
        self.follow(index, &mut linked);
        while self.waiting_bytes > WAITING_BYTES_MAX {
            let longest = (0..self.waiting.len()).max_by_key(|&index| self.waiting[index].len());
            self.jump(longest.unwrap_or(index), &mut linked);
        }
        linked
    }

    /// Nothing more is to be found: what waits is taken over what is missing.
    pub(super) fn finish(&mut self) -> Vec<Linked> {
        let mut linked = Vec::new();
        for index in 0..self.waiting.len() {
            while !self.waiting[index].is_empty() {
                self.jump(index, &mut linked);
            }
        }
        linked
    }

    /// Takes what follows the head of a partition, as far as it is there.
    fn follow(&mut self, index: usize, linked: &mut Vec<Linked>) {
        loop {
            let head = self.heads[index];
            let generation = self.generations[index];
            let Some(candidates) = self.waiting[index].get_mut(&(head.sequence + 1)) else {
                return;
            };
            let fits = |commit: &Commit| {
                commit.follows(&head).is_ok() && commit.origin().generation >= generation
            };
            let Some(at) = candidates.iter().position(fits) else { return };
            let commit = candidates.swap_remove(at);
            self.place(index, &commit);
            linked.push(Linked::Next(commit));
        }
    }

    /// Goes on with the first commit that waits, although something before it is missing.
    fn jump(&mut self, index: usize, linked: &mut Vec<Linked>) {
        let Some((&sequence, _)) = self.waiting[index].first_key_value() else { return };
        let next = self.waiting[index].get(&(sequence + 1));
        let vouched = |commit: &Commit| {
            next.is_some_and(|next| next.iter().any(|n| n.previous() == commit.head().hash))
        };
        let candidates = self.waiting[index].get(&sequence).map(Vec::as_slice).unwrap_or_default();
        let before = self.heads[index];
        // One that cannot stand behind what is there was never in this chain.
        let fits = |commit: &Commit| {
            commit.first_position() > before.position
                && commit.origin().generation >= self.generations[index]
                && commit.sequence() > before.sequence + 1
        };
        let at = candidates.iter().position(|commit| fits(commit) && vouched(commit));
        let at = at.or_else(|| candidates.iter().position(fits));
        let Some(at) = at else {
            self.drop_up_to(index, sequence);
            return;
        };
        let candidates = self.waiting[index].get_mut(&sequence).expect("it was just looked at");
        let commit = candidates.swap_remove(at);
        self.place(index, &commit);
        linked.push(Linked::Behind { commit, before });
        self.follow(index, linked);
    }

    fn place(&mut self, index: usize, commit: &Commit) {
        (self.heads[index], self.generations[index]) = (commit.head(), commit.origin().generation);
        self.waiting_bytes -= commit.bytes().len();
        self.drop_up_to(index, commit.sequence());
    }

    fn drop_up_to(&mut self, index: usize, sequence: u64) {
        let later = self.waiting[index].split_off(&(sequence + 1));
        let dropped = std::mem::replace(&mut self.waiting[index], later);
        let bytes: usize = dropped.values().flatten().map(|commit| commit.bytes().len()).sum();
        self.waiting_bytes -= bytes;
    }
}
