//! What somebody wants of a roll-out, checked whole before anything is recorded.

use std::collections::BTreeSet;

use super::allot::allot;
use super::{BETA, BUCKETS, CANDIDATE, InForce, STABLE, percent};
use crate::command::WORDS_BYTES_MAX;
use crate::definition::problem::{Problem, Problems, codes};
use crate::event::{Beta, Rollout, RolloutEvent};

/// Arms beside the stable one.
pub const ARMS_MAX: usize = 16;
/// The longest name of an arm, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Entries of a beta's lists together.
pub const BETA_ENTRIES_MAX: usize = 1_000;
/// Their bytes together.
pub const BETA_BYTES_MAX: usize = 32 * 1024;

/// A roll-out as somebody wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutWish {
    /// The revision of all that fall into no arm.
    pub stable: u32,
    /// The arm that is called so.
    pub candidate: Option<ArmWish>,
    /// Further arms, with names of their own.
    pub variants: Vec<ArmWish>,
    /// Who gets a revision before all others.
    pub beta: Option<Beta>,
    /// In their words.
    pub reason: String,
    /// Who.
    pub actor: String,
}

/// An arm as somebody wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArmWish {
    /// What it is called; of the candidate this means nothing.
    pub name: String,
    /// Its revision.
    pub revision: u32,
    /// How many buckets it is to have: hundredths of a percent.
    pub buckets: u16,
}

impl RolloutWish {
    /// What setting it means, over what is in force and `revisions` that exist: nothing, if it is
    /// in force already.
    ///
    /// # Errors
    /// Every problem, with its place.
    pub fn decide(
        &self,
        known: Option<&InForce>,
        revisions: u32,
    ) -> Result<Vec<RolloutEvent>, Vec<Problem>> {
        let problems = self.problems(revisions);
        if !problems.is_empty() {
            return Err(problems);
        }
        let candidate = self.candidate.iter().map(|own| (CANDIDATE, own));
        let variants = self.variants.iter().map(|own| (own.name.as_str(), own));
        let wanted = candidate.chain(variants);
        let wanted = wanted.map(|(name, own)| (name.to_owned(), own.revision, own.buckets));
        let before = known.map_or(&[][..], |own| &own.rollout.arms);
        let arms = allot(before, wanted.collect());
        let rollout = Rollout { stable: self.stable, arms, beta: self.beta.clone().map(sorted) };
        if known.is_some_and(|own| own.killed.is_none() && *own.rollout == rollout) {
            return Ok(Vec::new());
        }
        let (reason, actor) = (self.reason.clone(), self.actor.clone());
        Ok(vec![RolloutEvent::Set { rollout: Box::new(rollout), reason, actor }])
    }

    /// Everything that is wrong with it, over `revisions` that exist.
    #[must_use]
    pub fn problems(&self, revisions: u32) -> Vec<Problem> {
        let mut problems = Problems::default();
        self.check(revisions, &mut problems);
        problems.into_list()
    }

    fn check(&self, revisions: u32, problems: &mut Problems) {
        let mut exists = |path: String, revision: u32| {
            if revision == 0 || revision > revisions {
                let message = format!("there is no revision {revision}; the newest is {revisions}");
                problems.add(path, codes::BAD_VALUE, message);
            }
        };
        exists("stable".to_owned(), self.stable);
        self.candidate.iter().for_each(|own| exists("candidate".to_owned(), own.revision));
        for (at, own) in self.variants.iter().enumerate() {
            exists(format!("variants[{at}].revision"), own.revision);
        }
        // Unless told otherwise the beta has the candidate's, which is told above.
        let candidate = self.candidate.as_ref().map(|own| own.revision);
        let beta = self.beta.iter().filter(|own| Some(own.revision) != candidate);
        beta.for_each(|own| exists("beta.revision".to_owned(), own.revision));
        self.check_names(problems);
        let all = self.candidate.iter().chain(&self.variants);
        let sum: u64 = all.map(|own| u64::from(own.buckets)).sum();
        if sum > u64::from(BUCKETS) {
            let given = percent(u16::try_from(sum).unwrap_or(u16::MAX));
            let message = format!("the arms have {given} % together; 100 is all there is");
            problems.add("percent", codes::OUT_OF_RANGE, message);
        }
        if let Some(beta) = &self.beta {
            check_beta(beta, problems);
        }
    }

    fn check_names(&self, problems: &mut Problems) {
        let mut names = BTreeSet::from([STABLE, CANDIDATE, BETA]);
        if self.variants.len() >= ARMS_MAX {
            let message = format!("at most {} variants are taken", ARMS_MAX - 1);
            problems.add("variants", codes::OUT_OF_RANGE, message);
        }
        for (at, own) in self.variants.iter().enumerate() {
            let (path, name) = (format!("variants[{at}].name"), own.name.as_str());
            let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
            if !fits || name.chars().any(char::is_control) {
                let message =
                    format!("a name has 1 to {NAME_BYTES_MAX} bytes, without control characters");
                problems.add(path, codes::BAD_VALUE, message);
            } else if !names.insert(name) {
                let message = format!("`{name}` is the name of another arm; give it its own");
                problems.add(path, codes::DUPLICATE_ID, message);
            }
        }
    }
}

fn check_beta(beta: &Beta, problems: &mut Problems) {
    let lists = [
        ("tags", &beta.tags),
        ("subjects", &beta.subjects),
        ("correlation_ids", &beta.correlation_ids),
    ];
    let entries = || lists.iter().flat_map(|(_, list)| list.iter());
    let bytes: usize = entries().map(String::len).sum();
    match entries().count() {
        0 => {
            let message = "names nobody: list `tags`, `subjects` or `correlation_ids`".to_owned();
            problems.add("beta", codes::MISSING_FIELD, message);
        }
        given if given > BETA_ENTRIES_MAX || bytes > BETA_BYTES_MAX => {
            let message = format!(
                "has {given} entries of {bytes} bytes; at most {BETA_ENTRIES_MAX} of \
                 {BETA_BYTES_MAX} bytes together are taken: give them a tag"
            );
            problems.add("beta", codes::OUT_OF_RANGE, message);
        }
        _ => {}
    }
    for (list, entries) in lists {
        for (at, entry) in entries.iter().enumerate() {
            let fits = (1..=WORDS_BYTES_MAX).contains(&entry.len());
            if !fits || entry.chars().any(char::is_control) {
                let message = format!("has 1 to {WORDS_BYTES_MAX} bytes, no control characters");
                problems.add(format!("beta.{list}[{at}]"), codes::BAD_VALUE, message);
            }
        }
    }
}

/// The same with every list in order, each entry once.
fn sorted(mut beta: Beta) -> Beta {
    for list in [&mut beta.tags, &mut beta.subjects, &mut beta.correlation_ids] {
        list.sort_unstable();
        list.dedup();
    }
    beta
}
