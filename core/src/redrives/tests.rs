use std::cmp::Reverse;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::{ExecutionId, PartitionId};
use crate::letters::{Fingerprint, InputEdit};

const CANARY: Canary = Canary { count: 2, wait_ms: 1_000 };

fn terms(canary: Option<Canary>, stop_when: StopWhen) -> Terms {
    Terms { filter: LetterChoice::default(), canary, stop_when, edit: None }
}

fn request(terms: &Terms) -> Box<RedriveRequest> {
    Box::new(RedriveRequest {
        namespace: "default".into(),
        until: Timestamp(1_000),
        terms: terms.payload(),
        rate_per_second: 10,
        reason: "the service is back".to_owned(),
        actor: "ann".to_owned(),
    })
}

/// The letters of a list: `n` stands for its instant, its id and, by its remainder, its cause.
fn letter(n: u64, causes: u64) -> ClaimedLetter {
    let execution = ExecutionId { partition: PartitionId(0), digits: n.into() };
    ClaimedLetter {
        letter: LetterId { execution, number: 0 },
        fingerprint: Fingerprint(n % causes),
        opened_at: Timestamp(i64::try_from(n).expect("small")),
    }
}

struct Life(Option<RedriveState>);

impl Life {
    fn begin(terms: &Terms) -> Self {
        let mut life = Self(None);
        life.act(RedriveCommand::Request(request(terms)));
        life
    }

    fn act(&mut self, command: RedriveCommand) -> &RedriveState {
        let event = decide(self.0.as_ref(), command).expect("right here");
        if let Some(event) = event {
            evolve(&mut self.0, &event, Timestamp(9)).expect("it was just decided");
        }
        self.0.as_ref().expect("requested")
    }

    fn state(&self) -> &RedriveState {
        self.0.as_ref().expect("requested")
    }

    fn claim(&mut self, terms: &Terms, listed: &[ClaimedLetter]) -> (Vec<u128>, bool) {
        let (letters, canary) = self.state().next_claim(terms, listed).expect("few causes");
        let ids = letters.iter().map(|own| own.letter.execution.digits).collect();
        self.act(RedriveCommand::Claim { letters, canary });
        (ids, canary)
    }

    fn observe(&mut self, n: u64, outcome: RedriveOutcome) {
        let outcomes = vec![(letter(n, 1).letter, outcome)];
        self.act(RedriveCommand::Observe { outcomes });
    }
}

#[test]
fn canaries_of_every_group_come_first_and_the_rest_when_they_are_good() {
    let terms = terms(Some(CANARY), StopWhen::default());
    let mut life = Life::begin(&terms);
    let listed: Vec<_> = (0..8).map(|n| letter(n, 2)).collect();
    assert_eq!(life.claim(&terms, &listed), (vec![0, 1, 2, 3], true));
    assert!(life.state().waits_for_canaries());
    for n in 0..4 {
        life.observe(n, RedriveOutcome::Succeeded);
    }
    assert_eq!(life.state().stop_reason(&terms), None);
    assert_eq!(life.claim(&terms, &listed), (vec![4, 5, 6, 7], false));
    assert_eq!(life.claim(&terms, &listed), (vec![], false));
}

#[test]
fn the_first_bad_canary_stops_and_a_resume_tries_its_group_anew() {
    let terms = terms(Some(CANARY), StopWhen::default());
    let mut life = Life::begin(&terms);
    let listed: Vec<_> = (0..8).map(|n| letter(n, 2)).collect();
    life.claim(&terms, &listed);
    life.observe(0, RedriveOutcome::Succeeded);
    life.observe(2, RedriveOutcome::Succeeded);
    life.observe(1, RedriveOutcome::Failed);
    let reason = life.state().stop_reason(&terms).expect("a canary failed");
    assert_eq!(reason, "the canary of group 0000000000000001: 1 of 2 failed");
    life.act(RedriveCommand::Halt { reason, actor: None });
    assert_eq!(life.state().status.word(), "stopped");
    // What is under way is observed all the same.
    life.observe(3, RedriveOutcome::Succeeded);
    life.act(RedriveCommand::Resume { reason: String::new(), actor: "ann".to_owned() });
    assert_eq!(life.state().stop_reason(&terms), None);
    assert_eq!(life.claim(&terms, &listed), (vec![5, 7], true));
}

#[test]
fn a_refused_canary_says_nothing_and_another_takes_its_place() {
    let terms = terms(Some(CANARY), StopWhen::default());
    let mut life = Life::begin(&terms);
    let listed: Vec<_> = (0..4).map(|n| letter(n, 1)).collect();
    assert_eq!(life.claim(&terms, &listed), (vec![0, 1], true));
    life.observe(0, RedriveOutcome::Refused);
    life.observe(1, RedriveOutcome::Succeeded);
    assert_eq!(life.claim(&terms, &listed), (vec![2], true));
}

#[test]
fn failures_stop_by_count_and_by_share() {
    let ratio = StopWhen { failure_ratio: Some(0.5), after_outcomes: Some(4), failures: None };
    let count = StopWhen { failures: Some(2), ..StopWhen::default() };
    for (rules, expected) in [(ratio, "2 of 4 retries failed"), (count, "2 retries failed")] {
        let terms = terms(None, rules);
        let mut life = Life::begin(&terms);
        let listed: Vec<_> = (0..9).map(|n| letter(n, 3)).collect();
        assert!(!life.claim(&terms, &listed).1);
        life.observe(0, RedriveOutcome::Failed);
        life.observe(1, RedriveOutcome::Succeeded);
        life.observe(2, RedriveOutcome::Succeeded);
        assert_eq!(life.state().stop_reason(&terms), None);
        life.observe(3, RedriveOutcome::Failed);
        assert_eq!(life.state().stop_reason(&terms).as_deref(), Some(expected));
    }
}

#[test]
fn late_commands_mean_nothing_and_wrong_ones_are_rejected() {
    let terms = terms(None, StopWhen::default());
    let (reason, actor) = (String::new(), "ann".to_owned());
    let resume = RedriveCommand::Resume { reason: reason.clone(), actor: actor.clone() };
    assert_eq!(decide(None, resume.clone()), Err(RedriveRejection::Unknown));
    let mut life = Life::begin(&terms);
    let cancel = RedriveCommand::Cancel { reason, actor };
    assert_eq!(life.act(cancel.clone()).status.word(), "cancelled");
    let over = Err(RedriveRejection::Over { status: "cancelled" });
    assert_eq!(decide(life.0.as_ref(), resume), over);
    assert_eq!(decide(life.0.as_ref(), cancel), Ok(None), "cancelled twice");
    let claim = RedriveCommand::Claim { letters: vec![letter(1, 1)], canary: false };
    assert_eq!(decide(life.0.as_ref(), claim), Ok(None));
    assert_eq!(decide(life.0.as_ref(), RedriveCommand::Complete), Ok(None));
}

#[test]
fn terms_read_back() {
    let whole = Terms {
        filter: LetterChoice {
            fingerprint: Some(Fingerprint(u64::MAX)),
            opened_before: Some(Timestamp(5)),
            ..LetterChoice::default()
        },
        canary: Some(CANARY),
        stop_when: StopWhen { failure_ratio: Some(0.25), ..StopWhen::default() },
        edit: Some(InputEdit::Replace(json!([1]))),
    };
    assert_eq!(Terms::of_payload(&whole.payload()), Some(whole.clone()));
    let patch = json!({ "card": null }).as_object().expect("an object").clone();
    let whole = Terms { edit: Some(InputEdit::Merge(patch)), ..whole };
    assert_eq!(Terms::of_payload(&whole.payload()), Some(whole));
}

fn outcome() -> impl Strategy<Value = RedriveOutcome> {
    prop_oneof![
        4 => Just(RedriveOutcome::Succeeded),
        1 => Just(RedriveOutcome::Failed),
        1 => Just(RedriveOutcome::Refused),
        1 => Just(RedriveOutcome::Unknown),
    ]
}

proptest! {
    /// Whatever comes of them, whoever pauses: every letter of the list is claimed once.
    #[test]
    fn every_letter_is_claimed_once(
        count in 1..60_u64,
        causes in 1..5_u64,
        with_canary in any::<bool>(),
        outcomes in prop::collection::vec(outcome(), 60),
        pauses in prop::collection::vec(0..8_u8, 60),
    ) {
        let terms = terms(with_canary.then_some(CANARY), StopWhen::default());
        let mut life = Life::begin(&terms);
        // From the oldest on; of one instant the highest id first.
        let mut listed: Vec<_> = (0..count).map(|n| letter(n, causes)).collect();
        listed.iter_mut().for_each(|own| own.opened_at = Timestamp(own.opened_at.0 / 3));
        listed.sort_by_key(|own| (own.opened_at, Reverse(own.letter)));
        let (mut claimed, mut dice) = (Vec::new(), outcomes.iter().zip(pauses).cycle());
        for _ in 0..400 {
            let (ids, canary) = life.claim(&terms, &listed);
            if ids.is_empty() {
                break;
            }
            claimed.extend(ids.clone());
            for id in ids {
                let (outcome, pause) = dice.next().expect("it goes round");
                life.observe(u64::try_from(id).expect("small"), *outcome);
                if pause == 0 {
                    let (reason, actor) = (String::new(), "ann".to_owned());
                    life.act(RedriveCommand::Halt { reason: reason.clone(), actor: None });
                    life.act(RedriveCommand::Resume { reason, actor });
                }
            }
            if canary {
                // Whoever resumes tries the groups that failed anew, until none is left.
                let (reason, actor) = (String::new(), "ann".to_owned());
                life.act(RedriveCommand::Halt { reason: reason.clone(), actor: None });
                life.act(RedriveCommand::Resume { reason, actor });
            }
        }
        claimed.sort_unstable();
        prop_assert_eq!(claimed, (0..u128::from(count)).collect::<Vec<_>>());
        let counts = life.state().counts;
        prop_assert_eq!(counts.claimed, count);
        prop_assert_eq!(
            counts.succeeded + counts.failed + counts.refused + counts.unknown, count
        );
    }
}
