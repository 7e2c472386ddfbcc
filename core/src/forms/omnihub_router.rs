//! The router of document 001: it leads to steps, adapters and workflows by their names.
//!
//! Becomes a step of type `router`, with a step for each destination that is none of the
//! workflow's own: a task, if an executor takes the name, else a run of the workflow of that
//! name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::definition::problem::codes;
use crate::ids::Digest;
use crate::plan::TaskTypes;
use crate::template::has_template;

use super::draft::Draft;
use super::names::Naming;
use super::omnihub::WHOLE_INPUT;
use super::parts::{below, object, text};

/// The most routes of a router: what the canonical form takes, and a default.
const ROUTES_MAX: usize = crate::definition::ROUTES_MAX + 1;
/// The step that chooses.
const CHOOSE: &str = "choose";

/// A router on its way.
pub(super) struct Router<'v> {
    /// Where it is in the document.
    path: &'static str,
    types: &'v dyn TaskTypes,
    /// Places of routes with condition and destination, in order.
    routes: Vec<(usize, &'v str, &'v str)>,
    default: Option<(usize, &'v str)>,
    /// Steps of the workflow that are destinations, and the first step of each.
    own: BTreeMap<String, String>,
    /// Every id of the workflow's steps.
    taken: BTreeSet<String>,
    chosen: bool,
}

impl<'v> Router<'v> {
    /// Reads the routes; without any it leads nowhere.
    pub(super) fn of(
        routes: &'v [Value],
        path: &'static str,
        types: &'v dyn TaskTypes,
        draft: &mut Draft,
    ) -> Self {
        let mut router = Self {
            path,
            types,
            routes: Vec::new(),
            default: None,
            own: BTreeMap::new(),
            taken: BTreeSet::new(),
            chosen: false,
        };
        if routes.len() > ROUTES_MAX {
            let message = format!("`router` has at most {ROUTES_MAX} items, not {}", routes.len());
            draft.problems.add(path, codes::OUT_OF_RANGE, message);
            return router;
        }
        for (at, route) in routes.iter().enumerate() {
            if let Some(own) = object(Some(route)) {
                router.route(at, own, draft);
            }
        }
        if router.routes.is_empty() && !routes.is_empty() && draft.problems.is_empty() {
            let message = "a router has at least one route with a `condition`";
            draft.problems.add(path, codes::BAD_VALUE, message);
        }
        router
    }

    fn route(&mut self, at: usize, own: &'v Map<String, Value>, draft: &mut Draft) {
        let path = format!("{}[{at}]", self.path);
        let words = (text(own, "condition"), text(own, "destination"), text(own, "default"));
        let (condition, destination) = match words {
            (Some(condition), Some(destination), None) => (Some(condition), destination),
            (None, None, Some(destination)) => (None, destination),
            _ => {
                let message = "a route has `condition` and `destination`, or `default` alone";
                return draft.problems.add(path, codes::BAD_VALUE, message);
            }
        };
        if has_template(destination) || destination.is_empty() {
            let message = "a destination is the name of a step, workflow or adapter";
            return draft.problems.add(path, codes::BAD_VALUE, message);
        }
        match condition {
            Some(condition) => self.routes.push((at, condition, destination)),
            None if self.default.is_none() => self.default = Some((at, destination)),
            None => draft.problems.add(path, codes::BAD_VALUE, "there is one `default` already"),
        }
    }

    /// Each destination with its first place.
    fn destinations(&self) -> Vec<(usize, &'v str)> {
        let mut all: Vec<(usize, &str)> = Vec::new();
        let routes = self.routes.iter().map(|&(at, _, to)| (at, to));
        for (at, to) in routes.chain(self.default) {
            if all.iter().all(|(_, known)| *known != to) {
                all.push((at, to));
            }
        }
        all
    }

    /// Tells it the steps of its workflow.
    pub(super) fn leads_among(&mut self, ids: impl Iterator<Item = String>) {
        self.taken = ids.collect();
        for (_, to) in self.destinations() {
            if self.taken.contains(to) {
                self.own.insert(to.to_owned(), to.to_owned());
            }
        }
    }

    /// Whether a step of the workflow is a destination.
    pub(super) fn leads_to(&self, id: &str) -> bool {
        self.own.contains_key(id)
    }

    /// A destination has another step before it, which is led to in its place.
    pub(super) fn replace(&mut self, id: &str, first: &[String]) {
        if let (Some(own), Some(first)) = (self.own.get_mut(id), first.first()) {
            own.clone_from(first);
        }
    }

    /// Puts the step that chooses behind `before`, and the destinations that are no steps of the
    /// workflow; answers what comes before the step that is behind all destinations so far.
    pub(super) fn choose(
        &mut self,
        before: Vec<String>,
        steps: &mut Vec<Value>,
        naming: &Naming,
        draft: &mut Draft,
    ) -> Vec<String> {
        if self.chosen {
            return before;
        }
        self.chosen = true;
        steps.push(self.step(before, steps.len(), naming, draft));
        let others = self.destinations().into_iter();
        let others: Vec<_> = others.filter(|(_, to)| !self.own.contains_key(*to)).collect();
        for &(at, destination) in &others {
            let step = self.other(at, destination, steps.len(), draft);
            steps.push(step);
        }
        others.into_iter().map(|(_, to)| self.id_of(to)).collect()
    }

    /// Behind the last step: where the router leads is known.
    pub(super) fn end(
        mut self,
        before: Vec<String>,
        steps: &mut Vec<Value>,
        naming: &Naming,
        draft: &mut Draft,
    ) {
        if self.routes.is_empty() {
            return;
        }
        drop(self.choose(before, steps, naming, draft));
        let choose = self.choose_id();
        let Some(step) = steps.iter_mut().find(|step| step["id"] == choose.as_str()) else {
            return;
        };
        let to = |to: &str| json!([self.id_of(to)]);
        let routes = step["routes"].as_array_mut().into_iter().flatten();
        for (route, (_, _, destination)) in routes.zip(&self.routes) {
            route["to"] = to(destination);
        }
        if let Some((_, destination)) = self.default {
            step["default"] = to(destination);
        }
    }

    /// A destination that is no step of the workflow, as one.
    fn other(&self, at: usize, destination: &str, place: usize, draft: &mut Draft) -> Value {
        let place = format!("steps[{place}]");
        let is_default = self.default == Some((at, destination));
        let named = if is_default { "default" } else { "destination" };
        let source = format!("{}[{at}]", self.path);
        let name = below(&source, named);
        for part in ["id", "type", "with.workflow"] {
            draft.lies_at(below(&place, part), name.as_str());
        }
        draft.lies_at(place, source.as_str());
        let id = self.id_of(destination);
        if self.types.effectful().contains(&destination) || self.types.has_adapter(destination) {
            return json!({ "id": id, "type": destination, "with": WHOLE_INPUT });
        }
        let message =
            format!("nothing performs `{destination}` here, so it is the workflow of that name");
        draft.warnings.add(name, codes::UNKNOWN_TASK_TYPE, message);
        let with = json!({ "workflow": destination, "input": WHOLE_INPUT });
        json!({ "id": id, "type": "workflow", "with": with })
    }

    /// The step that chooses; where it leads is filled in at the end.
    fn step(&self, before: Vec<String>, place: usize, naming: &Naming, draft: &mut Draft) -> Value {
        let canonical = format!("steps[{place}]");
        draft.lies_at(canonical.as_str(), self.path);
        let each = |(nth, (at, condition, _)): (usize, &(usize, &str, &str))| {
            let condition = condition.trim();
            let lone = condition.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            let source = format!("{}[{at}]", self.path);
            let route = format!("{canonical}.routes[{nth}]");
            let (from, when) = (below(&source, "condition"), below(&route, "when"));
            let bare = lone.unwrap_or(condition).trim();
            let made = naming.condition(bare, (&from, &when), draft);
            draft.lies_at(when, from);
            draft.lies_at(below(&route, "to"), below(&source, "destination"));
            json!({ "when": made })
        };
        let routes: Vec<Value> = self.routes.iter().enumerate().map(each).collect();
        if let Some((at, _)) = self.default {
            draft.lies_at(below(&canonical, "default"), format!("{}[{at}].default", self.path));
        }
        let mut step = json!({ "id": self.choose_id(), "type": "router", "routes": routes });
        if !before.is_empty() {
            draft.all_lie_at(&below(&canonical, "needs"), before.len(), self.path);
            step["needs"] = before.into();
        }
        step
    }

    fn choose_id(&self) -> String {
        let numbered = (2..).map(|number| format!("{CHOOSE}-{number}"));
        let mut names = std::iter::once(CHOOSE.to_owned()).chain(numbered);
        let is_free = |name: &String| {
            !self.taken.contains(name) && self.destinations().iter().all(|(_, to)| to != name)
        };
        names.find(is_free).unwrap_or_default()
    }

    /// The step that a destination is, or has before it.
    fn id_of(&self, destination: &str) -> String {
        if let Some(first) = self.own.get(destination) {
            return first.clone();
        }
        let plain = destination.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let begins = destination.starts_with(|c: char| c.is_ascii_alphabetic());
        let at = self.destinations().iter().position(|(_, own)| *own == destination);
        match plain && begins && destination.len() <= 64 {
            true => destination.to_owned(),
            false => format!("route-{}", at.map_or(0, |at| at + 1)),
        }
    }

    /// A router without a workflow around it is a workflow of its own.
    pub(super) fn alone(
        self,
        fields: &Map<String, Value>,
        naming: &Naming,
        made: &mut Map<String, Value>,
        draft: &mut Draft,
    ) {
        let digest = fields.get("router").map(|routes| Digest::of(routes.to_string().as_bytes()));
        let id = text(fields, "id").or(text(fields, "name")).map_or_else(
            || format!("router-{:.12}", digest.unwrap_or_default().to_string()),
            str::to_owned,
        );
        let at_name = if fields.contains_key("id") { "id" } else { "name" };
        draft.lies_at("id", at_name);
        made.insert("id".to_owned(), id.into());
        made.extend(text(fields, "name").map(|name| ("name".to_owned(), name.into())));
        draft.lies_at("steps", "router");
        let mut steps = Vec::new();
        self.end(Vec::new(), &mut steps, naming, draft);
        made.insert("steps".to_owned(), steps.into());
    }
}
