//! Runs out of a store and into another: exports written run by run, imports taken line by
//! line.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::export::{
    BadLine, Exporter, ImportReport, ImportedDefinition, ImportedRun, Importer, Item, Recorded,
    Redaction, beyond_partitions, is_same, not_closed,
};
use backstitch_core::ids::{Digest, ExecutionId, StreamId};
use backstitch_core::lineage::Plans;
use backstitch_core::machine::replay;
use backstitch_core::plan::Plan;
use backstitch_core::report::{letter_summaries, run_summary};
use backstitch_core::state::State;
use backstitch_core::summary::ViewChange;
use backstitch_journal::{Record, record_fits};

use super::{Handle, blocking, unexpected};
use crate::clock;
use crate::engine::WORKFLOWS_PARTITION;
use crate::error::Error;
use crate::partition::{Answer, Definition, Expected, Import as Whole, Input, guarded};

/// An export under way.
pub struct Export {
    handle: Handle,
    exporter: Exporter,
}

impl Export {
    /// The lines of a run.
    ///
    /// # Errors
    /// As [`Handle::history`], and [`Error::Quarantined`] if it does not fold.
    pub async fn run(self, run: ExecutionId) -> Result<(Self, String), Error> {
        let (records, plan) = self.handle.history(run).await?;
        let Self { handle, mut exporter } = self;
        blocking(move || {
            let lines = lines(&handle, &mut exporter, run, records, plan)?;
            Ok((Self { handle, exporter }, lines))
        })
        .await?
    }

    /// The lines of a run whose history was read already; of one that does not fold, the line
    /// that says so.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn history(
        self,
        run: ExecutionId,
        records: Vec<Record>,
        plan: Option<Arc<Plan>>,
    ) -> Result<(Self, String), Error> {
        let Self { handle, mut exporter } = self;
        blocking(move || {
            let lines = match lines(&handle, &mut exporter, run, records, plan) {
                Err(Error::Quarantined(why)) => exporter.skip(run, why),
                lines => lines?,
            };
            Ok((Self { handle, exporter }, lines))
        })
        .await?
    }

    /// The last line.
    #[must_use]
    pub fn end(self) -> String {
        self.exporter.end()
    }
}

/// An import under way.
pub struct Import {
    handle: Handle,
    importer: Importer,
    report: ImportReport,
    actor: String,
}

impl Handle {
    /// Begins an export; answers its first line with it.
    #[must_use]
    pub fn export(&self, redaction: Redaction) -> (Export, String) {
        let origin = self.shared.journal.origin();
        let store: String = origin.store.iter().map(|byte| format!("{byte:02x}")).collect();
        let (exporter, header) =
            Exporter::begin(&store, origin.generation, clock::now(), redaction);
        (Export { handle: self.clone(), exporter }, header)
    }

    /// Begins an import.
    #[must_use]
    pub fn import(&self, actor: String) -> Import {
        let (importer, report) = (Importer::default(), ImportReport::default());
        Import { handle: self.clone(), importer, report, actor }
    }
}

impl Import {
    /// What became of the lines so far.
    #[must_use]
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Takes the next line. A run is durable once the line of its last event was taken; the
    /// same file can be taken again and goes on where it broke off.
    ///
    /// # Errors
    /// [`Error::BadExport`], [`Error::Draining`], [`Error::Stopped`], [`Error::Journal`].
    pub async fn line(&mut self, text: &[u8]) -> Result<(), Error> {
        match self.importer.take(text).map_err(Error::BadExport)? {
            None => Ok(()),
            Some(Item::Definition(own)) => self.keep(*own).await,
            Some(Item::Run(run)) => self.run(run).await,
            Some(Item::Skipped(own)) => {
                self.report.left_out(own);
                Ok(())
            }
        }
    }

    /// The end of the file.
    ///
    /// # Errors
    /// [`Error::BadExport`] if it was cut off.
    pub fn finish(&self) -> Result<(), Error> {
        self.importer.finish().map_err(Error::BadExport)
    }

    async fn keep(&mut self, own: ImportedDefinition) -> Result<(), Error> {
        let ImportedDefinition { definition, plan } = own;
        if self.handle.catalog().plan(&plan.digest).is_some() {
            return Ok(());
        }
        let definition = Box::new(Definition {
            namespace: definition.namespace.into(),
            workflow: plan.workflow.clone(),
            text: definition.text.into(),
            plan: Arc::new(plan),
            source: None,
            adaptation: None,
            expected: Expected::Anything,
            actor: self.actor.as_str().into(),
            defined_at: clock::now(),
        });
        let ask = |ticket| Input::Keep(definition, ticket);
        match self.handle.ask(WORKFLOWS_PARTITION, ask).await? {
            Answer::Kept => Ok(()),
            answer => Err(unexpected(answer, None)),
        }
    }

    async fn run(&mut self, run: ImportedRun) -> Result<(), Error> {
        let (id, line) = (run.execution, run.line);
        let partitions = self.handle.shared.journal.partition_count();
        if let Some(why) = beyond_partitions(&id, partitions) {
            self.report.refuse(id, why);
            return Ok(());
        }
        let bad = |why: String| Error::BadExport(BadLine { line, why });
        let missing = || bad(format!("the definition of {id} is neither in the file nor here"));
        self.handle.catalog().plan_of(&run.lineage).ok_or_else(missing)?;
        let source = self.importer.source_of(&run);
        // What a crash left of an earlier import is being removed; each answer comes once what
        // was staged before it is durable.
        let visible = |ticket| Input::Visible(id, ticket);
        while let Answer::NotFound = self.handle.ask(id.partition, visible).await? {}
        let (handle, actor) = (self.handle.clone(), self.actor.clone());
        let ready = blocking(move || handle.ready(run, source, actor)).await??;
        let whole = match ready {
            Ready::Refused(why) => {
                self.report.refuse(id, why);
                return Ok(());
            }
            Ready::Broken(why) => return Err(bad(why)),
            Ready::Here(same) => {
                self.report.here(id, same);
                return Ok(());
            }
            Ready::Whole(whole) => whole,
        };
        let ask = |ticket| Input::Import(whole, ticket);
        match self.handle.ask(id.partition, ask).await? {
            Answer::Imported => self.report.imported += 1,
            // It came in between; whoever asks again is told whether it is the same.
            Answer::Exists => self.report.here(id, false),
            answer => return Err(unexpected(answer, Some(id))),
        }
        Ok(())
    }
}

/// What a run of a file turned out to be.
enum Ready {
    Whole(Box<Whole>),
    /// A run of its id is here: whether it is the same.
    Here(bool),
    Refused(String),
    Broken(String),
}

impl Handle {
    /// Folds a run and looks whether it can be taken in.
    fn ready(&self, run: ImportedRun, source: String, actor: String) -> Result<Ready, Error> {
        let ImportedRun { execution, events, marks, .. } = run;
        let told = events.iter().map(|(event, at)| (event, *at));
        let state = match replay(execution, self.catalog(), told) {
            Ok(state) => state,
            Err(why) => return Ok(Ready::Broken(format!("{execution} does not fold: {why}"))),
        };
        if let Some(why) = not_closed(&state) {
            return Ok(Ready::Refused(why));
        }
        let stream = StreamId::Execution(execution);
        if let Some(known) = self.shared.journal.history(&stream)? {
            let known = known.iter().map(|record| (&record.event, record.recorded_at));
            return Ok(Ready::Here(is_same(known, &events)));
        }
        if !events.iter().all(|(event, _)| record_fits(&stream, event)) {
            let why = format!("an event of {execution} is larger than a record may be");
            return Ok(Ready::Broken(why));
        }
        let rows = std::iter::once(ViewChange::Run(run_summary(&state)))
            .chain(letter_summaries(&state).map(ViewChange::Letter))
            .collect();
        Ok(Ready::Whole(Box::new(Whole { execution, events, marks, rows, source, actor })))
    }
}

fn lines(
    handle: &Handle,
    exporter: &mut Exporter,
    run: ExecutionId,
    records: Vec<Record>,
    plan: Option<Arc<Plan>>,
) -> Result<String, Error> {
    let missing = || Error::Quarantined(format!("the revision of {run} is not in the journal"));
    plan.ok_or_else(missing)?;
    let state = fold(run, &records, handle.catalog())?;
    let own = &state.submitted;
    let mut texts = BTreeMap::new();
    for (_, digest) in state.pins() {
        let text = handle.catalog().text(&own.namespace, &own.workflow, &digest);
        texts.insert(digest, text.ok_or_else(missing)?);
    }
    let text_of =
        |digest: &Digest| texts.get(digest).map_or_else(String::new, |own| own.to_string());
    let events = records.into_iter().map(|record| {
        let Record { event, recorded_at: at, position, mark, .. } = record;
        Recorded { event, at, position, mark }
    });
    Ok(exporter.run(&state, events.collect(), &text_of))
}

fn fold(run: ExecutionId, records: &[Record], plans: &dyn Plans) -> Result<State, Error> {
    let events = records.iter().map(|record| (&record.event, record.recorded_at));
    match guarded(|| replay(run, plans, events)) {
        Ok(folded) => folded.map_err(|why| Error::Quarantined(why.to_string())),
        Err(why) => Err(Error::Quarantined(why)),
    }
}
