//! Asking for redrives of dead letters, watching them, stopping them, letting them go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstitch_core::definition::problem::{Problem, codes};
use backstitch_core::event::RedriveRequest;
use backstitch_core::ids::{ExecutionId, LetterId, RedriveId};
use backstitch_core::letters::{Fate, InputEdit, fate, fate_of_run};
use backstitch_core::redrives::{
    CANARIES_MAX, CANARY_WAIT_MS_MAX, EDIT_BYTES_MAX, LetterChoice, RATE_MAX, RedriveCommand,
    RedriveRejection, RedriveState, Terms,
};
use backstitch_core::state::State;
use backstitch_core::summary::LetterKind;
use backstitch_core::time::Timestamp;
use serde_json::{Map, Value};

use super::{Handle, REFERS_TO_SECRETS, Wish, unexpected};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Input};
use crate::redrives::wanted;

/// The oldest letters of a redrive that are looked at for steps to try an edit on.
const EDITS_TRIED_MAX: usize = 256;

/// A wish for a redrive, as a client puts it.
#[derive(Debug, Clone)]
pub struct RedriveWish {
    /// Tenant.
    pub namespace: Arc<str>,
    /// Which letters, which canaries, and when it stops by itself.
    pub terms: Terms,
    /// Retries per second, 1 to [`RATE_MAX`].
    pub rate_per_second: u32,
    /// In their words.
    pub reason: String,
    /// Who asks.
    pub actor: String,
}

impl Handle {
    /// Begins a redrive of the letters that are open now. When this answers, it is durable.
    ///
    /// # Errors
    /// [`Error::InvalidSubmission`], [`Error::RedriveRejected`], [`Error::Draining`],
    /// [`Error::Stopped`].
    pub async fn request_redrive(
        &self,
        mut wish: RedriveWish,
    ) -> Result<(RedriveId, RedriveState), Error> {
        let problems = check(&wish);
        if !problems.is_empty() {
            return Err(Error::InvalidSubmission(problems));
        }
        let now = clock::now();
        if let Some(edit) = &wish.terms.edit {
            // Nothing else has an input that could be edited.
            wish.terms.filter.kind = Some(LetterKind::Step);
            self.try_edit(&wish, edit, now).await?;
        }
        let request = Box::new(RedriveRequest {
            namespace: wish.namespace,
            until: now,
            terms: wish.terms.payload(),
            rate_per_second: wish.rate_per_second,
            reason: wish.reason,
            actor: wish.actor,
        });
        let id = RedriveId(clock::draw_digits(now));
        self.redrive_command(id, RedriveCommand::Request(request)).await
    }

    /// Whether an edit fits the oldest letter of each step that a redrive would take: the first
    /// that its executor would not take is told before any letter is touched. Letters that no
    /// edit is for are left to the redrive, which has them refused one by one.
    async fn try_edit(
        &self,
        wish: &RedriveWish,
        edit: &InputEdit,
        until: Timestamp,
    ) -> Result<(), Error> {
        let filter = wanted(&wish.namespace, &wish.terms.filter, None, until);
        let page = self.letters(filter, None, EDITS_TRIED_MAX).await?;
        let mut tried = BTreeSet::new();
        for row in page.rows {
            if !tried.insert((row.workflow, row.revision, row.subject)) {
                continue;
            }
            match self.check_edit(row.letter, edit).await {
                Err(Error::InvalidSubmission(mut problems)) => {
                    for own in &mut problems {
                        own.message.push_str(&format!(" (the input of {} by then)", row.letter));
                    }
                    return Err(Error::InvalidSubmission(problems));
                }
                Err(stopped @ (Error::Draining | Error::Stopped)) => return Err(stopped),
                Ok(true) => return Err(Error::Rejected(REFERS_TO_SECRETS)),
                Ok(false) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// A redrive as it stands.
    ///
    /// # Errors
    /// [`Error::RedriveNotFound`], [`Error::Stopped`].
    pub async fn redrive(&self, id: RedriveId) -> Result<RedriveState, Error> {
        let ask = |ticket| Input::ShowRedrives(Some(id), ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Redrive(_, state) => Ok(*state),
            answer => Err(refused(id, answer)),
        }
    }

    /// The newest redrives.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn redrives(&self) -> Result<Vec<(RedriveId, RedriveState)>, Error> {
        let ask = |ticket| Input::ShowRedrives(None, ticket);
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Redrives(redrives) => Ok(redrives),
            answer => Err(unexpected(answer, None)),
        }
    }

    /// Has a command carried out on a redrive; answers how it stands then.
    ///
    /// # Errors
    /// [`Error::RedriveNotFound`]; [`Error::RedriveRejected`] where it is wrong;
    /// [`Error::Draining`], [`Error::Stopped`].
    pub async fn redrive_command(
        &self,
        id: RedriveId,
        command: RedriveCommand,
    ) -> Result<(RedriveId, RedriveState), Error> {
        let ask = |ticket| Input::Redrive(id, command, Some(ticket));
        match self.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Redrive(id, state) => Ok((id, *state)),
            answer => Err(refused(id, answer)),
        }
    }

    /// The same, with nobody waiting for an answer.
    pub(crate) async fn tell_redrive(&self, id: RedriveId, command: RedriveCommand) {
        let mailbox = &self.shared.mailboxes[usize::from(WORKFLOWS_PARTITION.0)];
        // A partition that is gone leaves the rest to the next start.
        drop(mailbox.send(Wish::own(Input::Redrive(id, command, None))).await);
    }

    /// What came of a letter, and who settled it.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], and as [`Handle::execution`].
    pub async fn letter_fate(&self, letter: LetterId) -> Result<(Fate, Option<String>), Error> {
        let missing = || Error::LetterNotFound(letter);
        let state = self.standing(letter.execution).await?;
        let (found, actor) = fate(&state, letter.number).ok_or_else(missing)?;
        let actor = actor.map(str::to_owned);
        let found = match found {
            Fate::Linked(run) => fate_of_run(&*self.standing(run).await?),
            found => found,
        };
        Ok((found, actor))
    }

    pub(super) async fn standing(&self, run: ExecutionId) -> Result<Arc<State>, Error> {
        match self.ask(run.partition, |ticket| Input::Show(run, ticket)).await? {
            Answer::Shown(state) => Ok(state),
            Answer::NotResident => self.read_state(run).await,
            answer => Err(unexpected(answer, Some(run))),
        }
    }
}

fn refused(id: RedriveId, answer: Answer) -> Error {
    match answer {
        Answer::RedriveRejected(RedriveRejection::Unknown) => Error::RedriveNotFound(id),
        Answer::RedriveRejected(rejection) => Error::RedriveRejected(rejection),
        answer => unexpected(answer, None),
    }
}

fn check(wish: &RedriveWish) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut bad = |path: &str, code: &'static str, message: String| {
        problems.push(Problem { path: path.to_owned(), code, message });
    };
    let terms = &wish.terms;
    if terms.filter == LetterChoice::default() {
        let message = "must say which letters: to retry all that are open, say `opened_before`";
        bad("filter", codes::MISSING_FIELD, message.to_owned());
    }
    if terms.filter.execution.is_some() && terms.filter.run().is_none() {
        bad("filter.execution_id", codes::BAD_VALUE, "is no execution id".to_owned());
    }
    if !(1..=RATE_MAX).contains(&wish.rate_per_second) {
        bad("rate_per_second", codes::OUT_OF_RANGE, format!("must be 1 to {RATE_MAX}"));
    }
    if let Some(canary) = terms.canary {
        if !(1..=CANARIES_MAX).contains(&canary.count) {
            bad("canary.count", codes::OUT_OF_RANGE, format!("must be 1 to {CANARIES_MAX}"));
        }
        if !(1..=CANARY_WAIT_MS_MAX).contains(&canary.wait_ms) {
            let message = format!("must be 1 ms to {} h", CANARY_WAIT_MS_MAX / 3_600_000);
            bad("canary.wait", codes::OUT_OF_RANGE, message);
        }
    }
    let rules = &terms.stop_when;
    if rules.failures == Some(0) {
        bad("stop_when.failures", codes::OUT_OF_RANGE, "must be 1 or more".to_owned());
    }
    if rules.failure_ratio.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
        let message = "must be above 0 and at most 1".to_owned();
        bad("stop_when.failure_ratio", codes::OUT_OF_RANGE, message);
    }
    if let Some(edit) = &terms.edit {
        let (path, text) = match edit {
            InputEdit::Replace(whole) => ("input", whole.to_string()),
            InputEdit::Merge(patch) => ("input_patch", Value::from(patch.clone()).to_string()),
        };
        if *edit == InputEdit::Merge(Map::new()) {
            bad(path, codes::BAD_VALUE, "must say what is to differ".to_owned());
        }
        if text.len() > EDIT_BYTES_MAX {
            let message = format!("has {} bytes; at most {EDIT_BYTES_MAX} are taken", text.len());
            bad(path, codes::OUT_OF_RANGE, message);
        }
        if terms.filter.kind.is_some_and(|kind| kind != LetterKind::Step) {
            let message = "must be `step`: undos and callbacks keep the input they have";
            bad("filter.kind", codes::BAD_VALUE, message.to_owned());
        }
    }
    problems
}
