//! A store as it stood at a point, in a new directory, and what that loses.

use std::path::Path;

use backstitch_journal::{
    EffectKind, Oldest, RestorePoint, RestoreReport, RestoreRequest, RestoredKey, restore,
};

use super::Answer;
use crate::Form;
use crate::arguments::RestoreWanted;
use crate::clock;
use crate::error::Error;
use crate::progress::Progress;
use crate::source::check_directory;
use crate::text::{Screen, Style, Table, counted, printable, size};

/// Rows of one kind that text shows; `--json` shows all that the report lists.
pub(super) const ROWS_SHOWN_MAX: usize = 50;

/// Restores a directory or a backup, or says what that would lose.
///
/// # Errors
/// If the source cannot be read, has no such point, or the target cannot be written.
pub(crate) fn answer(from: &Path, wanted: &RestoreWanted, form: &Form) -> Result<Answer, Error> {
    check_directory(from)?;
    let now = clock::now();
    if let Some(at) = wanted.at.filter(|at| *at > now) {
        return Err(Error::Future { at: at.to_string() });
    }
    let point = match (wanted.at, &wanted.positions) {
        (Some(at), _) => RestorePoint::Instant(at),
        (None, Some(positions)) => RestorePoint::Positions(positions.clone()),
        (None, None) => RestorePoint::End,
    };
    let request = RestoreRequest {
        from: from.to_owned(),
        to: wanted.to.clone(),
        point,
        dry_run: wanted.dry_run,
        at: now,
        reason: wanted.reason.clone(),
        actor: wanted.actor.clone(),
    };
    let mut progress = Progress::phases(form.watched());
    let report = restore(&request, &mut |heard| progress.hear(&heard))
        .map_err(|error| Error::of_output(error, &[&request.to]))?;
    drop(progress);
    Ok(match form.json {
        true => Answer::report(&report),
        false => Answer::text(text(&report, &wanted.to, &form.screen)),
    })
}

fn text(report: &RestoreReport, to: &Path, screen: &Screen) -> String {
    let to = printable(&to.display().to_string());
    let done = match report.dry_run {
        true => screen.paint(Style::Waiting, "a dry run: nothing was written"),
        false => screen.paint(Style::Good, &format!("restored to {to}")),
    };
    let newest = match report.newest_kept_at {
        Some(at) => format!("the newest kept is of {at}"),
        None => "nothing is kept".to_owned(),
    };
    let mut shown = format!(
        "{done}  store {}, generation {} after {}\n\
         {} and {} kept, {} and {} lost; {newest}\n{}\n",
        report.store_id,
        report.generation,
        report.generation_before,
        counted(report.commits_kept, "commit"),
        counted(report.records_kept, "record"),
        counted(report.commits_lost, "commit"),
        counted(report.records_lost, "record"),
        oldest(&report.oldest),
    );
    if report.blobs > 0 {
        let blobs = counted(report.blobs, "payload");
        shown.push_str(&format!("{blobs} beside the log, {}\n", size(report.blob_bytes)));
    }
    for digest in &report.erasures_kept {
        shown.push_str(&format!("payload {digest} was erased later and stays erased\n"));
    }
    keys(&report.api_keys, screen, &mut shown);
    if let Some(damage) = &report.damage_behind {
        let damage = printable(&damage.to_string());
        let line = format!("damage behind the point, nothing there was counted: {damage}");
        shown.push_str(&format!("{}\n", screen.paint(Style::Bad, &line)));
    }
    runs(report, screen, &mut shown);
    others(report, screen, &mut shown);
    returned(report, screen, &mut shown);
    effects(report, screen, &mut shown);
    shown
}

/// The API keys that count then, as the source knows them.
fn keys(keys: &[RestoredKey], screen: &Screen, shown: &mut String) {
    if keys.is_empty() {
        return;
    }
    let count = counted(keys.len() as u64, "API key");
    let line = format!("{count} in force there: revoke again what was revoked since");
    shown.push_str(&format!("{}\n", screen.paint(Style::Waiting, &line)));
    for key in keys.iter().take(ROWS_SHOWN_MAX) {
        let (name, namespace) = (printable(&key.name), printable(&key.namespace));
        shown.push_str(&format!("  {} {name} of {namespace}\n", key.key_id));
    }
}

/// The oldest point that can be restored.
pub(super) fn oldest(oldest: &Oldest) -> String {
    match oldest.at {
        Some(at) => format!("the oldest point that can be restored is {at}"),
        None => "every point can be restored, back to the beginning".to_owned(),
    }
}

fn runs(report: &RestoreReport, screen: &Screen, shown: &mut String) {
    if report.runs.is_empty() {
        return;
    }
    let (vanish, back) = (report.runs_vanished, report.runs_gone_back);
    let heading = format!("{} VANISH, {back} GO BACK", counted(vanish, "RUN").to_uppercase());
    shown.push_str(&screen.heading(&heading));
    let mut table = Table::bare();
    for run in report.runs.iter().take(ROWS_SHOWN_MAX) {
        let (what, style) = gone(run.last_version);
        let from = format!("from version {}", run.lost_version);
        table.row([(run.execution.clone(), Style::Plain), (what, style), (from, Style::Dim)]);
    }
    shown.push_str(&table.print(screen, 2));
    more(report.runs.len() as u64, shown);
}

/// Histories of workflows, replays and partitions.
fn others(report: &RestoreReport, screen: &Screen, shown: &mut String) {
    if report.others.is_empty() {
        return;
    }
    shown.push_str(&screen.heading("OTHER HISTORIES THAT VANISH OR GO BACK"));
    let mut table = Table::bare();
    for (stream, version) in report.others.iter().take(ROWS_SHOWN_MAX) {
        let (what, style) = gone(*version);
        table.row([(stream.clone(), Style::Plain), (what, style)]);
    }
    shown.push_str(&table.print(screen, 2));
    more(report.others.len() as u64, shown);
}

/// Runs that retention had removed since.
fn returned(report: &RestoreReport, screen: &Screen, shown: &mut String) {
    if report.runs_returned == 0 {
        return;
    }
    let count = counted(report.runs_returned, "RUN").to_uppercase();
    shown.push_str(&screen.heading(&format!("{count} REMOVED SINCE, BACK AGAIN")));
    let mut table = Table::bare();
    for run in report.returned.iter().take(ROWS_SHOWN_MAX) {
        let removed = format!("removed at {} by `{}`", run.removed_at, printable(&run.rule));
        table.row([(run.execution.clone(), Style::Plain), (removed, Style::Waiting)]);
    }
    shown.push_str(&table.print(screen, 2));
    more(report.runs_returned, shown);
}

/// What becomes of a history that is kept up to a version.
fn gone(kept: u64) -> (String, Style) {
    match kept {
        0 => ("vanishes".to_owned(), Style::Bad),
        kept => (format!("goes back to version {kept}"), Style::Waiting),
    }
}

fn effects(report: &RestoreReport, screen: &Screen, shown: &mut String) {
    if report.effect_count == 0 {
        return;
    }
    let heading = format!("{} THAT MAY HAPPEN TWICE", counted(report.effect_count, "EFFECT"));
    shown.push_str(&screen.heading(&heading.to_uppercase()));
    let mut table = Table::with_headings(&["WHEN", "WHAT", "OF", "ATTEMPT", "KEY"]);
    for effect in report.effects.iter().take(ROWS_SHOWN_MAX) {
        let kind = match effect.kind {
            EffectKind::Step => "step",
            EffectKind::Undo => "undo",
            EffectKind::Callback => "callback",
            EffectKind::Replay => "replay",
        };
        let attempt = effect.attempt.map(|number| number.to_string()).unwrap_or_default();
        table.row([
            (effect.recorded_at.to_string(), Style::Dim),
            (kind.to_owned(), Style::Plain),
            (effect.stream.clone(), Style::Plain),
            (attempt, Style::Plain),
            (effect.idempotency_key.clone().unwrap_or_default(), Style::Plain),
        ]);
    }
    shown.push_str(&table.print(screen, 2));
    more(report.effect_count, shown);
}

/// How many rows are not shown.
pub(super) fn more(count: u64, shown: &mut String) {
    let hidden = count.saturating_sub(ROWS_SHOWN_MAX as u64);
    if hidden > 0 {
        shown.push_str(&format!("  and {hidden} more; --json lists them\n"));
    }
}
