//! A running server as a source: what its API answers, page by page.
//!
//! Knows the API's paths; the journal is the server's.

use std::time::Duration;

use backstitch_core::ids::{DEFAULT_NAMESPACE, LetterId};
use backstitch_core::travel::Point;
use backstitch_journal::Order;
use serde_json::{Value, json};

use super::client::Client;
use super::listing::Standing;
use super::{CANDIDATES_MAX, Need, Prefix, Rows, Run, Settled, Settling, Source};
use crate::arguments::{LettersWanted, ListWanted};
use crate::clock;
use crate::error::Error;
use crate::place::Peer;
use crate::progress::Progress;

/// Rows asked for at a time: the most that the API gives.
const PAGE_ROWS: usize = 1_000;
/// Pause between two questions how far something is.
const WATCH_EVERY: Duration = Duration::from_millis(200);
pub(super) const EXECUTIONS: [&str; 3] = ["api", "v1", "executions"];
const LETTERS: [&str; 3] = ["api", "v1", "dlq"];

/// A running server.
#[derive(Debug)]
pub struct Server {
    client: Client,
    watched: bool,
}

impl Server {
    /// A server; it is asked when something is asked.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn at(peer: Peer, watched: bool) -> Result<Self, Error> {
        Ok(Self { client: Client::new(peer)?, watched })
    }

    /// Its HTTP.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether long work shows how far it is.
    pub(super) fn watched(&self) -> bool {
        self.watched
    }

    /// Asks again and again how far something is, until it is over; `done` answers that, and
    /// says how much of how much.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub(crate) fn watch(
        &self,
        doing: &'static str,
        path: &[&str],
        mut done: impl FnMut(&Value) -> (u64, u64, bool),
    ) -> Result<Value, Error> {
        let mut progress = Progress::count(self.watched, doing, 0);
        loop {
            let standing = self.client.get(path, &[])?;
            let (reached, total, over) = done(&standing);
            progress.reach_of(reached, total);
            if over {
                return Ok(standing);
            }
            std::thread::sleep(WATCH_EVERY);
        }
    }

    /// Visits the rows of a list, page by page, until `visit` answers `false`.
    fn each_row(
        &self,
        path: &[&str],
        rows_name: &str,
        query: &[(&str, String)],
        visit: &mut dyn FnMut(Value) -> bool,
    ) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        let mut progress = Progress::count(self.watched, "pages of the server's list", 0);
        let mut pages = 0;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", PAGE_ROWS.to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let mut page = self.client.get(path, &query)?;
            let Value::Array(rows) = page[rows_name].take() else {
                return Err(self.client.no_backstitch(format!("no `{rows_name}` in its answer")));
            };
            for row in rows {
                if !visit(row) {
                    return Ok(());
                }
            }
            pages += 1;
            progress.reach(pages);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(()),
            }
        }
    }

    /// The first rows, and how many there are if that many is all.
    fn first_rows(
        &self,
        path: &[&str],
        rows_name: &str,
        query: &[(&str, String)],
        limit: usize,
    ) -> Result<Rows, Error> {
        let (mut rows, mut more) = (Vec::new(), false);
        self.each_row(path, rows_name, query, &mut |row| {
            more = rows.len() == limit;
            if !more {
                rows.push(row);
            }
            !more
        })?;
        let count = (!more).then_some(rows.len() as u64);
        Ok(Rows { rows, count, warning: None })
    }

    /// The whole id of the one run whose id begins so.
    pub(super) fn find(&self, given: &str) -> Result<String, Error> {
        let prefix = Prefix::of(given)?;
        let text = prefix.text();
        if prefix.is_whole() {
            return Ok(text);
        }
        let (mut some, mut count) = (Vec::new(), 0);
        self.each_row(&EXECUTIONS, "executions", &[], &mut |row| {
            let id = row["execution_id"].as_str().unwrap_or_default();
            if id.starts_with(&text) {
                count += 1;
                if some.len() < CANDIDATES_MAX {
                    some.push(id.to_owned());
                }
            }
            true
        })?;
        match (count, some.pop()) {
            (1, Some(id)) => Ok(id),
            (0, _) | (_, None) => Err(Error::NotFound { prefix: text }),
            (_, Some(last)) => {
                some.push(last);
                Err(Error::Ambiguous { prefix: text, count, some })
            }
        }
    }

    fn execution(&self, id: &str, run: &mut Run) -> Result<(), Error> {
        let path = [&EXECUTIONS[..], &[id]].concat();
        match self.client.get(&path, &[]) {
            Ok(execution) => {
                self.describe(&execution, run)?;
                run.execution = Some(execution);
                Ok(())
            }
            Err(Error::Refused { code, message }) => match code.as_str() {
                "EXECUTION_QUARANTINED" => {
                    run.quarantined = Some(message);
                    Ok(())
                }
                _ => Err(no_run(Error::Refused { code, message }, id)),
            },
            Err(error) => Err(error),
        }
    }

    /// Adds what only the definition says: the order of the steps, and its own version.
    fn describe(&self, execution: &Value, run: &mut Run) -> Result<(), Error> {
        run.last_version = execution["version"].as_u64().unwrap_or(0);
        let (Some(workflow), Some(revision)) =
            (execution["workflow_id"].as_str(), execution["revision"].as_u64())
        else {
            return Err(self.client.no_backstitch("no `workflow_id` in its answer"));
        };
        let query = [("revision", revision.to_string())];
        match self.client.get(&["api", "v1", "workflows", workflow], &query) {
            Ok(defined) => {
                run.label = defined["version"].as_str().unwrap_or_default().to_owned();
                let steps = defined["definition"]["steps"].as_array();
                let ids = steps.into_iter().flatten().filter_map(|step| step["id"].as_str());
                run.steps = ids.map(str::to_owned).collect();
                Ok(())
            }
            // The run is pinned to it and shown without.
            Err(Error::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn events(&self, id: &str) -> Result<Vec<Value>, Error> {
        let path = [&EXECUTIONS[..], &[id, "events"]].concat();
        let (mut events, mut after) = (Vec::new(), 0_u64);
        loop {
            let query = [("after_version", after.to_string()), ("limit", PAGE_ROWS.to_string())];
            let mut page = self.client.get(&path, &query).map_err(|error| no_run(error, id))?;
            let Value::Array(rows) = page["events"].take() else {
                return Err(self.client.no_backstitch("no `events` in its answer"));
            };
            events.extend(rows);
            match page["next_after_version"].as_u64().filter(|next| *next > after) {
                Some(next) => after = next,
                None => return Ok(events),
            }
        }
    }

    fn settle_one(&self, letter: LetterId, how: &Settling) -> Result<Value, Error> {
        let id = letter.to_string();
        let (word, body) = match how {
            Settling::Retry { input: None, .. } => ("retry", json!({})),
            Settling::Retry { input: Some(input), reason, .. } => {
                ("retry", json!({ "input": input, "reason": reason }))
            }
            Settling::Assign { assignee, reason, .. } => {
                ("assign", json!({ "assignee": assignee, "reason": reason }))
            }
            Settling::Note { text, .. } => ("notes", json!({ "text": text })),
            Settling::Discard { reason, .. } => ("discard", json!({ "reason": reason })),
        };
        let path = [&LETTERS[..], &[id.as_str(), word]].concat();
        self.client.post(&path, &body).map_err(|error| no_letter(error, letter))
    }
}

impl Source for Server {
    fn runs(&self, wanted: &ListWanted) -> Result<Rows, Error> {
        if wanted.filter.status == Some(Standing::Quarantined) {
            return Err(Error::Misplaced {
                command: "`list --status quarantined`".to_owned(),
                why: "works offline only: a server does not list runs it cannot fold; \
                      `GET /info` counts them",
            });
        }
        let mut query = wanted.filter.query();
        if wanted.order == Order::OldestFirst {
            query.push(("order", "asc".to_owned()));
        }
        let mut rows = self.first_rows(&EXECUTIONS, "executions", &query, wanted.limit)?;
        for row in &mut rows.rows {
            // The API serves one namespace and does not repeat it in each row.
            if row["namespace"].is_null() {
                row["namespace"] = json!(DEFAULT_NAMESPACE);
            }
        }
        Ok(rows)
    }

    fn run(&self, id: &str, need: Need) -> Result<Run, Error> {
        let id = self.find(id)?;
        let goes_on_at = Some(clock::now());
        let mut run = Run { id: id.clone(), goes_on_at, ..Run::default() };
        if need != Need::Events {
            self.execution(&id, &mut run)?;
        }
        if need != Need::Standing || run.quarantined.is_some() {
            run.events = self.events(&id)?;
        }
        Ok(run)
    }

    fn why(&self, id: &str) -> Result<Value, Error> {
        let id = self.find(id)?;
        let path = [&EXECUTIONS[..], &[id.as_str(), "why"]].concat();
        self.client.get(&path, &[]).map_err(|error| no_run(error, &id))
    }

    fn run_at(&self, id: &str, point: Point) -> Result<Run, Error> {
        let id = self.find(id)?;
        let mut run = Run { id: id.clone(), ..Run::default() };
        let query = match point {
            Point::Version(version) => [("version", version.to_string())],
            Point::At(at) => [("at", at.to_string())],
        };
        // As it stands now it says how long its history is.
        self.execution(&id, &mut run)?;
        let path = [&EXECUTIONS[..], &[id.as_str()]].concat();
        let then = self.client.get(&path, &query).map_err(|error| no_run(error, &id))?;
        Ok(Run { execution: Some(then), events: Vec::new(), ..run })
    }

    fn diff(&self, id: &str, from: Option<Point>, to: Option<Point>) -> Result<Value, Error> {
        let id = self.find(id)?;
        let word = |point| match point {
            Point::Version(version) => version.to_string(),
            Point::At(at) => at.to_string(),
        };
        let ends = [("from", from), ("to", to)];
        let given = ends.into_iter().filter_map(|(name, point)| Some((name, word(point?))));
        let path = [&EXECUTIONS[..], &[id.as_str(), "diff"]].concat();
        self.client.get(&path, &given.collect::<Vec<_>>()).map_err(|error| no_run(error, &id))
    }

    fn compare(&self, left: &str, right: &str) -> Result<Value, Error> {
        let (left, right) = (self.find(left)?, self.find(right)?);
        let path = [&EXECUTIONS[..], &[left.as_str(), "compare", right.as_str()]].concat();
        self.client.get(&path, &[]).map_err(|error| no_run(error, &left))
    }

    fn letters(&self, wanted: &LettersWanted) -> Result<Rows, Error> {
        self.first_rows(&LETTERS, "letters", &wanted.query(), wanted.limit)
    }

    fn letter_groups(&self, wanted: &LettersWanted) -> Result<Rows, Error> {
        let mut query = wanted.cause_query()?;
        query.push(("limit", wanted.limit.min(PAGE_ROWS).to_string()));
        let path = [&LETTERS[..], &["groups"]].concat();
        let mut answer = self.client.get(&path, &query)?;
        let Value::Array(rows) = answer["groups"].take() else {
            return Err(self.client.no_backstitch("no `groups` in its answer"));
        };
        Ok(Rows { rows, count: answer["count"].as_u64(), warning: None })
    }

    fn letter(&self, id: LetterId) -> Result<Value, Error> {
        let text = id.to_string();
        let path = [&LETTERS[..], &[text.as_str()]].concat();
        self.client.get(&path, &[]).map_err(|error| no_letter(error, id))
    }

    fn settle(&self, ids: &[LetterId], how: &Settling) -> Result<Vec<Settled>, Error> {
        let mut settled = Vec::new();
        for &letter in ids {
            let outcome = self.settle_one(letter, how);
            let over = matches!(
                outcome,
                Err(Error::Unreachable { .. }
                    | Error::Unavailable { .. }
                    | Error::Unauthorized { .. }
                    | Error::NoBackstitch { .. })
            );
            match outcome {
                Err(error) if over && settled.is_empty() => return Err(error),
                outcome => settled.push(Settled { letter, outcome }),
            }
            if over {
                break;
            }
        }
        Ok(settled)
    }

    fn stats(&self, database: bool) -> Result<Rows, Error> {
        let info = self.client.get(&["info"], &[])?;
        if !info["journal"].is_object() {
            return Err(self.client.no_backstitch("no `journal` in its `/info`"));
        }
        let counts = |path: &[&str]| match self.client.get(path, &[]) {
            // An older server keeps none.
            Err(Error::NoBackstitch { .. }) => Ok(Value::Null),
            counts => counts,
        };
        let statistics = counts(&["api", "v1", "statistics"])?;
        let letters = counts(&[&LETTERS[..], &["stats"]].concat())?;
        let mut document = super::sizes::of_info(&info, &statistics, &letters);
        if database {
            document["database"] = self.client.get(&["api", "v1", "stats", "db"], &[])?;
        }
        Ok(Rows { rows: vec![document], count: None, warning: None })
    }
}

fn no_letter(error: Error, letter: LetterId) -> Error {
    match error {
        Error::Refused { code, .. } if code == "DEAD_LETTER_NOT_FOUND" => {
            Error::NoLetter { letter }
        }
        error => error,
    }
}

pub(super) fn no_run(error: Error, id: &str) -> Error {
    match error {
        Error::Refused { code, .. } if code == "EXECUTION_NOT_FOUND" => {
            Error::NotFound { prefix: id.to_owned() }
        }
        error => error,
    }
}
