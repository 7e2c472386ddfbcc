//! What a run waits for, a line for each.

use serde_json::Value;

use super::Answer;
use crate::Form;
use crate::facts::text;
use crate::text::{Style, printable, style_of};

/// The sentences of every blocker, or the summary where there is none.
pub(crate) fn answer(why: &Value, form: &Form) -> Answer {
    if form.json {
        return Answer::json(why);
    }
    let (id, word) = (text(&why["execution_id"]), text(&why["status"]));
    let id = form.screen.paint(Style::Bold, id);
    let mut shown = format!("{id}  {}\n", form.screen.paint(style_of(word), word));
    let blockers = why["blockers"].as_array().map_or(&[][..], Vec::as_slice);
    for blocker in blockers {
        shown.push_str(&format!("  {}\n", printable(text(&blocker["sentence"]))));
    }
    if blockers.is_empty() {
        shown.push_str(&format!("  {}\n", printable(text(&why["summary"]))));
    }
    match why["more"].as_u64() {
        None | Some(0) => {}
        Some(more) => shown.push_str(&format!("  and {more} more\n")),
    }
    Answer::text(shown)
}
