//! Sentences about what people, limits, loops, forks and services did to a run, with the step where
//! it is about one.

use serde_json::Value;

use super::marks::{sentence, who};
use crate::facts::{Fact, step_name, text};
use crate::text::{Style, counted, duration};

/// A word, its style and the rest of the sentence; nothing for an event of newer code.
pub(super) fn mark<'a>(fact: &Fact<'a>) -> Option<(&'a str, Style, String)> {
    let data = fact.data;
    let step = || format!("step {}", step_name(&data["step"]));
    Some(match fact.kind {
        "StepOverridden" => {
            let what = format!("{} {}, {}", step(), text(&data["status"]), who(data));
            ("set by hand", Style::Waiting, what)
        }
        "StepLimitPassed" => {
            ("limit passed", Style::Bad, format!("{}: {}", step(), limit(&data["limit_ms"])))
        }
        "SlaBreached" => {
            let what = match &data["step"] {
                Value::Null => "the run".to_owned(),
                _ => step(),
            };
            ("late", Style::Bad, format!("{what}: {} were agreed", limit(&data["limit_ms"])))
        }
        "NumbersSet" => {
            let whose = match &data["step"] {
                Value::Null => "the run".to_owned(),
                _ => step(),
            };
            let numbers = data["numbers"].as_object().into_iter().flatten();
            let numbers: Vec<_> = numbers.map(|(name, value)| format!("{name} {value}")).collect();
            ("numbers", Style::Dim, format!("{whose}: {}", numbers.join(", ")))
        }
        "LoopBegun" => {
            let items = counted(data["items"].as_u64().unwrap_or(0), "item");
            let what = format!("{}: {items}, {} to a chunk", step(), data["chunk_items"]);
            ("loop begun", Style::Plain, what)
        }
        "ChunkEnded" => {
            let [done, failed, skipped] =
                ["succeeded", "failed", "skipped"].map(|name| data[name].as_u64().unwrap_or(0));
            let run = text(&data["execution_id"]);
            let counts = format!("{done} succeeded, {failed} failed, {skipped} skipped");
            ("chunk ended", Style::Dim, format!("{}: {counts}, {run}{}", step(), error(data)))
        }
        "ChunkUndone" => {
            let run = text(&data["execution_id"]);
            ("chunk undone", Style::Undo, format!("{}: {run}{}", step(), error(data)))
        }
        "CallRefused" => ("call refused", Style::Bad, format!("{}: {}", step(), circuit(data))),
        "CallbackHeld" => {
            let what = format!("callback #{}: {}", data["delivery"], circuit(data));
            ("held", Style::Waiting, what)
        }
        "FaultsPlanned" => {
            let faults = data["faults"].as_array().into_iter().flatten();
            let faults: Vec<_> = faults.map(fault).collect();
            ("faults planned", Style::Waiting, faults.join("; "))
        }
        _ => return of_run(fact),
    })
}

/// Where a run comes from and what else goes on from it.
fn of_run<'a>(fact: &Fact<'a>) -> Option<(&'a str, Style, String)> {
    let data = fact.data;
    Some(match fact.kind {
        "ExecutionOrigin" => {
            let mut parts = Vec::new();
            if let Some(parent) = data["parent"]["execution_id"].as_str() {
                parts.push(format!("part of {parent}"));
            }
            parts.extend(data["priority"].as_str().map(|own| format!("priority {own}")));
            parts.extend(data["variant"].as_str().map(|own| format!("variant `{own}`")));
            ("origin", Style::Dim, parts.join(", "))
        }
        "ExecutionKeyed" => {
            let keys = data["keys"].as_array().into_iter().flatten();
            let one =
                |own: &Value| format!("`{}`, {} at a time", text(&own["key"]), own["max_runs"]);
            ("keyed", Style::Dim, keys.map(one).collect::<Vec<_>>().join("; "))
        }
        "ExecutionTraced" => {
            let above = data["parent_span_id"].as_str().map(|own| format!(", below {own}"));
            (
                "traced",
                Style::Dim,
                format!("{}{}", text(&data["trace_id"]), above.unwrap_or_default()),
            )
        }
        "ForkBegun" => {
            let (run, version) = (text(&data["execution_id"]), &data["version"]);
            let kept = counted(data["kept"].as_u64().unwrap_or(0), "step");
            (
                "fork",
                Style::Plain,
                format!("of {run} at version {version}, keeps {kept}, {}", who(data)),
            )
        }
        "ForkStarted" => ("fork started", Style::Plain, String::new()),
        "ExecutionForked" => {
            let undoes = super::marks::words(&data["undoes"]);
            let undoes = match undoes.as_str() {
                "" => String::new(),
                steps => format!(", which undoes {steps}"),
            };
            ("forked", Style::Plain, format!("to {}{undoes}, {}", text(&data["to"]), who(data)))
        }
        "ForkDropped" => {
            let what = format!("{} never started; its undos are here again", text(&data["fork"]));
            ("fork dropped", Style::Waiting, what)
        }
        "ExecutionMigrated" => {
            ("migrated", Style::Plain, format!("to revision {}, {}", data["revision"], who(data)))
        }
        _ => return None,
    })
}

fn limit(ms: &Value) -> String {
    duration(ms.as_u64().unwrap_or(0).saturating_mul(1_000))
}

fn circuit(data: &Value) -> String {
    format!("circuit `{}`, {}", text(&data["breaker"]), text(&data["because"]))
}

fn error(data: &Value) -> String {
    match &data["error"] {
        Value::Null => String::new(),
        error => format!("; {}", sentence(error)),
    }
}

fn fault(own: &Value) -> String {
    let way = match (own["undo"] == true, own["check"] == true) {
        (true, _) => "undo of ",
        (false, true) => "check of ",
        (false, false) => "step ",
    };
    let which = match &own["attempt"] {
        Value::Null => "every attempt".to_owned(),
        attempt => format!("attempt {attempt}"),
    };
    format!("{} at {which} of {way}{}", text(&own["kind"]), step_name(&own["step"]))
}

#[cfg(test)]
mod tests {
    use backstitch_core::report::RUN_EVENT_TYPES;
    use serde_json::json;

    use crate::facts::facts;
    use crate::spans::Timeline;

    #[test]
    fn every_event_is_drawn_or_told_in_words() {
        for kind in RUN_EVENT_TYPES {
            let event = json!({
                "version": 2, "recorded_at": "2026-01-02T03:04:05.000000Z", "type": kind, "data": {},
            });
            let events = [event];
            let timeline = Timeline::of(&events);
            for fact in facts(&events).filter(|fact| timeline.marks.contains(&fact.version)) {
                let (word, _, _) = super::super::marks::mark(&fact);
                assert!(word != *kind || *kind == "ExecutionSubmitted", "{kind} is told raw");
            }
        }
    }
}
