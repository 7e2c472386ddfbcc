//! Operating dead letters.

use backstitch_core::command::{Command, Rejection, Submission};
use backstitch_core::decide::edited_input;
use backstitch_core::event::{Event, LinkEvent, Origin, RunEvent, Submitted, targets_given};
use backstitch_core::ids::LetterId;
use backstitch_core::letters::{InputEdit, LetterCause, LetterCounts, attempts_json};
use backstitch_core::plan::TaskKind;
use backstitch_core::secrets;
use backstitch_core::time::Timestamp;
use backstitch_journal::{LetterFilter, LetterGroups};
use serde_json::Value;

use super::request::deadline;
use super::{Handle, Retried, blocking};
use crate::error::Error;

/// Why nobody edits such inputs in bulk: they could be sent elsewhere.
pub(crate) const REFERS_TO_SECRETS: Rejection = Rejection::InputNotEditable {
    why: "it refers to secrets: whoever may define workflows edits it, and one letter at a time",
};

/// Open letters whose ages are looked at for statistics, the oldest ones.
const AGES_TOLD_MAX: usize = 10_000;

/// How many dead letters there are.
#[derive(Debug, Clone)]
pub struct LetterStatistics {
    /// Of each cause, as of the last tick.
    pub causes: Vec<(LetterCause, LetterCounts)>,
    /// When open ones were opened, the oldest first.
    pub open_since: Vec<Timestamp>,
    /// Whether that is all of them.
    pub open_since_all: bool,
}

/// Events that begin a run at most.
const BEGINNING_MAX: usize = 3;

impl Handle {
    /// A dead letter with its whole context: its run's word on it, and every attempt with its
    /// times and its error.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], and as [`Handle::execution`].
    pub async fn letter(&self, letter: LetterId) -> Result<Value, Error> {
        let missing = || Error::LetterNotFound(letter);
        let run = match self.execution(letter.execution).await {
            Err(Error::ExecutionNotFound(_)) => return Err(missing()),
            run => run?,
        };
        let shown = run["dead_letters"].get(letter.number as usize).cloned();
        let mut shown = shown.ok_or_else(missing)?;
        let (records, _) = self.history(letter.execution).await?;
        let told = records.iter().map(|record| (&record.event, record.recorded_at));
        shown["attempt_history"] = attempts_json(letter.number, told);
        Ok(shown)
    }

    /// Dead letters by cause, as [`backstitch_journal::Journal::letter_groups`] has them.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn letter_groups(
        &self,
        filter: LetterFilter,
        skip: usize,
        limit: usize,
    ) -> Result<LetterGroups, Error> {
        let journal = self.shared.journal.clone();
        Ok(blocking(move || journal.letter_groups(&filter, skip, limit)).await??)
    }

    /// How many dead letters of a namespace there are, by what tells them apart.
    ///
    /// # Errors
    /// [`Error::Journal`].
    pub async fn letter_statistics(&self, namespace: &str) -> Result<LetterStatistics, Error> {
        let (journal, namespace) = (self.shared.journal.clone(), namespace.to_owned());
        blocking(move || {
            let causes = journal.letter_counts(&namespace);
            let (since, all) = journal.open_letters_since(&namespace, AGES_TOLD_MAX)?;
            Ok(LetterStatistics { causes, open_since: since, open_since_all: all })
        })
        .await?
    }

    /// Has a dead letter's operation tried again: in place where its run allows it, otherwise
    /// by a new run of the same revision and input, linked to the old one. A retry that was
    /// cut short can be asked again and finds the run it began.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn retry_letter(&self, letter: LetterId, actor: &str) -> Result<Retried, Error> {
        let command = |linked| Command::RetryLetter {
            letter: letter.number,
            actor: actor.to_owned(),
            linked,
        };
        let run = letter.execution;
        match self.letter_command(letter, command(None)).await {
            Err(Error::Rejected(Rejection::NeedsNewRun)) => {}
            answer => return Ok(Retried { execution: run, new_run: false, status: answer? }),
        }
        let (records, plan) = self.history(run).await?;
        let plan = plan.ok_or_else(|| Error::Fold(format!("no plan for {run}")))?;
        let (revision, plan) = self.plain(&plan, records.iter().map(|own| &own.event))?;
        let tags = match records.get(1).map(|record| &record.event) {
            Some(Event::Run(RunEvent::Tagged { tags })) => tags.clone(),
            _ => Vec::new(),
        };
        let origin = records.iter().take(BEGINNING_MAX).find_map(|own| match &own.event {
            Event::Run(RunEvent::Link(LinkEvent::Origin(origin))) => Some((**origin).clone()),
            _ => None,
        });
        let targets = targets_given(records.iter().map(|own| &own.event));
        let submitted_at = records.first().map(|record| record.recorded_at).unwrap_or_default();
        let Some(Event::Run(RunEvent::Submitted(first))) =
            records.into_iter().next().map(|record| record.event)
        else {
            return Err(Error::Fold(format!("{run} has no submission")));
        };
        for payload in [&first.input, &first.variables] {
            if let Some(absent) = payload.absent() {
                let why = absent.failure("what the run was submitted with");
                return Err(Error::PayloadAbsent(Box::new(why)));
            }
        }
        // A run that was removed and submitted again has other letters by the same names.
        let life = submitted_at.0.to_string();
        let execution = self.id_of(&["retry", &letter.to_string(), &life]);
        let submitted = Box::new(Submitted {
            revision,
            digest: plan.digest,
            idempotency_key: None,
            deadline_at: deadline(&plan),
            retry_of: Some(run),
            actor: actor.to_owned(),
            ..*first
        });
        let Origin { priority, variant, parent: _ } = origin.unwrap_or_default();
        let origin = super::origin(priority, variant);
        let accepted = self
            .begin(Submission {
                execution,
                plan,
                submitted,
                tags,
                origin,
                targets,
                alerts: Vec::new(),
                faults: Vec::new(),
                trace: None,
            })
            .await?;
        self.letter_command(letter, command(Some(execution))).await?;
        Ok(Retried { execution, new_run: true, status: accepted.status })
    }

    /// The same where the letter's run allows it, and nowhere else: no new run is begun.
    ///
    /// # Errors
    /// As [`Handle::retry_letter`]; [`Rejection::NeedsNewRun`] where it takes a new run.
    pub async fn retry_letter_in_place(
        &self,
        letter: LetterId,
        actor: &str,
    ) -> Result<Retried, Error> {
        let (number, actor) = (letter.number, actor.to_owned());
        let command = Command::RetryLetter { letter: number, actor, linked: None };
        let status = self.letter_command(letter, command).await?;
        Ok(Retried { execution: letter.execution, new_run: false, status })
    }

    /// Has a dead letter's step tried again where it stands, with another input, which may refer
    /// to secrets or not.
    ///
    /// # Errors
    /// As [`Handle::check_edit`].
    pub async fn retry_letter_with(
        &self,
        letter: LetterId,
        (edit, may_refer): (InputEdit, bool),
        reason: String,
        actor: &str,
    ) -> Result<Retried, Error> {
        if self.check_edit(letter, &edit).await? && !may_refer {
            return Err(Error::Rejected(REFERS_TO_SECRETS));
        }
        let (number, actor) = (letter.number, actor.to_owned());
        let command = Command::RetryLetterWith { letter: number, edit, reason, actor };
        let status = self.letter_command(letter, command).await?;
        Ok(Retried { execution: letter.execution, new_run: false, status })
    }

    /// Whether a dead letter's step can run with what an edit makes of its input; answers whether
    /// that refers to secrets. Nothing is recorded.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`]; [`Error::Rejected`] with [`Rejection::InputNotEditable`] where
    /// no edit can be made; [`Error::InvalidSubmission`] where the step's executor takes no such
    /// input.
    pub async fn check_edit(&self, letter: LetterId, edit: &InputEdit) -> Result<bool, Error> {
        let state = match self.standing(letter.execution).await {
            Err(Error::ExecutionNotFound(_)) => return Err(Error::LetterNotFound(letter)),
            state => state?,
        };
        let (step, input) = match edited_input(&state, letter.number, edit) {
            Err(Rejection::UnknownLetter { .. }) => return Err(Error::LetterNotFound(letter)),
            edited => edited.map_err(Error::Rejected)?,
        };
        let TaskKind::Effect(task_type) = &state.plan.step(step).task else { return Ok(false) };
        let input = input.value();
        match self.registry().check_input(task_type, &input) {
            wrong if wrong.is_empty() => Ok(!secrets::names(&input).is_empty()),
            wrong => Err(Error::InvalidSubmission(wrong)),
        }
    }

    /// Says who is to see to a dead letter, or that nobody is any more.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn assign_letter(
        &self,
        letter: LetterId,
        assignee: Option<String>,
        reason: String,
        actor: String,
    ) -> Result<&'static str, Error> {
        let number = letter.number;
        let command = Command::AssignLetter { letter: number, assignee, reason, actor };
        self.letter_command(letter, command).await
    }

    /// Writes something down about a dead letter.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn note_letter(
        &self,
        letter: LetterId,
        text: String,
        actor: String,
    ) -> Result<&'static str, Error> {
        let number = letter.number;
        self.letter_command(letter, Command::NoteLetter { letter: number, text, actor }).await
    }

    /// Gives a dead letter's operation up.
    ///
    /// # Errors
    /// [`Error::LetterNotFound`], [`Error::Rejected`], ...
    pub async fn discard_letter(
        &self,
        letter: LetterId,
        actor: String,
        reason: String,
    ) -> Result<&'static str, Error> {
        let number = letter.number;
        let command = Command::DiscardLetter { letter: number, actor, reason };
        self.letter_command(letter, command).await
    }

    async fn letter_command(
        &self,
        letter: LetterId,
        command: Command,
    ) -> Result<&'static str, Error> {
        match self.command(letter.execution, command).await {
            Err(Error::ExecutionNotFound(_) | Error::Rejected(Rejection::UnknownLetter { .. })) => {
                Err(Error::LetterNotFound(letter))
            }
            answer => answer,
        }
    }
}
