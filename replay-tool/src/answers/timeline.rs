//! A run drawn over time.

use backstitch_core::summary::RunStatus;
use backstitch_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Answer, workflow_label};
use crate::Form;
use crate::chart::{BAR_WIDTH_MIN, Scale, legend};
use crate::facts::{facts, step_name, submission, text};
use crate::rows::{Drawn, Row, rows};
use crate::source::{Run, Standing};
use crate::spans::{Doing, Ended, Lane, Span, Timeline, Way};
use crate::text::{Screen, Style, Table, clip, duration, offset, printable, style_of, us_between};

/// The longest name of a step that is shown whole.
const NAME_CHARACTERS_MAX: usize = 28;
/// The longest remark behind a bar.
const REMARK_CHARACTERS_MAX: usize = 36;

/// The timeline of a run; one that does not fold is drawn as far as its events tell.
pub(crate) fn answer(run: &Run, drawn: Drawn, form: &Form) -> Answer {
    let picture = Picture::of(run);
    let answer = match form.json {
        true => Answer::json(&picture.document(run)),
        false => Answer::text(picture.text(run, drawn, &form.screen)),
    };
    answer.warn(run.warning.clone())
}

/// All that is drawn.
struct Picture {
    timeline: Timeline,
    /// Where the run stands.
    word: String,
    /// Whether the run has its final word.
    ended: bool,
    /// Whether somebody runs it just now.
    goes_on: bool,
}

impl Picture {
    fn of(run: &Run) -> Self {
        let mut timeline = Timeline::of(&run.events);
        let Some(execution) = &run.execution else {
            let word = Standing::QUARANTINED.to_owned();
            return Self { timeline, word, ended: false, goes_on: false };
        };
        if let Some(own) = execution["steps"].as_object() {
            let others = own.keys().filter(|id| !run.steps.contains(id));
            let ids = run.steps.iter().filter(|id| own.contains_key(*id)).chain(others);
            let words = ids.map(|id| (id.as_str(), text(&own[id]["status"])));
            timeline.add_untouched(words);
            timeline.set_words(|way, id| step_word(own.get(id)?, way));
        }
        let word = text(&execution["status"]).to_owned();
        let ended = RunStatus::of_word(&word).is_some_and(RunStatus::is_ended);
        if let Some(now) = run.goes_on_at.filter(|_| !ended) {
            timeline.extend_to(now);
        }
        Self { timeline, word, ended, goes_on: run.goes_on_at.is_some() }
    }

    fn document(&self, run: &Run) -> Value {
        let start = self.timeline.start;
        let lanes = self.timeline.lanes.iter().map(|lane| {
            json!({
                "kind": match lane.way { Way::Forward => "step", Way::Back => "undo" },
                "step": lane.step,
                "status": lane.word,
                "spans": lane.spans.iter().map(|span| span_json(start, span)).collect::<Vec<_>>(),
            })
        });
        let is_mark = |version: u64| self.timeline.marks.binary_search(&version).is_ok();
        let marks = facts(&run.events).filter(|fact| is_mark(fact.version)).map(|fact| {
            json!({
                "at": fact.at.to_string(),
                "at_us": us_between(start, fact.at),
                "version": fact.version,
                "type": fact.kind,
                "data": fact.data,
            })
        });
        let none = Value::Null;
        let own = submission(&run.events).unwrap_or(&none);
        json!({
            "execution_id": run.id,
            "namespace": own["namespace"],
            "workflow_id": own["workflow_id"],
            "revision": own["revision"],
            "status": self.word,
            "submitted_at": start.to_string(),
            "completed_at": self.ended.then(|| self.timeline.end.to_string()),
            "duration_us": us_between(start, self.timeline.end),
            "rows": lanes.collect::<Vec<_>>(),
            "marks": marks.collect::<Vec<_>>(),
        })
    }

    fn text(&self, run: &Run, drawn: Drawn, screen: &Screen) -> String {
        let mut text = self.head(run, screen);
        let rows = rows(&self.timeline.lanes, drawn);
        let names: Vec<_> =
            rows.iter().map(|row| clip(&printable(&name(row)), NAME_CHARACTERS_MAX)).collect();
        let remarks: Vec<_> =
            rows.iter().map(|row| clip(&printable(&row.remark), REMARK_CHARACTERS_MAX)).collect();
        let columns = Columns {
            name: widest(&names),
            word: widest(rows.iter().map(|row| row.lane.word.as_str())),
            took: widest(rows.iter().map(|row| self.took(&row.lane))),
            remark: widest(&remarks),
        };
        let scale = Scale::of(&self.timeline, columns.bar_width(screen.width));
        for line in scale.axis() {
            let indent = " ".repeat(columns.before_bar());
            text.push_str(&format!("{indent}{}\n", screen.paint(Style::Dim, &line)));
        }
        for ((row, name), remark) in rows.iter().zip(&names).zip(&remarks) {
            let took = self.took(&row.lane);
            let bar = scale.bar(&row.lane, screen);
            let line = columns.line(screen, name, &row.lane.word, &bar, &took, remark);
            text.push_str(&line);
        }
        let legend = legend(&self.timeline.lanes);
        if !legend.is_empty() {
            text.push_str(&format!("\n  {}\n", screen.paint(Style::Dim, &legend)));
        }
        text.push_str(&self.marks(run, screen));
        text
    }

    fn head(&self, run: &Run, screen: &Screen) -> String {
        let workflow = submission(&run.events).map(|own| {
            format!("  {} revision {}", printable(&workflow_label(own)), own["revision"])
        });
        let took = duration(us_between(self.timeline.start, self.timeline.end));
        let took = match (self.ended, self.goes_on) {
            (true, _) => format!(" after {took}"),
            (false, true) => format!(", {took} so far"),
            (false, false) => format!(", {took} until its last event"),
        };
        format!(
            "{}{}  {}{took}  {}\n\n",
            screen.paint(Style::Bold, &run.id),
            workflow.unwrap_or_default(),
            screen.paint(style_of(&self.word), &self.word),
            screen.paint(Style::Dim, &format!("from {}", self.timeline.start)),
        )
    }

    fn took(&self, lane: &Lane) -> String {
        let extent = lane.extent(self.timeline.end);
        extent.map(|(from, to)| duration(us_between(from, to))).unwrap_or_default()
    }

    /// What happened to the run as a whole.
    fn marks(&self, run: &Run, screen: &Screen) -> String {
        let mut table = Table::bare();
        let is_mark = |version: u64| self.timeline.marks.binary_search(&version).is_ok();
        for fact in facts(&run.events).filter(|fact| is_mark(fact.version)) {
            let (word, style, what) = super::marks::mark(&fact);
            let at = offset(self.timeline.start, fact.at);
            table.row([(at, Style::Dim), (word, style), (what, Style::Plain)]);
        }
        format!("\n{}", table.print(screen, 2))
    }
}

/// Where a step or its undo stands, by the run; unsaid of a step that is being undone, for then its
/// word is the undo's.
fn step_word(step: &Value, way: Way) -> Option<&str> {
    let undo = step["undo"]["status"].as_str();
    match way {
        Way::Forward if undo.is_none_or(|word| word == "pending") => step["status"].as_str(),
        Way::Forward => None,
        Way::Back => undo,
    }
}

/// A row's name: a step's, or those of the first and the last of several.
fn name(row: &Row) -> String {
    let own = step_name(&row.lane.step);
    let names = match &row.last {
        Some(last) => format!("{own} … {}", step_name(last)),
        None => own,
    };
    match row.lane.way {
        Way::Forward => names,
        Way::Back => format!("undo {names}"),
    }
}

/// Characters of each column; the bar takes what is left of the screen.
struct Columns {
    name: usize,
    word: usize,
    took: usize,
    remark: usize,
}

impl Columns {
    fn before_bar(&self) -> usize {
        2 + self.name + 2 + self.word + 2
    }

    fn bar_width(&self, screen_width: usize) -> usize {
        let behind = 2 + self.took + if self.remark > 0 { 2 + self.remark } else { 0 };
        screen_width.saturating_sub(self.before_bar() + behind).max(BAR_WIDTH_MIN)
    }

    fn line(
        &self,
        screen: &Screen,
        name: &str,
        word: &str,
        bar: &str,
        took: &str,
        remark: &str,
    ) -> String {
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(text.chars().count()));
        let line = format!(
            "  {name}{}  {}{}  {bar}  {}{took}  {}",
            pad(name, self.name),
            screen.paint(style_of(word), word),
            pad(word, self.word),
            pad(took, self.took),
            screen.paint(Style::Dim, remark),
        );
        format!("{}\n", line.trim_end())
    }
}

fn widest<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> usize {
    texts.into_iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0)
}

fn span_json(start: Timestamp, span: &Span) -> Value {
    let mut document = json!({
        "kind": match span.doing {
            Doing::Attempt { .. } => "attempt",
            Doing::RetryWait => "retry_wait",
            Doing::Sleep => "sleep",
            Doing::SignalWait(_) => "signal_wait",
            Doing::Held(_) => "held",
        },
        "from": span.from.to_string(),
        "to": span.to.map(|to| to.to_string()),
        "from_us": us_between(start, span.from),
        "to_us": span.to.map(|to| us_between(start, to)),
    });
    match &span.doing {
        Doing::SignalWait(name) => document["signal"] = json!(name),
        Doing::Held(key) => document["breaker"] = json!(key),
        Doing::Attempt { .. } | Doing::RetryWait | Doing::Sleep => {}
    }
    if let Doing::Attempt { number, ended } = &span.doing {
        document["attempt"] = json!(number);
        document["ended"] = json!(match ended {
            Ended::Running => None,
            Ended::Succeeded => Some("succeeded"),
            Ended::Failed(_) => Some("failed"),
            Ended::TimedOut => Some("timed_out"),
            Ended::Lost => Some("lost"),
        });
        if let Ended::Failed(code) = ended {
            document["error_code"] = json!(code);
        }
    }
    document
}
