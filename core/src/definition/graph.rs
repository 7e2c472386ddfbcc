//! The graph of a definition: ids to places, needs both ways, an order, and who comes before
//! whom. Linear in steps and needs.

mod words;

use std::collections::{BTreeMap, HashMap};

use super::nearest::nearest;
use super::problem::{Problems, codes};
use super::{Definition, NEEDS_MAX};
use crate::ids::StepIndex;
pub(crate) use words::Words;

/// The most steps of a cycle that a message names.
const CYCLE_NAMED_MAX: usize = 20;

/// The graph of a definition.
pub(crate) struct Graph {
    places: HashMap<String, StepIndex>,
    /// By step, ascending.
    pub needs: Vec<Vec<StepIndex>>,
    /// By step, ascending.
    pub dependants: Vec<Vec<StepIndex>>,
    /// Where routers and steps with handlers lead.
    pub words: BTreeMap<StepIndex, Words>,
    /// Every step after its needs; `None` if there is a cycle.
    pub order: Option<Vec<StepIndex>>,
}

fn index(at: usize) -> StepIndex {
    StepIndex(u32::try_from(at).expect("a definition has at most 10,000 steps"))
}

impl Graph {
    /// Builds the graph of what can be built, noting every problem.
    pub(crate) fn of(definition: &Definition, problems: &mut Problems) -> Self {
        let mut graph = Self {
            places: places(definition, problems),
            needs: Vec::new(),
            dependants: vec![Vec::new(); definition.steps.len()],
            words: BTreeMap::new(),
            order: None,
        };
        graph.needs = graph.resolve_needs(definition, problems);
        graph.words = graph.resolve_words(definition, problems);
        graph.needs_by_words();
        for (at, needs) in graph.needs.iter().enumerate() {
            needs.iter().for_each(|need| graph.dependants[need.at()].push(index(at)));
        }
        let order = graph.sorted();
        if order.len() == definition.steps.len() {
            graph.order = Some(order);
        } else {
            graph.name_cycles(definition, &order, problems);
        }
        graph
    }

    /// The place of an id.
    pub(crate) fn place(&self, id: &str) -> Option<StepIndex> {
        self.places.get(id).copied()
    }

    fn resolve_needs(
        &self,
        definition: &Definition,
        problems: &mut Problems,
    ) -> Vec<Vec<StepIndex>> {
        let total: usize = definition.steps.iter().map(words::edges).sum();
        if total > NEEDS_MAX {
            let message = format!("steps have at most {NEEDS_MAX} needs together, not {total}");
            problems.add("steps", codes::OUT_OF_RANGE, message);
            return vec![Vec::new(); definition.steps.len()];
        }
        let mut all = Vec::with_capacity(definition.steps.len());
        for (at, step) in definition.steps.iter().enumerate() {
            let mut needs = Vec::with_capacity(step.needs.len());
            for (nth, id) in step.needs.iter().enumerate() {
                match self.place(id) {
                    Some(need) => needs.push(need),
                    None => {
                        let message = unknown_step(definition, id, problems);
                        let path = format!("steps[{at}].needs[{nth}]");
                        problems.add(path, codes::UNKNOWN_STEP, message);
                    }
                }
            }
            needs.sort_unstable();
            let named = needs.len();
            needs.dedup();
            if needs.len() < named {
                let path = format!("steps[{at}].needs");
                problems.add(path, codes::BAD_VALUE, "a step is named twice");
            }
            all.push(needs);
        }
        all
    }

    /// Steps after their needs, as far as that goes. Kahn's method.
    fn sorted(&self) -> Vec<StepIndex> {
        let mut open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut order: Vec<StepIndex> =
            (0..open.len()).filter(|&at| open[at] == 0).map(index).collect();
        let mut done = 0;
        while let Some(&step) = order.get(done) {
            done += 1;
            for dependant in &self.dependants[step.at()] {
                open[dependant.at()] -= 1;
                if open[dependant.at()] == 0 {
                    order.push(*dependant);
                }
            }
        }
        order
    }

    /// Walks from every step that could not be sorted along its needs and names each circle
    /// it closes.
    fn name_cycles(&self, definition: &Definition, sorted: &[StepIndex], problems: &mut Problems) {
        const NEW: usize = usize::MAX;
        const DONE: usize = usize::MAX - 1;
        // The place of a step on the path being walked.
        let mut marks = vec![NEW; self.needs.len()];
        sorted.iter().for_each(|step| marks[step.at()] = DONE);
        for start in 0..self.needs.len() {
            if marks[start] != NEW {
                continue;
            }
            let mut path: Vec<(usize, usize)> = vec![(start, 0)];
            marks[start] = 0;
            while let Some((step, next)) = path.last_mut() {
                let Some(need) = self.needs[*step].get(*next).map(|need| need.at()) else {
                    marks[*step] = DONE;
                    path.pop();
                    continue;
                };
                *next += 1;
                match marks[need] {
                    DONE => {}
                    NEW => {
                        marks[need] = path.len();
                        path.push((need, 0));
                    }
                    begin => {
                        let circle: Vec<usize> =
                            path[begin..].iter().map(|(step, _)| *step).collect();
                        note_cycle(definition, &circle, problems);
                    }
                }
            }
        }
    }

    /// For each step, which of some `marked` steps it needs, directly or through others. Bits
    /// stand for the marked steps, so that the cost is steps and needs times marked / 64.
    ///
    /// Empty when there is a cycle.
    pub(crate) fn ancestors(&self, marked: &[StepIndex]) -> Ancestors {
        let words = marked.len().div_ceil(64);
        let mut bit_of = vec![None; self.needs.len()];
        marked.iter().enumerate().for_each(|(bit, step)| bit_of[step.at()] = Some(bit));
        let mut bits = vec![0_u64; words * self.needs.len()];
        for step in self.order.iter().flatten() {
            let mut own = vec![0_u64; words];
            for need in &self.needs[step.at()] {
                let begin = need.at() * words;
                own.iter_mut().zip(&bits[begin..begin + words]).for_each(|(own, of)| *own |= of);
                if let Some(bit) = bit_of[need.at()] {
                    own[bit / 64] |= 1 << (bit % 64);
                }
            }
            let begin = step.at() * words;
            bits[begin..begin + words].copy_from_slice(&own);
        }
        Ancestors { words, bit_of, bits }
    }
}

/// Which marked steps come before which steps.
pub(crate) struct Ancestors {
    words: usize,
    bit_of: Vec<Option<usize>>,
    bits: Vec<u64>,
}

impl Ancestors {
    /// Whether `step` needs the marked step `ancestor`, directly or through others.
    pub(crate) fn needs(&self, step: StepIndex, ancestor: StepIndex) -> bool {
        self.bit_of[ancestor.at()].is_some_and(|bit| {
            self.bits[step.at() * self.words + bit / 64] & (1 << (bit % 64)) != 0
        })
    }
}

fn places(definition: &Definition, problems: &mut Problems) -> HashMap<String, StepIndex> {
    let mut places: HashMap<String, StepIndex> = HashMap::with_capacity(definition.steps.len());
    for (at, step) in definition.steps.iter().enumerate().filter(|(_, step)| !step.id.is_empty()) {
        match places.get(&step.id) {
            None => {
                places.insert(step.id.clone(), index(at));
            }
            Some(first) => {
                let message = format!("`{}` is already the id of steps[{}]", step.id, first.0);
                problems.add(format!("steps[{at}].id"), codes::DUPLICATE_ID, message);
            }
        }
    }
    places
}

/// `there is no step ...`, with the nearest one while somebody will read it.
fn unknown_step(definition: &Definition, id: &str, problems: &Problems) -> String {
    let shown: String = id.chars().take(64).collect();
    let ids = definition.steps.iter().map(|step| step.id.as_str());
    let near = if problems.is_full() { None } else { nearest(id, ids) };
    let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    format!("there is no step `{shown}`{hint}")
}

/// Notes a circle of steps, each of which needs the next.
fn note_cycle(definition: &Definition, circle: &[usize], problems: &mut Problems) {
    let first = circle[0];
    let mut named: Vec<&str> =
        circle.iter().take(CYCLE_NAMED_MAX).map(|&at| definition.steps[at].id.as_str()).collect();
    if circle.len() > CYCLE_NAMED_MAX {
        named.push("...");
    }
    named.push(&definition.steps[first].id);
    let message = format!("steps need each other: {}", named.join(" needs "));
    problems.add(format!("steps[{first}].needs"), codes::CYCLE, message);
}
