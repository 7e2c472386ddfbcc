//! The journal read and folded without the server gives what the server showed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::ids::{Digest, ExecutionId, StreamId};
use backstitch_core::machine::replay;
use backstitch_core::plan::Plan;
use backstitch_core::report::execution_json;
use backstitch_core::workflow;
use backstitch_executors::Registry;
use backstitch_journal::{Reader, Record};
use backstitch_saga::handle::compile;
use serde_json::Value;

/// Folds every run of a data directory that nobody has open, and compares it with what was
/// shown of it.
pub fn compare(data_dir: &Path, shown: &BTreeMap<String, Value>) {
    let mut streams: BTreeMap<StreamId, Vec<Record>> = BTreeMap::new();
    let reader = Reader::open(data_dir).expect("nobody has the directory open");
    let read = reader.for_each_record(|record| {
        streams.entry(record.stream.clone()).or_default().push(record);
        true
    });
    read.expect("the log is whole");
    let plans = plans(&streams);
    let mut folded = BTreeMap::new();
    for (stream, records) in &streams {
        if let StreamId::Execution(run) = stream {
            folded.insert(run.to_string(), fold(*run, records, &plans));
        }
    }
    assert_eq!(folded.len(), shown.len(), "the log has other runs than the server listed");
    for (run, execution) in shown {
        assert_eq!(folded.get(run), Some(execution), "{run} folds to something else");
    }
}

fn fold(run: ExecutionId, records: &[Record], plans: &BTreeMap<Digest, Arc<Plan>>) -> Value {
    let Some(Event::Run(RunEvent::Submitted(first))) = records.first().map(|first| &first.event)
    else {
        panic!("{run} does not begin with its submission");
    };
    let plan = plans.get(&first.digest).expect("a revision is stored before it is used");
    let events = records.iter().map(|record| (&record.event, record.recorded_at));
    execution_json(&replay(run, plan, events).expect("every event fits"))
}

/// Every revision of every workflow, compiled anew.
pub fn plans(streams: &BTreeMap<StreamId, Vec<Record>>) -> BTreeMap<Digest, Arc<Plan>> {
    let registry = Registry::builtin(Default::default()).expect("the executors can be set up");
    let mut plans = BTreeMap::new();
    for (stream, records) in streams {
        let mut state = None;
        for record in records {
            if let Event::Workflow(event) = &record.event {
                workflow::evolve(&mut state, event, record.recorded_at)
                    .unwrap_or_else(|error| panic!("{stream}: {error}"));
            }
        }
        for revision in state.iter().flat_map(|state| &state.revisions) {
            let definition = serde_json::from_str(&revision.text).expect("a definition is JSON");
            let plan = compile(&definition, &registry).expect("it compiled when it was made").plan;
            plans.insert(revision.digest, Arc::new(plan));
        }
    }
    plans
}
