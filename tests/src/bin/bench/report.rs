//! The figures as lines of JSON and as a table to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use crate::figures::{Figure, Spread};
use crate::machine::Machine;

/// Writes each group to its file; the machine is its first line.
///
/// # Errors
/// Of the file system.
pub fn write(folder: &Path, machine: &Machine, figures: &[Figure]) -> io::Result<()> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for figure in figures {
        let text = files.entry(figure.case.group).or_insert_with(|| machine_line(machine));
        text.push_str(&line(figure));
    }
    for (group, text) in files {
        fs::write(folder.join(format!("{group}.jsonl")), text)?;
    }
    Ok(())
}

/// All of it as lines of JSON.
pub fn lines(machine: &Machine, figures: &[Figure]) -> String {
    figures.iter().fold(machine_line(machine), |text, figure| text + &line(figure))
}

fn machine_line(machine: &Machine) -> String {
    format!("{}\n", json!({ "machine": machine }))
}

fn line(figure: &Figure) -> String {
    format!("{}\n", json!(figure))
}

/// A table for people, with the words to read it by.
pub fn table(machine: &Machine, figures: &[Figure]) -> String {
    let mut text = format!(
        "\n{} processors ({}), Linux {}, {}, load before {}; fsync {}\n\
         The generator, the server and the disk share these processors. Medians; +- is half of\n\
         what the repeats differ by. `of sync`, `of echo`, `of engine`: the share of that floor.\n",
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.file_system,
        machine.load_before,
        machine.fsync,
    );
    let mut group = "";
    for figure in figures {
        if figure.case.group != group {
            group = figure.case.group;
            text.push_str(&heading(group));
        }
        text.push_str(&row(figure));
    }
    text
}

fn heading(group: &str) -> String {
    format!(
        "\n{:<22} {:>4} {:>11} {:>5} {:>9} {:>9}  beside it\n",
        group, "at", "per second", "+-%", "p50 us", "p99 us"
    )
}

fn row(figure: &Figure) -> String {
    let Figure { case, per_second, p50_us, p99_us, .. } = figure;
    let mut beside = String::new();
    for (floor, share) in &figure.of_floor {
        write!(beside, "of {floor} {share:.2}  ").expect("writing to a text cannot fail");
    }
    for (name, Spread { median, .. }) in &figure.extra {
        let digits = usize::from(*median < 100.0) * 2;
        write!(beside, "{name} {median:.digits$}  ").expect("writing to a text cannot fail");
    }
    let what = format!("{} ({})", case.case, case.unit);
    let spread = (per_second.max - per_second.min) / per_second.median.max(1e-9) * 50.0;
    format!(
        "{what:<22} {:>4} {:>11.0} {:>5.0} {:>9.0} {:>9.0}  {}\n",
        case.concurrency,
        per_second.median,
        spread,
        p50_us.median,
        p99_us.median,
        beside.trim_end()
    )
}
