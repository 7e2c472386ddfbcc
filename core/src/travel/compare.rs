//! Where two runs went different ways: what each did laid side by side, step by step.
//!
//! Aligned by steps and what they did, never by time, so that two runs of the same thing do
//! not differ although they took different times and turns. `compare(a, b)` is the mirror of
//! `compare(b, a)`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::diff::diff;
use super::is_absent;
use super::lanes::{Deed, Lane, lanes, settle};
use crate::event::Event;
use crate::payload::Payload;
use crate::plan::Plan;
use crate::state::{State, StepState};
use crate::time::Timestamp;

/// A run with its whole history.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The fold of the events.
    pub state: &'a State,
    /// All of them, oldest first.
    pub events: &'a [(Event, Timestamp)],
}

/// Two runs side by side; of every pair the first belongs to the first run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether both follow the same content of a definition.
    pub same_definition: bool,
    /// Where they first went different ways; nothing if they did the same.
    pub first_divergence: Option<Divergence>,
    /// Each step of either run, in the order of the graph.
    pub steps: Vec<StepRow>,
}

/// A place where two runs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Divergence {
    /// The step concerned; nothing for the run as a whole or a callback.
    pub step: Option<Arc<str>>,
    /// What each run did there, as the type of its event; nothing where one did no more.
    pub events: [Option<&'static str>; 2],
    /// The version each run had then.
    pub versions: [Option<u64>; 2],
    /// What differs: a field of the event's data with dots, or `type` if the events differ.
    pub field: String,
    /// What the first run had there; left out if nothing.
    #[serde(skip_serializing_if = "is_absent")]
    pub left: Option<Value>,
    /// What the second run had there; left out if nothing.
    #[serde(skip_serializing_if = "is_absent")]
    pub right: Option<Value>,
}

/// One step in both runs. Nothing stands for a run that has no such step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRow {
    /// The step's id.
    pub step: Arc<str>,
    /// Its status words.
    pub status: [Option<&'static str>; 2],
    /// Attempts made.
    pub attempts: [Option<u16>; 2],
    /// From its first start until it was settled.
    pub duration_ms: [Option<u64>; 2],
    /// Whether both have the same output, instants and the run's own id aside.
    pub output_equal: bool,
    /// Whether both did the same, forward and back.
    pub same: bool,
}

/// Compares two runs.
#[must_use]
pub fn compare(left: Told<'_>, right: Told<'_>) -> Comparison {
    let [ours, theirs] = [left, right].map(|told| {
        let events = told.events.iter().map(|(event, _)| event);
        lanes(told.state.id, &told.state.plan, events)
    });
    let depths = [depths(&left.state.plan), depths(&right.state.plan)];
    let mut keys: Vec<&Lane> = ours.keys().chain(theirs.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let none = Vec::new();
    let parted: Vec<(&Lane, Divergence)> = keys
        .into_iter()
        .filter_map(|lane| {
            let deeds = [&ours, &theirs].map(|lanes| lanes.get(lane).unwrap_or(&none));
            Some((lane, part(lane, deeds[0], deeds[1])?))
        })
        .collect();
    let rank = |(lane, divergence): &&(&Lane, Divergence)| {
        // The later of both runs' places: what follows from a divergence comes behind it in
        // both, although one of them may have been ahead elsewhere.
        let place = divergence.versions.iter().flatten().max().copied();
        (place, lane.step().map(|step| depth(&depths, step)), (*lane).clone())
    };
    let first_divergence = parted.iter().min_by_key(rank).map(|(_, first)| first.clone());
    let differing: BTreeSet<_> = parted.iter().filter_map(|(lane, _)| lane.step()).collect();
    let indexes = [left, right].map(|told| indexes(&told.state.plan));
    let mut steps: Vec<&Arc<str>> = depths.iter().flat_map(BTreeMap::keys).collect();
    steps.sort_by_key(|step| (depth(&depths, step), step.to_string()));
    steps.dedup();
    let own = |at: usize, step: &Arc<str>| {
        let state = [left, right][at].state;
        let index = *indexes[at].get(step)?;
        Some((state, state.steps.get(index)?))
    };
    let steps = steps
        .into_iter()
        .map(|step| row(step, [own(0, step), own(1, step)], !differing.contains(step)))
        .collect();
    let same_definition = left.state.plan.digest == right.state.plan.digest;
    Comparison { same_definition, first_divergence, steps }
}

fn indexes(plan: &Plan) -> BTreeMap<Arc<str>, usize> {
    plan.steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect()
}

/// How deep in the graph a step lies: longer than every way to it.
fn depths(plan: &Plan) -> BTreeMap<Arc<str>, usize> {
    let mut depths = vec![0; plan.steps.len()];
    let mut open: Vec<usize> = plan.steps.iter().map(|step| step.needs.len()).collect();
    let mut ready: Vec<usize> = (0..open.len()).filter(|&step| open[step] == 0).collect();
    while let Some(step) = ready.pop() {
        for dependant in &plan.steps[step].dependants {
            let at = dependant.at();
            depths[at] = depths[at].max(depths[step] + 1);
            open[at] -= 1;
            if open[at] == 0 {
                ready.push(at);
            }
        }
    }
    plan.steps.iter().zip(depths).map(|(step, depth)| (step.id.clone(), depth)).collect()
}

fn depth(depths: &[BTreeMap<Arc<str>, usize>; 2], step: &Arc<str>) -> usize {
    depths.iter().filter_map(|depths| depths.get(step)).min().copied().unwrap_or(usize::MAX)
}

/// The first difference of two runs in one lane.
fn part(lane: &Lane, left: &[Deed], right: &[Deed]) -> Option<Divergence> {
    let deeds = (0..left.len().max(right.len())).map(|at| [left.get(at), right.get(at)]);
    let same = |pair: &[Option<&Deed>; 2]| match pair {
        [Some(left), Some(right)] => left.kind == right.kind && left.data == right.data,
        _ => false,
    };
    let pair = deeds.into_iter().find(|pair| !same(pair))?;
    let events = pair.map(|deed| deed.map(|deed| deed.kind));
    let versions = pair.map(|deed| deed.map(|deed| deed.version));
    let step = lane.step().cloned();
    if let [Some(ours), Some(theirs)] = pair
        && ours.kind == theirs.kind
        && let Some(change) = diff(&ours.data, &theirs.data).into_iter().next()
    {
        // The data of an event is no execution: its whole path is the field.
        let field = change.path.trim_start_matches('/').replace('/', ".");
        let (left, right) = (change.before, change.after);
        return Some(Divergence { step, events, versions, field, left, right });
    }
    let [left, right] = events.map(|kind| kind.map(Value::from));
    Some(Divergence { step, events, versions, field: "type".to_owned(), left, right })
}

fn row(step: &Arc<str>, runs: [Option<(&State, &StepState)>; 2], same: bool) -> StepRow {
    let states = runs.map(|own| own.map(|(_, step)| step));
    let [left, right] = runs.map(|own| {
        let (run, step) = own?;
        step.output.as_ref().map(|output| settled(output, &run.id.to_string()))
    });
    StepRow {
        step: step.clone(),
        status: states.map(|own| own.map(StepState::word)),
        attempts: states.map(|own| own.map(|own| own.attempt)),
        duration_ms: states.map(|own| {
            let own = own?;
            Some(own.completed_at?.ms_since(own.started_at?))
        }),
        output_equal: left == right,
        same,
    }
}

fn settled(payload: &Payload, own_id: &str) -> Value {
    let mut value = payload.value();
    settle(&mut value, own_id, true);
    value
}
