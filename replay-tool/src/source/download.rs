//! Runs of a server written to a file, and a file sent to it.
//!
//! The server writes the lines; they are read as they come, so that a file appears under its
//! name only if it is whole.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use backstitch_core::export::{Importer, Item, Line, Trailer};
use backstitch_core::ids::Digest;
use reqwest::blocking::Body;
use serde_json::Value;

use super::export::{Target, written};
use super::lines::next_line;
use super::listing::Standing;
use super::server::{EXECUTIONS, Server, no_run};
use crate::arguments::ExportWanted;
use crate::error::Error;
use crate::progress::Progress;

const EXPORT: [&str; 3] = ["api", "v1", "export"];
const IMPORT: [&str; 3] = ["api", "v1", "import"];

impl Server {
    /// Writes the wanted runs to a file; answers what was written.
    ///
    /// # Errors
    /// If the server refuses or breaks off, a run that was named is not there, or the file is
    /// there already or cannot be written.
    pub(crate) fn export(&self, wanted: &ExportWanted) -> Result<Value, Error> {
        let mut query = Vec::new();
        query.extend(wanted.redact.as_ref().map(|own| ("redact", own.places().join(","))));
        let one = |id: &String| {
            let path = [&EXECUTIONS[..], &[id.as_str(), "export"]].concat();
            self.client().download(&path, &query).map_err(|error| no_run(error, id))
        };
        let mut ids = Vec::new();
        for given in &wanted.ids {
            let id = self.find(given)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        match ids.as_slice() {
            [] => {
                if wanted.filter.status == Some(Standing::Quarantined) {
                    return Err(Error::Misplaced {
                        command: "`export --status quarantined`".to_owned(),
                        why: "finds nothing: a run that does not fold is not exported",
                    });
                }
                query.extend(wanted.filter.query());
                self.write(self.client().download(&EXPORT, &query)?, &wanted.output)
            }
            [id] => self.write(one(id)?, &wanted.output),
            several => {
                let mut together = Together::default();
                for id in several {
                    self.each_line(one(id)?, &mut |line| together.take(line))?;
                }
                self.write(together.end().as_bytes(), &wanted.output)
            }
        }
    }

    /// Sends a file of runs; answers what became of each.
    ///
    /// # Errors
    /// If the file cannot be read, or the server refuses it.
    pub(crate) fn import(&self, path: &Path) -> Result<Value, Error> {
        let unread = |source| Error::File { action: "reading", path: path.to_owned(), source };
        let file = File::open(path).map_err(unread)?;
        let about = file.metadata().map_err(unread)?;
        if !about.is_file() {
            return Err(Error::NoFile { path: path.to_owned() });
        }
        let bytes = about.len();
        let progress = Progress::bytes(self.watched(), "sending the file", bytes);
        let body = Body::sized(Sent { file, progress, bytes: 0 }, bytes);
        self.client().upload(&IMPORT, body)
    }

    /// Writes an export that is read, checking every line.
    fn write(&self, from: impl Read, to: &Path) -> Result<Value, Error> {
        let mut out = Target::create(to)?;
        let mut importer = Importer::default();
        let (mut counts, mut bytes, mut skipped) = ([0_u64; 2], 0_u64, Vec::new());
        let mut progress = Progress::bytes(self.watched(), "exporting", 0);
        self.each_line(from, &mut |line| {
            match importer.take(line.as_bytes()).map_err(bad)? {
                Some(Item::Run(run)) => {
                    counts = [counts[0] + 1, counts[1] + run.events.len() as u64];
                }
                Some(Item::Skipped(own)) => skipped.push((own.execution_id, own.reason)),
                Some(Item::Definition(_)) | None => {}
            }
            bytes += line.len() as u64;
            progress.reach(bytes);
            out.write(line)
        })?;
        importer.finish().map_err(bad)?;
        Ok(written(to, out.finish()?, counts, &skipped))
    }

    fn each_line(
        &self,
        from: impl Read,
        visit: &mut dyn FnMut(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let broke_off = |source| Error::BrokeOff { url: self.client().url().to_owned(), source };
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            if next_line(&mut from, &mut line).map_err(broke_off)? == 0 {
                return Ok(());
            }
            let no_text = |_| self.client().no_backstitch("its export is no text");
            visit(&String::from_utf8(line).map_err(no_text)?)?;
        }
    }
}

fn bad(bad: backstitch_core::export::BadLine) -> Error {
    Error::BadExport { bad }
}

/// Exports of single runs as one file.
#[derive(Default)]
struct Together {
    text: String,
    definitions: Vec<Digest>,
    runs: u64,
    events: u64,
    skipped: u64,
}

impl Together {
    fn take(&mut self, text: &str) -> Result<(), Error> {
        let line: Line = serde_json::from_str(text).map_err(|error| {
            bad(backstitch_core::export::BadLine { line: 0, why: error.to_string() })
        })?;
        let keep = match line {
            Line::Header(_) => self.text.is_empty(),
            Line::Definition(own) => {
                let fresh = !self.definitions.contains(&own.digest);
                self.definitions.extend(fresh.then_some(own.digest));
                fresh
            }
            Line::Run(_) => {
                self.runs += 1;
                true
            }
            Line::Event(_) => {
                self.events += 1;
                true
            }
            Line::Skipped(_) => {
                self.skipped += 1;
                true
            }
            Line::Trailer(_) => false,
        };
        if keep {
            self.text.push_str(text);
        }
        Ok(())
    }

    /// All of it, with the trailer of what it became.
    fn end(mut self) -> String {
        let trailer = Line::Trailer(Trailer {
            definitions: self.definitions.len() as u64,
            runs: self.runs,
            events: self.events,
            skipped: self.skipped,
            blake3: Digest::of(self.text.as_bytes()),
        });
        self.text += &serde_json::to_string(&trailer).expect("a trailer is plain data");
        self.text.push('\n');
        self.text
    }
}

/// A file on its way, which says how far it is.
struct Sent {
    file: File,
    progress: Progress,
    bytes: u64,
}

impl Read for Sent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        self.progress.reach(self.bytes);
        Ok(count)
    }
}
