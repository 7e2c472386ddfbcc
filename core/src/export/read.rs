//! Reading an export: lines go in, whole definitions and whole runs come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::event_from_value;
use super::{
    Definition, EXPORT_FORMAT, EXPORT_VERSION, Header, LINE_BYTES_MAX, Line, RUN_BYTES_MAX,
    RUN_EVENTS_MAX, Run, Skipped, Trailer,
};
use crate::api_keys::is_namespace;
use crate::audit::Mark;
use crate::event::{Event, RunEvent};
use crate::ids::{Digest, ExecutionId};
use crate::lineage::lineage_of;
use crate::plan::Plan;
use crate::report::event_type;
use crate::time::Timestamp;

/// The longest id of a store, in bytes: 16 bytes in hex.
const STORE_BYTES_MAX: usize = 32;

/// Why a line was not taken. Everything that came out before it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Counts from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// What came out of some lines.
#[derive(Debug)]
pub enum Item {
    /// A definition that runs behind it are pinned to.
    Definition(Box<ImportedDefinition>),
    /// A run with all of its events.
    Run(ImportedRun),
    /// A run that whoever wrote the file had to leave out.
    Skipped(Skipped),
}

/// A definition, checked against its digest and compiled.
#[derive(Debug)]
pub struct ImportedDefinition {
    /// As written.
    pub definition: Definition,
    /// The same, compiled.
    pub plan: Plan,
}

/// A run as it was exported. Its events are gapless and begin with its submission; whether
/// they fold is for whoever has its plan to say.
#[derive(Debug)]
pub struct ImportedRun {
    /// The run.
    pub execution: ExecutionId,
    /// Whether it was closed when it was exported.
    pub closed: bool,
    /// Whether every payload is as it was.
    pub whole: bool,
    /// The contents it was pinned to, the last one counts.
    pub lineage: Vec<Digest>,
    /// Oldest first.
    pub events: Vec<(Event, Timestamp)>,
    /// The requests that some of them came of, by version.
    pub marks: BTreeMap<u64, Arc<Mark>>,
    /// The line its run line stands in.
    pub line: u64,
}

/// An export being read.
#[derive(Debug, Default)]
pub struct Importer {
    line: u64,
    header: Option<Header>,
    hasher: blake3::Hasher,
    open: Option<(Run, ImportedRun)>,
    /// Bytes of the lines of that run's events so far.
    open_bytes: usize,
    definitions: u64,
    runs: u64,
    events: u64,
    skipped: u64,
    ended: bool,
}

impl Importer {
    /// What the file says of itself, once its first line was taken.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Lines taken so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// Takes the next line, with or without its line end.
    ///
    /// # Errors
    /// [`BadLine`]; nothing more must be given then.
    pub fn take(&mut self, text: &[u8]) -> Result<Option<Item>, BadLine> {
        self.line += 1;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if text.len() > LINE_BYTES_MAX {
            return Err(self.bad(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        if self.ended {
            return Err(self.bad("it stands behind the trailer"));
        }
        self.open_bytes += text.len();
        if self.open.is_some() && self.open_bytes > RUN_BYTES_MAX {
            return Err(self.bad(format!("its run has more than {RUN_BYTES_MAX} bytes of events")));
        }
        let line: Line = serde_json::from_slice(text)
            .map_err(|error| self.bad(format!("it is no line of an export: {error}")))?;
        let before = self.hasher.clone();
        self.hasher.update(text);
        self.hasher.update(b"\n");
        if self.header.is_none() != matches!(line, Line::Header(_)) {
            return Err(self.bad("a file begins with its header, which stands nowhere else"));
        }
        if self.open.is_some() && !matches!(line, Line::Event(_)) {
            return Err(self.bad("events of the run before it are missing"));
        }
        match line {
            Line::Header(header) => self.take_header(header).map(|()| None),
            Line::Definition(own) => self.take_definition(own).map(Some),
            Line::Run(run) => self.take_run(run).map(|()| None),
            Line::Event(event) => self.take_event(event),
            Line::Skipped(own) => {
                self.skipped += 1;
                Ok(Some(Item::Skipped(own)))
            }
            Line::Trailer(trailer) => self.take_trailer(trailer, &before).map(|()| None),
        }
    }

    /// The end of the file.
    ///
    /// # Errors
    /// [`BadLine`] if the trailer has not been taken: the file was cut off.
    pub fn finish(&self) -> Result<(), BadLine> {
        if self.ended {
            return Ok(());
        }
        let why = "the file ends without its trailer: it was cut off".to_owned();
        Err(BadLine { line: self.line + 1, why })
    }

    fn bad(&self, why: impl Into<String>) -> BadLine {
        BadLine { line: self.line, why: why.into() }
    }

    fn take_header(&mut self, header: Header) -> Result<(), BadLine> {
        if header.format != EXPORT_FORMAT {
            return Err(self.bad(format!("the format is `{}`, not {EXPORT_FORMAT}", header.format)));
        }
        if header.version == 0 || header.version > EXPORT_VERSION {
            let given = header.version;
            return Err(self.bad(format!(
                "the export has version {given}, this program knows up to {EXPORT_VERSION}"
            )));
        }
        if header.store.len() > STORE_BYTES_MAX {
            return Err(self.bad("the store that it says it comes from is none"));
        }
        self.header = Some(header);
        Ok(())
    }

    fn take_definition(&mut self, definition: Definition) -> Result<Item, BadLine> {
        if Digest::of(definition.text.as_bytes()) != definition.digest {
            return Err(self.bad("the definition's text does not match its digest"));
        }
        let plan = Plan::recompile(&definition.text).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            self.bad(format!("the definition can't be used: {first}"))
        })?;
        if *plan.workflow != *definition.workflow_id {
            return Err(self.bad("the definition is one of another workflow"));
        }
        if !is_namespace(&definition.namespace) {
            return Err(self.bad("the definition's namespace can't name a tenant"));
        }
        self.definitions += 1;
        Ok(Item::Definition(Box::new(ImportedDefinition { definition, plan })))
    }

    fn take_run(&mut self, run: Run) -> Result<(), BadLine> {
        if run.events == 0 || run.events > RUN_EVENTS_MAX {
            return Err(self.bad(format!("a run has 1 to {RUN_EVENTS_MAX} events")));
        }
        self.runs += 1;
        let imported = ImportedRun {
            execution: run.execution_id,
            closed: run.closed,
            whole: run.whole,
            lineage: Vec::new(),
            events: Vec::new(),
            marks: BTreeMap::new(),
            line: self.line,
        };
        self.open = Some((run, imported));
        self.open_bytes = 0;
        Ok(())
    }

    fn take_event(&mut self, own: super::EventLine) -> Result<Option<Item>, BadLine> {
        let event = event_from_value(own.event).map_err(|why| self.bad(why))?;
        if event_type(&event) != own.kind {
            return Err(self.bad(format!("it says {}, its event is another", own.kind)));
        }
        let line = self.line;
        let bad = |why: &str| BadLine { line, why: why.to_owned() };
        let Some((run, imported)) = &mut self.open else {
            return Err(bad("it belongs to no run"));
        };
        if own.version != imported.events.len() as u64 + 1 {
            return Err(bad("its version does not follow"));
        }
        match (&event, own.version) {
            (Event::Run(RunEvent::Submitted(run)), 1) if !is_namespace(&run.namespace) => {
                return Err(bad("its namespace can't name a tenant"));
            }
            (Event::Run(RunEvent::Submitted(_)), 1) | (Event::Run(_), 2..) => {}
            (_, 1) => return Err(bad("a run begins with its submission")),
            _ => return Err(bad("it is no event of a run")),
        }
        imported.lineage.extend(lineage_of([&event]));
        if own.mark.as_ref().is_some_and(|mark| !mark.is_plain()) {
            return Err(bad("no request can have had it happen that is called so"));
        }
        imported.marks.extend(own.mark.map(|mark| (own.version, mark)));
        imported.events.push((event, own.recorded_at));
        self.events += 1;
        if (imported.events.len() as u64) < run.events {
            return Ok(None);
        }
        Ok(self.open.take().map(|(_, imported)| Item::Run(imported)))
    }

    fn take_trailer(&mut self, own: Trailer, before: &blake3::Hasher) -> Result<(), BadLine> {
        let counted = (self.definitions, self.runs, self.events, self.skipped);
        if counted != (own.definitions, own.runs, own.events, own.skipped) {
            return Err(self.bad("its counts are not those of the file: lines are missing"));
        }
        if Digest(*before.finalize().as_bytes()) != own.blake3 {
            return Err(self.bad("its hash is not that of the file: something was changed"));
        }
        self.ended = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_never_ends_is_refused() {
        let mut importer = Importer::default();
        let run = Run {
            execution_id: ExecutionId { partition: crate::ids::PartitionId(0), digits: 1 },
            status: "completed".to_owned(),
            closed: true,
            events: RUN_EVENTS_MAX,
            whole: true,
        };
        importer.take_run(run).expect("it may begin");
        let line = vec![b' '; 1_024 * 1_024];
        let why = (0..).find_map(|taken| {
            let refused = importer.take(&line).expect_err("it is no line");
            refused.why.contains("bytes of events").then_some(taken * line.len())
        });
        assert_eq!(why, Some(RUN_BYTES_MAX));
    }
}
