//! Writing an export, line by line.

use std::collections::BTreeSet;

use super::codec::event_to_value;
use super::{
    Definition, EXPORT_FORMAT, EXPORT_VERSION, EventLine, Header, Line, Recorded, Redaction, Run,
    Skipped, Trailer,
};
use crate::ids::{Digest, ExecutionId};
use crate::report::event_type;
use crate::state::State;
use crate::time::Timestamp;

/// An export under way. What its methods answer is the file, in order.
#[derive(Debug)]
pub struct Exporter {
    redaction: Redaction,
    hasher: blake3::Hasher,
    /// Definitions that are in the file already.
    written: BTreeSet<Digest>,
    definitions: u64,
    runs: u64,
    events: u64,
    skipped: u64,
}

impl Exporter {
    /// Begins a file; answers its header with it. `store` and `generation` are those of the
    /// store that is exported.
    #[must_use]
    pub fn begin(
        store: &str,
        generation: u32,
        exported_at: Timestamp,
        redaction: Redaction,
    ) -> (Self, String) {
        let header = Header {
            format: EXPORT_FORMAT.to_owned(),
            version: EXPORT_VERSION,
            store: store.to_owned(),
            generation,
            exported_at,
            redacted: redaction.places().to_vec(),
        };
        let mut own = Self {
            redaction,
            hasher: blake3::Hasher::new(),
            written: BTreeSet::new(),
            definitions: 0,
            runs: 0,
            events: 0,
            skipped: 0,
        };
        let text = own.line(&Line::Header(header));
        (own, text)
    }

    /// A run: its state, its events as they are recorded, and the canonical JSON of each
    /// content it was pinned to.
    #[must_use]
    pub fn run(
        &mut self,
        state: &State,
        events: Vec<Recorded>,
        text_of: &dyn Fn(&Digest) -> String,
    ) -> String {
        let mut text = String::new();
        let submitted = &state.submitted;
        for (revision, digest) in state.pins() {
            if !self.written.insert(digest) {
                continue;
            }
            self.definitions += 1;
            text += &self.line(&Line::Definition(Definition {
                namespace: submitted.namespace.to_string(),
                workflow_id: submitted.workflow.to_string(),
                revision,
                digest,
                text: text_of(&digest),
            }));
        }
        let mut whole = true;
        let count = events.len() as u64;
        let lines: Vec<Line> = (1..)
            .zip(events)
            .map(|(version, Recorded { mut event, at: recorded_at, position, mark })| {
                event.for_each_payload(&mut |payload| whole &= payload.absent().is_none());
                whole &= !self.redaction.apply(&mut event);
                let (kind, event) = (event_type(&event).to_owned(), event_to_value(&event));
                Line::Event(EventLine { version, position, recorded_at, kind, event, mark })
            })
            .collect();
        self.runs += 1;
        self.events += count;
        text += &self.line(&Line::Run(Run {
            execution_id: state.id,
            status: state.status().word().to_owned(),
            closed: state.is_closed(),
            events: count,
            whole,
        }));
        lines.iter().for_each(|line| text += &self.line(line));
        text
    }

    /// A run that is left out: it does not fold.
    #[must_use]
    pub fn skip(&mut self, execution_id: ExecutionId, reason: String) -> String {
        self.skipped += 1;
        self.line(&Line::Skipped(Skipped { execution_id, reason }))
    }

    /// The last line.
    #[must_use]
    pub fn end(mut self) -> String {
        let blake3 = Digest(*self.hasher.finalize().as_bytes());
        let Self { definitions, runs, events, skipped, .. } = self;
        self.line(&Line::Trailer(Trailer { definitions, runs, events, skipped, blake3 }))
    }

    fn line(&mut self, line: &Line) -> String {
        let mut text = serde_json::to_string(line).expect("a line is plain data");
        text.push('\n');
        self.hasher.update(text.as_bytes());
        text
    }
}
