//! What a run left behind: acts that took effect and are neither part of a run that completed nor
//! undone.
//!
//! With mocks their own books say what took effect, how often. Without them only the journal does:
//! what answered, what may have, and what could not be undone; a service that did the same thing
//! twice is not seen there.

use serde_json::{Value, json};

use super::books::{Act, ActId};
use super::desk::Desk;
use super::evidence::Evidence;
use super::subject::Subject;

/// How the id of a chunk's step begins; the number of the item follows.
const ITEM: &str = "item-";

/// One thing that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// A stable word.
    pub(super) what: &'static str,
    /// The workflow of a run below, if it is not the one that was run.
    pub(super) workflow: Option<String>,
    /// Whose step it is; nothing of the run as a whole.
    pub(super) step: Option<String>,
    /// The number of the item, of a loop.
    pub(super) item: Option<String>,
    /// For a person.
    pub(super) words: String,
}

impl Left {
    /// Of the run as a whole.
    pub(super) fn of_run(what: &'static str, words: String) -> Self {
        Self { what, workflow: None, step: None, item: None, words }
    }

    /// The step by its name, with its workflow and item where it has some.
    pub(super) fn name(&self) -> Option<String> {
        let step = self.step.as_ref()?;
        let workflow = self.workflow.as_ref().map_or(String::new(), |own| format!("{own}:"));
        let item = self.item.as_ref().map_or(String::new(), |own| format!("[{own}]"));
        Some(format!("{workflow}{step}{item}"))
    }

    /// For a program.
    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what, "workflow_id": self.workflow, "step": self.step,
            "item": self.item, "message": self.words,
        })
    }
}

/// A step of a run in the evidence.
struct Place<'a> {
    subject: &'a Subject,
    evidence: &'a Evidence,
    run: &'a str,
    step: &'a str,
}

impl Place<'_> {
    fn shown(&self) -> &Value {
        &self.evidence.runs[self.run]
    }

    fn workflow(&self) -> &str {
        self.shown()["workflow_id"].as_str().unwrap_or_default()
    }

    /// Of a run below, its workflow, unless it is the workflow that was run.
    fn other_workflow(&self) -> Option<&str> {
        Some(self.workflow()).filter(|own| *own != &*self.subject.plan().workflow)
    }

    fn status(&self) -> &str {
        self.shown()["steps"][self.step]["status"].as_str().unwrap_or_default()
    }

    /// Whether what the step did is to stand.
    fn stands(&self) -> bool {
        let completed = |run: &Value| run["status"] == "completed";
        completed(self.evidence.run()) && completed(self.shown()) && self.status() == "succeeded"
    }

    fn why_not_undone(&self) -> String {
        let run = self.evidence.status();
        match self.status() {
            "undo_failed" => "its undo failed".to_owned(),
            _ if !self.subject.has_undo(self.workflow(), self.step) => "it has no undo".to_owned(),
            _ => format!("its run ended {run}, without undoing it"),
        }
    }

    fn left(&self, what: &'static str, item: Option<&String>, words: &str) -> Left {
        let (workflow, step) = (self.other_workflow().map(str::to_owned), self.step.to_owned());
        let mut left =
            Left { what, workflow, step: Some(step), item: item.cloned(), words: String::new() };
        left.words = format!("{} {words}", left.name().unwrap_or_default());
        left
    }
}

/// What the run left behind, as far as it can be seen.
pub(super) fn left(subject: &Subject, evidence: &Evidence, desk: Option<&Desk>) -> Vec<Left> {
    let mut found = match desk {
        Some(desk) => by_books(subject, evidence, desk),
        None => by_journal(subject, evidence),
    };
    if evidence.status() == "suspended" {
        let reason = evidence.run()["suspended"]["reason"].as_str().unwrap_or_default();
        let words = format!("the run waits for a person ({reason})");
        found.push(Left::of_run("suspended", words));
    }
    found
}

fn by_books(subject: &Subject, evidence: &Evidence, desk: &Desk) -> Vec<Left> {
    let own = |run: &str| evidence.runs.contains_key(run);
    desk.look(|books| {
        let all = books.acts_of(&own);
        all.filter_map(|(id, act)| {
            let place = Place { subject, evidence, run: &id.run, step: &id.step };
            let said = desk.mocks().acts(place.other_workflow(), &id.step);
            let acts = said.unwrap_or_else(|| subject.acts(place.workflow(), &id.step));
            if acts { of_act(&place, id, act) } else { None }
        })
        .collect()
    })
}

fn of_act(place: &Place<'_>, id: &ActId, act: &Act) -> Option<Left> {
    let (done, undone) = (act.done, act.undone);
    let left = |what, words: &str| Some(place.left(what, id.item.as_ref(), words));
    let stands = place.stands();
    if done > 1 && done > undone {
        let undone = if undone > 0 { format!(", undone {}", times(undone)) } else { String::new() };
        return left("done_again", &format!("took effect {}{undone}", times(done)));
    }
    if undone > done {
        let words = format!("took effect {}, and was undone {}", times(done), times(undone));
        return left("undone_again", &words);
    }
    match (done > undone, stands) {
        (true, false) => {
            let why = place.why_not_undone();
            left("not_undone", &format!("took effect and was not undone: {why}"))
        }
        (false, true) if done > 0 => left("undone", "was undone, although its run completed"),
        _ => None,
    }
}

fn times(number: u32) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn by_journal(subject: &Subject, evidence: &Evidence) -> Vec<Left> {
    let mut found = Vec::new();
    for (run, shown) in &evidence.runs {
        let is_chunk = shown["parent"]["items"].is_object();
        for (step, own) in shown["steps"].as_object().into_iter().flatten() {
            let unsure = evidence.unsure.get(run).is_some_and(|steps| steps.contains(step));
            let item = step.strip_prefix(ITEM).filter(|_| is_chunk).map(str::to_owned);
            let (run, step) = if is_chunk { above(evidence, shown) } else { (&**run, &**step) };
            let place = Place { subject, evidence, run, step };
            if !evidence.runs.contains_key(run) || !subject.acts(place.workflow(), step) {
                continue;
            }
            let (what, words) = match own["status"].as_str().unwrap_or_default() {
                "succeeded" if place.stands() => continue,
                "undone" => continue,
                _ if own["undo"]["check"]["took_effect"] == false => continue,
                "succeeded" | "undo_failed" => ("not_undone", "took effect and was not undone"),
                _ if unsure => ("unknown", "may have taken effect and was not undone"),
                _ => continue,
            };
            let words = format!("{words}: {}", place.why_not_undone());
            found.push(place.left(what, item.as_ref(), &words));
        }
    }
    found
}

/// The run and the step of the loop that a chunk is of.
fn above<'a>(evidence: &'a Evidence, chunk: &'a Value) -> (&'a str, &'a str) {
    let run = chunk["parent"]["execution_id"].as_str().unwrap_or_default();
    let place = evidence.runs.get(run).and_then(|above| above["children"].as_array());
    let own =
        place.into_iter().flatten().find(|child| child["execution_id"] == chunk["execution_id"]);
    (run, own.and_then(|own| own["step"].as_str()).unwrap_or_default())
}
