//! The files of a data directory as a source: read and folded for each question.
//!
//! Knows the log, which is the truth, and folds it with production code; not the store or the
//! views beside it.

use std::path::PathBuf;

use backstitch_core::ids::{Digest, LetterId};
use backstitch_core::letters::{attempts_json, groups};
use backstitch_core::report::{
    event_json, execution_json, letter_group_json, letter_json, letter_row_json, run_row_json,
};
use backstitch_core::travel::Point;
use backstitch_core::why::{blockers, why_json};
use backstitch_journal::{Damage, Order};
use serde_json::{Value, json};

use super::archive::{Archive, History, OnDamage};
use super::fold::Fold;
use super::listing::{Row, fold_all};
use super::{Need, Rows, Run, Settled, Settling, Source, sizes, travel, writing};
use crate::arguments::{LettersWanted, ListWanted};
use crate::error::Error;

/// A data directory whose server does not run.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    damage: OnDamage,
    watched: bool,
}

impl Directory {
    /// The directory there; it is looked at when something is asked.
    #[must_use]
    pub fn at(path: PathBuf, damage: OnDamage, watched: bool) -> Self {
        Self { path, damage, watched }
    }

    /// Its log, read from the beginning.
    ///
    /// # Errors
    /// If there is none, it is something else, or a server has it.
    pub(crate) fn archive(&self) -> Result<Archive, Error> {
        Archive::open(&self.path, self.damage, self.watched)
    }
}

impl Source for Directory {
    fn runs(&self, wanted: &ListWanted) -> Result<Rows, Error> {
        let mut listing = fold_all(&self.archive()?, wanted.filter.workflow.as_deref())?;
        listing.rows.retain(|row| wanted.filter.takes(row));
        if wanted.order == Order::OldestFirst {
            listing.rows.reverse();
        }
        let count = listing.rows.len() as u64;
        let rows = listing.rows.iter().take(wanted.limit).map(run_row).collect();
        Ok(Rows { rows, count: Some(count), warning: up_to(listing.damage.as_ref()) })
    }

    fn run(&self, id: &str, need: Need) -> Result<Run, Error> {
        let mut history = self.archive()?.find(id)?;
        let mut run = outline(&mut history);
        if need != Need::Events {
            match history.fold() {
                Fold::Whole(state) => run.execution = Some(execution_json(&state)),
                Fold::Broken { why } => run.quarantined = Some(why),
                Fold::Empty => run.quarantined = Some("nothing was recorded".to_owned()),
            }
        }
        if need != Need::Standing || run.quarantined.is_some() {
            run.events = events(&mut history);
        }
        Ok(run)
    }

    fn why(&self, id: &str) -> Result<Value, Error> {
        let mut history = self.archive()?.find(id)?;
        let run = outline(&mut history).id;
        match history.fold() {
            Fold::Whole(state) => Ok(why_json(&state, &blockers(&state))),
            Fold::Broken { why } => Err(Error::Quarantined { run, why }),
            Fold::Empty => Err(Error::Quarantined { run, why: "nothing was recorded".to_owned() }),
        }
    }

    fn run_at(&self, id: &str, point: Point) -> Result<Run, Error> {
        let mut history = self.archive()?.find(id)?;
        let execution = Some(travel::execution_at(&mut history, point)?);
        Ok(Run { execution, ..outline(&mut history) })
    }

    fn diff(&self, id: &str, from: Option<Point>, to: Option<Point>) -> Result<Value, Error> {
        travel::diff(&mut self.archive()?.find(id)?, from, to)
    }

    fn compare(&self, left: &str, right: &str) -> Result<Value, Error> {
        let archive = self.archive()?;
        travel::compare(&mut archive.find(left)?, &mut archive.find(right)?)
    }

    fn letters(&self, wanted: &LettersWanted) -> Result<Rows, Error> {
        let listing = fold_all(&self.archive()?, wanted.workflow.as_deref())?;
        let mut letters: Vec<_> = listing.rows.iter().flat_map(|row| &row.letters).collect();
        letters.retain(|letter| wanted.takes(letter));
        letters.sort_by_key(|letter| std::cmp::Reverse((letter.opened_at, letter.letter)));
        let count = letters.len() as u64;
        let rows = letters.into_iter().take(wanted.limit).map(letter_row_json).collect();
        Ok(Rows { rows, count: Some(count), warning: up_to(listing.damage.as_ref()) })
    }

    fn letter_groups(&self, wanted: &LettersWanted) -> Result<Rows, Error> {
        let (all, status) = wanted.of_groups();
        let listing = fold_all(&self.archive()?, all.workflow.as_deref())?;
        let letters = listing.rows.iter().flat_map(|row| &row.letters);
        let groups = groups(letters.filter(|letter| all.takes(letter)), status);
        let count = groups.len() as u64;
        let rows = groups.iter().take(wanted.limit).map(letter_group_json).collect();
        Ok(Rows { rows, count: Some(count), warning: up_to(listing.damage.as_ref()) })
    }

    fn letter(&self, id: LetterId) -> Result<Value, Error> {
        let none = || Error::NoLetter { letter: id };
        let mut history = match self.archive()?.find(&id.execution.to_string()) {
            Err(Error::NotFound { .. }) => return Err(none()),
            found => found?,
        };
        let run = id.execution.to_string();
        let state = match history.fold() {
            Fold::Whole(state) => state,
            Fold::Broken { why } => return Err(Error::Quarantined { run, why }),
            Fold::Empty => return Err(none()),
        };
        let letter = state.letters.get(id.number as usize).ok_or_else(none)?;
        let mut shown = letter_json(&state, id.number, letter);
        let told = history.records.iter().map(|own| (&own.event, own.recorded_at));
        shown["attempt_history"] = attempts_json(id.number, told);
        Ok(shown)
    }

    fn settle(&self, ids: &[LetterId], how: &Settling) -> Result<Vec<Settled>, Error> {
        let mut writing = writing::Writing::open(&self.path)?;
        let settled = ids
            .iter()
            .map(|&letter| Settled { letter, outcome: writing.settle(letter, how) })
            .collect();
        writing.close()?;
        Ok(settled)
    }

    fn stats(&self, database: bool) -> Result<Rows, Error> {
        let archive = self.archive()?;
        let listing = fold_all(&archive, None)?;
        let mut document = sizes::document(&self.path, &archive, &listing);
        drop(archive);
        if database {
            let writing = writing::Writing::open(&self.path)?;
            document["database"] = json!(writing.statistics());
            writing.close()?;
        }
        Ok(Rows { rows: vec![document], count: None, warning: up_to(listing.damage.as_ref()) })
    }
}

/// The API's row, with what only an offline list can tell.
fn run_row(row: &Row) -> Value {
    let mut document = run_row_json(&row.summary);
    document["namespace"] = json!(row.summary.namespace);
    document["status"] = json!(row.standing().word());
    if let Some(why) = &row.quarantined {
        document["quarantined"] = json!(why);
    }
    document
}

/// What can be said of a run without folding it.
fn outline(history: &mut History) -> Run {
    let plan = history.plan();
    let steps = plan.iter().flat_map(|plan| plan.steps.iter().map(|step| step.id.to_string()));
    Run {
        id: history.run.to_string(),
        steps: steps.collect(),
        label: plan.as_ref().map_or_else(String::new, |plan| plan.label.clone()),
        last_version: history.records.len() as u64,
        warning: history.removed.clone().or_else(|| up_to(history.damage.as_ref())),
        ..Run::default()
    }
}

/// The events as the API lists them.
fn events(history: &mut History) -> Vec<Value> {
    let plan = history.plan();
    let partition = history.run.partition;
    let beside = |record: &backstitch_journal::Record| {
        let mut beside = Vec::new();
        record.event.for_each_payload(&mut |own| beside.extend(own.reference()));
        let listed = |(digest, bytes): (Digest, u64)| json!({ "digest": digest.to_string(), "bytes": bytes });
        beside.into_iter().map(listed).collect::<Vec<_>>()
    };
    let event = |(record, generation): (&backstitch_journal::Record, &u32)| {
        let (kind, data) = event_json(&record.event, plan.as_deref());
        json!({
            "position": format!("{generation}:{partition}:{}", record.position),
            "stream": record.stream.to_string(),
            "version": record.version,
            "recorded_at": record.recorded_at.to_string(),
            "type": kind,
            "data": data,
            "kept_beside": beside(record),
        })
    };
    history.records.iter().zip(&history.generations).map(event).collect()
}

/// Says that the log was not read to its end.
fn up_to(damage: Option<&Damage>) -> Option<String> {
    damage.map(|damage| format!("this is what stands before the log's first damage ({damage})"))
}
