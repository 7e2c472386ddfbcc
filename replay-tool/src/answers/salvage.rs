//! Everything of a damaged store that can be proven, in a new directory.

use backstitch_journal::{CutRun, SalvageReport, SalvageRequest, StoreEvidence, salvage};

use super::Answer;
use super::restore::{ROWS_SHOWN_MAX, more};
use crate::Form;
use crate::error::{Error, exit};
use crate::progress::Progress;
use crate::source::{check_directory, check_parent};
use crate::text::{Screen, Style, Table, counted, printable};

/// Salvages a directory, or says what would come of it. The answer is no if something was
/// lost.
///
/// # Errors
/// If the source cannot be read at all, or the target cannot be written.
pub(crate) fn answer(request: &SalvageRequest, form: &Form) -> Result<Answer, Error> {
    check_directory(&request.from)?;
    let mut progress = Progress::phases(form.watched());
    if let Some(scratch) = &request.scratch {
        check_parent(scratch)?;
    }
    let mut outputs = vec![request.to.as_path()];
    outputs.extend(request.scratch.as_deref());
    let report = salvage(request, &mut |heard| progress.hear(&heard))
        .map_err(|error| Error::of_output(error, &outputs))?;
    drop(progress);
    let mut answer = match form.json {
        true => Answer::report(&report),
        false => Answer::text(text(&report, request, &form.screen)),
    };
    let lost = report
        .partitions
        .iter()
        .any(|own| own.records_lost + own.records_dropped + own.commits_lost_at_end > 0);
    if lost
        || report.missing_segment.is_some()
        || !report.runs_cut.is_empty()
        || !report.others_cut.is_empty()
    {
        answer.code = exit::NO;
    }
    Ok(answer)
}

fn text(report: &SalvageReport, request: &SalvageRequest, screen: &Screen) -> String {
    let to = printable(&request.to.display().to_string());
    let done = match report.dry_run {
        true => screen.paint(Style::Waiting, "a dry run: nothing was written"),
        false => screen.paint(Style::Bold, &format!("salvaged to {to}")),
    };
    let whole = match report.whole {
        true => screen.paint(Style::Good, "whole: the same to the byte, nothing was lost"),
        false => screen.paint(Style::Bad, "not whole: what follows is kept and lost"),
    };
    let store = match report.store {
        StoreEvidence::NotNeeded => "the store was not needed",
        StoreEvidence::Proven => "the store could be proven and was used",
        StoreEvidence::NotProven if !request.from.join("store").exists() => {
            "there is no store to look into (a backup has none)"
        }
        StoreEvidence::NotProven => "the store cannot be proven, and was not used",
    };
    // Records that the log lost come from the store, or from what is left of a damaged base.
    let found = match report.store {
        StoreEvidence::NotProven => "FROM BASE",
        StoreEvidence::NotNeeded | StoreEvidence::Proven => "FROM STORE",
    };
    let mut shown = format!(
        "{done}  store {}, generation {} after {}\n{whole}\n{}, {store}\n",
        report.store_id,
        report.generation,
        report.generation_before,
        counted(report.streams_whole, "whole history").replace("historys", "histories"),
    );
    let touched = report.partitions.iter().filter(|own| own.gaps > 0);
    let headings = ["PARTITION", "KEPT", "REWRITTEN", "GAPS", found, "LOST", "DROPPED"];
    let mut table = Table::with_headings(&headings);
    let mut any = false;
    for own in touched {
        any = true;
        let counts = [own.commits_kept, own.commits_rewritten, own.gaps, own.records_from_store];
        let cells = [u64::from(own.partition)].into_iter().chain(counts);
        let cells = cells.map(|count| (count.to_string(), Style::Plain));
        let lost = [own.records_lost, own.records_dropped];
        table.row(cells.chain(lost.map(|count| (count.to_string(), Style::Bad))));
    }
    if any {
        shown.push_str(&format!("\n{}", table.print(screen, 2)));
    }
    end(report, screen, &mut shown);
    base(report, screen, &mut shown);
    cut(&report.runs_cut, "CUT SHORT: THE ENGINE GOES ON FROM THERE", screen, &mut shown);
    cut(&report.others_cut, "OTHER HISTORIES CUT SHORT", screen, &mut shown);
    shown
}

/// What stood behind the end of all that was found.
fn end(report: &SalvageReport, screen: &Screen, shown: &mut String) {
    for own in report.partitions.iter().filter(|own| own.commits_lost_at_end > 0) {
        let commits = counted(own.commits_lost_at_end, "commit");
        let line = format!("partition {}: {commits} lost at its end", own.partition);
        shown.push_str(&format!("{}\n", screen.paint(Style::Bad, &line)));
    }
    if let Some(segment) = report.missing_segment {
        let line = format!(
            "segment {segment} and what came behind it is gone; of what was written there only \
             what the store has is kept"
        );
        shown.push_str(&format!("{}\n", screen.paint(Style::Bad, &line)));
    }
}

/// What a damaged base held: where the store does not have it, it is lost.
fn base(report: &SalvageReport, screen: &Screen, shown: &mut String) {
    let Some(base) = &report.base else { return };
    let lost = match report.store {
        StoreEvidence::Proven => "MISSING IN THE BASE, TAKEN FROM THE STORE WHERE IT HAS THEM",
        StoreEvidence::NotNeeded | StoreEvidence::NotProven => "LOST WITH THE BASE",
    };
    let heading = match base.histories_missing {
        Some(1) => format!("1 HISTORY {lost}"),
        Some(count) => format!("{count} HISTORIES {lost}"),
        None => format!("ALL HISTORIES {lost}"),
    };
    shown.push_str(&screen.heading(&heading));
    for damage in base.damages.iter().take(ROWS_SHOWN_MAX) {
        shown.push_str(&format!("  {}\n", printable(&damage.detail)));
    }
    more(base.damages.len() as u64, shown);
}

fn cut(streams: &[CutRun], heading: &str, screen: &Screen, shown: &mut String) {
    if streams.is_empty() {
        return;
    }
    shown.push_str(&screen.heading(heading));
    let mut table = Table::bare();
    for own in streams.iter().take(ROWS_SHOWN_MAX) {
        let kept = match own.last_version {
            0 => format!("nothing is left of it (it had version {})", own.found_version),
            last => format!("version {last} of {}", own.found_version),
        };
        table.row([(own.stream.clone(), Style::Plain), (kept, Style::Waiting)]);
    }
    shown.push_str(&table.print(screen, 2));
    more(streams.len() as u64, shown);
}
