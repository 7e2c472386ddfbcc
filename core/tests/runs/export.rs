//! Exports: the same file for ever, read back without loss, and every flaw found with its
//! line.

use std::path::Path;

use backstitch_core::event::{Event, RunEvent};
use backstitch_core::export::{
    Exporter, ImportReport, Importer, Item, REDACTED, Recorded, Redaction,
};
use backstitch_core::machine::replay;
use backstitch_core::report::execution_json;
use backstitch_core::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::laws::{definition, drive};
use crate::stage::{Life, RUN, START};

/// A life as a file.
fn export(life: &Life, definition: &str, redact: Option<&str>) -> String {
    let redaction = redact.map(|text| Redaction::read(text).expect("places"));
    let (mut exporter, mut text) =
        Exporter::begin(&"ab".repeat(16), 3, START, redaction.unwrap_or_default());
    let events = (1..).zip(&life.events).map(|(position, event)| {
        let at = Timestamp(START.0 + i64::try_from(position).expect("small"));
        Recorded { event: Event::Run(event.clone()), at, position, mark: None }
    });
    text += &exporter.run(&life.state, events.collect(), &|_| definition.to_owned());
    text += &exporter.end();
    text
}

fn canonical(definition: &str) -> String {
    let value =
        backstitch_core::yaml::parse(definition.as_bytes(), backstitch_core::yaml::Format::Yaml)
            .expect("YAML");
    let (definition, _) =
        backstitch_core::plan::Plan::read(&value, &crate::stage::Types).expect("right");
    definition.canonical_text()
}

/// The events of one run.
type Events = Vec<(Event, Timestamp)>;

/// What comes out of a file: how many definitions, and the events of its runs.
fn import(text: &str) -> Result<(u64, Vec<Events>), String> {
    let mut importer = Importer::default();
    let (mut definitions, mut runs) = (0, Vec::new());
    for line in text.split_inclusive('\n') {
        match importer.take(line.as_bytes()).map_err(|bad| bad.to_string())? {
            Some(Item::Definition(_)) => definitions += 1,
            Some(Item::Run(run)) => runs.push(run.events),
            Some(Item::Skipped(_)) | None => {}
        }
    }
    importer.finish().map_err(|bad| bad.to_string())?;
    Ok((definitions, runs))
}

const DEFINITION: &str = "{ id: shop, variables: { city: Zürich }, on_failure: compensate, steps: [
    { id: a, type: task, undo: { type: task }, with: { card: { number: '{{ input.card }}' } } },
    { id: b, type: task, needs: [a], retry: none } ] }";

fn shop() -> Life {
    let mut life = Life::begin(DEFINITION, json!({ "card": "4711", "amount": 12.5, "none": null }));
    // The first step succeeds, the second fails for good, the undo succeeds.
    drive(&mut life, &[3, 0, 3, 3]);
    assert_eq!(life.status(), "compensated");
    life
}

#[test]
fn the_file_is_what_it_always_was() {
    let text = export(&shop(), &canonical(DEFINITION), None);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/export-1.jsonl");
    if std::env::var_os("EXPORT_GOLDEN_WRITE").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&path, &text).expect("it can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(golden, text, "an export of version 1 is written the same for ever");
    let (definitions, runs) = import(&golden).expect("and reads for ever");
    assert_eq!((definitions, runs.len()), (1, 1));
}

#[test]
fn what_is_redacted_is_gone_everywhere_and_marked() {
    let text = export(&shop(), &canonical(DEFINITION), Some("number, /amount, /card"));
    assert!(!text.contains("4711") && !text.contains("12.5"), "{text}");
    let header: Value = serde_json::from_str(text.lines().next().expect("a header")).expect("JSON");
    assert_eq!(header["header"]["redacted"], json!(["number", "/amount", "/card"]));
    let run: Value = serde_json::from_str(text.lines().nth(2).expect("a run")).expect("JSON");
    assert_eq!((&run["run"]["whole"], &run["run"]["closed"]), (&json!(false), &json!(false)));
    let (_, runs) = import(&text).expect("it is a whole file");
    let Event::Run(RunEvent::Submitted(own)) = &runs[0][0].0 else { panic!("a submission") };
    assert_eq!(own.input.value(), json!({ "card": REDACTED, "amount": REDACTED, "none": null }));
    for bad in ["", "a,,b", "/"] {
        assert!(Redaction::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_run_that_is_left_out_is_named_and_counted() {
    let redaction = Redaction::default();
    let (mut exporter, header) = Exporter::begin(&"ab".repeat(16), 3, START, redaction);
    let line = exporter.skip(RUN, "event 3 does not fit".to_owned());
    let text = header + &line + &exporter.end();
    let mut importer = Importer::default();
    let taken = text
        .split_inclusive('\n')
        .filter_map(|line| importer.take(line.as_bytes()).expect("each line is right"));
    let items: Vec<_> = taken.collect();
    let [Item::Skipped(own)] = &items[..] else { panic!("{items:?}") };
    assert_eq!((own.execution_id, own.reason.as_str()), (RUN, "event 3 does not fit"));
    let mut report = ImportReport::default();
    report.left_out(own.clone());
    assert_eq!(report.refused, 1);
    let why = import(&text.replacen(&line, "", 1)).expect_err("the line is missing");
    assert!(why.contains("its counts"), "{why}");
}

#[test]
fn every_flaw_is_found_with_its_line() {
    let text = export(&shop(), &canonical(DEFINITION), None);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for missing in 0..lines.len() {
        let rest: String = lines
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != missing)
            .map(|(_, line)| *line)
            .collect();
        let why = import(&rest).expect_err("a line is missing");
        assert!(why.starts_with("line "), "{why}");
    }
    for (from, to, expected) in [
        ("\"version\":1,\"store\"", "\"version\":2,\"store\"", "line 1: the export has version 2"),
        ("backstitch-export", "other", "line 1: the format is"),
        ("Zürich", "Zurich", "line 2: the definition's text"),
        ("4711", "4712", "its hash is not that of the file"),
        ("\"type\":\"StepReady\"", "\"type\":\"StepFailed\"", "its event is another"),
        ("\"Submitted\"", "\"Submit\"", "line 4: it is no event"),
    ] {
        let why = import(&text.replacen(from, to, 1)).expect_err(from);
        assert!(why.contains(expected), "{why}");
    }
    assert!(import(&format!("{text}{}", lines[0])).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_run_reads_back_as_it_was(
        definition in definition(),
        answers in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut life = Life::begin(&definition, json!({ "n": [1, null, "ü"] }));
        drive(&mut life, &answers);
        let text = export(&life, &canonical(&definition), None);
        let (_, runs) = import(&text).expect("it was just written");
        let events: Vec<_> = runs[0].iter().map(|(event, _)| event.clone()).collect();
        let expected: Vec<_> = life.events.iter().cloned().map(Event::Run).collect();
        prop_assert_eq!(events, expected);
        let told = life.events.iter().map(|event| (Event::Run(event.clone()), life.now));
        let told: Vec<_> = told.collect();
        let folded = replay(RUN, &life.state.plan, told.iter().map(|(event, at)| (event, *at)));
        prop_assert_eq!(execution_json(&folded.expect("folds"))["version"].as_u64(), Some(runs[0].len() as u64));
    }
}
