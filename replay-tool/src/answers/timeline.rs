//! A run drawn over time.

use backstitch_core::ids::StepIndex;
use backstitch_core::plan::Plan;
use backstitch_core::report::event_json;
use backstitch_core::time::Timestamp;
use serde_json::{Value, json};

use super::{Answer, pinned, step_json, step_name, workflow_label};
use crate::Form;
use crate::archive::History;
use crate::chart::{BAR_WIDTH_MIN, Scale, legend};
use crate::error::Error;
use crate::fold::Fold;
use crate::listing::Standing;
use crate::spans::{Doing, Ended, Lane, Span, Timeline, Way};
use crate::text::{
    Screen, Style, clip, counted, duration, offset, printable, style_of, us_between,
};

/// The longest name of a step that is shown whole.
const NAME_CHARACTERS_MAX: usize = 28;
/// The longest remark behind a bar.
const REMARK_CHARACTERS_MAX: usize = 36;

/// The timeline of a run.
///
/// # Errors
/// None; a run that does not fold is drawn as far as its events tell.
pub(crate) fn answer(mut history: History, form: &Form) -> Result<Answer, Error> {
    let picture = Picture::of(&mut history);
    let answer = match form.json {
        true => Answer::json(&picture.document(&history)),
        false => Answer::text(picture.text(&history, &form.screen)),
    };
    Ok(answer.read_up_to(history.damage.as_ref()))
}

/// All that is drawn.
struct Picture {
    timeline: Timeline,
    plan: Option<std::sync::Arc<Plan>>,
    standing: Standing,
    /// Whether the run has its final word.
    ended: bool,
}

impl Picture {
    fn of(history: &mut History) -> Self {
        let mut timeline = Timeline::of(&history.records);
        let standing = match history.fold() {
            Fold::Whole(state) => {
                let words = state.steps.iter().map(|step| step.word());
                timeline.add_untouched((0..).map(StepIndex).zip(words));
                Standing::Run(state.status())
            }
            Fold::Broken { .. } | Fold::Empty => Standing::Quarantined,
        };
        let ended = matches!(standing, Standing::Run(status) if status.is_ended());
        Self { timeline, plan: history.plan(), standing, ended }
    }

    fn name(&self, lane: &Lane) -> String {
        let step = step_name(lane.step, self.plan.as_deref());
        match lane.way {
            Way::Forward => step,
            Way::Back => format!("undo {step}"),
        }
    }

    fn document(&self, history: &History) -> Value {
        let start = self.timeline.start;
        let lanes = self.timeline.lanes.iter().map(|lane| {
            json!({
                "kind": match lane.way { Way::Forward => "step", Way::Back => "undo" },
                "step": step_json(lane.step, self.plan.as_deref()),
                "status": lane.word,
                "spans": lane.spans.iter().map(|span| span_json(start, span)).collect::<Vec<_>>(),
            })
        });
        let marks = self.timeline.marks.iter().map(|&place| {
            let record = &history.records[place];
            let (kind, data) = event_json(&record.event, self.plan.as_deref());
            json!({
                "at": record.recorded_at.to_string(),
                "at_us": us_between(start, record.recorded_at),
                "version": record.version,
                "type": kind,
                "data": data,
            })
        });
        let own = pinned(&history.records);
        json!({
            "execution_id": history.run.to_string(),
            "namespace": own.map(|own| own.namespace.clone()),
            "workflow_id": own.map(|own| own.workflow.clone()),
            "revision": own.map(|own| own.revision),
            "status": self.standing.word(),
            "submitted_at": start.to_string(),
            "completed_at": self.ended.then(|| self.timeline.end.to_string()),
            "duration_us": us_between(start, self.timeline.end),
            "rows": lanes.collect::<Vec<_>>(),
            "marks": marks.collect::<Vec<_>>(),
        })
    }

    fn text(&self, history: &History, screen: &Screen) -> String {
        let mut text = self.head(history, screen);
        let lanes = &self.timeline.lanes;
        let names: Vec<_> = lanes
            .iter()
            .map(|lane| clip(&printable(&self.name(lane)), NAME_CHARACTERS_MAX))
            .collect();
        let remarks: Vec<_> = lanes.iter().map(remark).collect();
        let columns = Columns {
            name: widest(&names),
            word: widest(lanes.iter().map(|lane| lane.word)),
            took: widest(lanes.iter().map(|lane| self.took(lane))),
            remark: widest(&remarks),
        };
        let scale = Scale::of(&self.timeline, columns.bar_width(screen.width));
        for line in scale.axis() {
            let indent = " ".repeat(columns.before_bar());
            text.push_str(&format!("{indent}{}\n", screen.paint(Style::Dim, &line)));
        }
        for ((lane, name), remark) in lanes.iter().zip(&names).zip(&remarks) {
            let took = self.took(lane);
            let bar = scale.bar(lane, screen);
            let line = columns.line(screen, name, lane.word, &bar, &took, remark);
            text.push_str(&line);
        }
        let legend = legend(lanes);
        if !legend.is_empty() {
            text.push_str(&format!("\n  {}\n", screen.paint(Style::Dim, &legend)));
        }
        text.push_str(&self.marks(history, screen));
        text
    }

    fn head(&self, history: &History, screen: &Screen) -> String {
        let workflow = pinned(&history.records).map(|own| {
            let workflow = workflow_label(&own.namespace, &own.workflow);
            format!("  {} revision {}", printable(&workflow), own.revision)
        });
        let word = self.standing.word();
        let took = duration(us_between(self.timeline.start, self.timeline.end));
        let took = match self.ended {
            true => format!(" after {took}"),
            false => format!(", {took} so far"),
        };
        format!(
            "{}{}  {}{took}  {}\n\n",
            screen.paint(Style::Bold, &history.run.to_string()),
            workflow.unwrap_or_default(),
            screen.paint(style_of(word), word),
            screen.paint(Style::Dim, &format!("from {}", self.timeline.start)),
        )
    }

    fn took(&self, lane: &Lane) -> String {
        let extent = lane.extent(self.timeline.end);
        extent.map(|(from, to)| duration(us_between(from, to))).unwrap_or_default()
    }

    /// What happened to the run as a whole.
    fn marks(&self, history: &History, screen: &Screen) -> String {
        let mut table = crate::text::Table::bare();
        for &place in &self.timeline.marks {
            let record = &history.records[place];
            let (word, style, what) = super::marks::mark(&record.event, self.plan.as_deref());
            let at = offset(self.timeline.start, record.recorded_at);
            table.row([(at, Style::Dim), (word.to_owned(), style), (what, Style::Plain)]);
        }
        format!("\n{}", table.print(screen, 2))
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

/// What a bar alone does not tell: how many attempts, and what went wrong with them.
fn remark(lane: &Lane) -> String {
    let attempts: Vec<_> = lane.attempts().collect();
    let count_of = |wanted: &Ended| attempts.iter().filter(|ended| **ended == wanted).count();
    let mut parts = Vec::new();
    if attempts.len() > 1 {
        parts.push(counted(attempts.len() as u64, "attempt"));
    }
    for (ended, word) in [(Ended::TimedOut, "timed out"), (Ended::Lost, "lost")] {
        match count_of(&ended) {
            0 => {}
            1 if attempts.len() == 1 => parts.push(word.to_owned()),
            count => parts.push(format!("{count} {word}")),
        }
    }
    let code = attempts.iter().rev().find_map(|ended| match ended {
        Ended::Failed(code) => Some(code.clone()),
        _ => None,
    });
    parts.extend(code);
    clip(&printable(&parts.join(", ")), REMARK_CHARACTERS_MAX)
}

fn span_json(start: Timestamp, span: &Span) -> Value {
    let mut document = json!({
        "kind": match span.doing {
            Doing::Attempt { .. } => "attempt",
            Doing::RetryWait => "retry_wait",
            Doing::Sleep => "sleep",
        },
        "from": span.from.to_string(),
        "to": span.to.map(|to| to.to_string()),
        "from_us": us_between(start, span.from),
        "to_us": span.to.map(|to| us_between(start, to)),
    });
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
