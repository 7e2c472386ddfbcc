//! A disk that runs full at any moment: a clear message, no panic, nothing lost.

use std::path::Path;
use std::process::Output;

use crate::child;
use crate::life::check_open;
use crate::power_cut::{run_child, shim};
use crate::workload::{Acknowledged, options};

/// A life on a disk with so much space left.
fn live_on(space_bytes: u64, shim: &Path, store: &Path) -> Output {
    let mut command = child::command(store, Path::new("/dev/stdout"), space_bytes, usize::MAX);
    command.env("SHIM_SPACE", space_bytes.to_string());
    run_child(command, shim, store)
}

#[test]
fn a_full_disk_is_refused_and_loses_nothing() {
    let work = tempfile::tempdir().unwrap();
    let shim = shim(work.path());
    let mut ran = 0;
    for space_bytes in
        [100_000, 700_000, 1_300_000, 3_000_000, 5_500_000, 9_000_000, 12_000_000, 16_000_000]
    {
        let store = work.path().join(space_bytes.to_string());
        let output = live_on(space_bytes, &shim, &store);
        let text = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        let place = format!("with {space_bytes} bytes: {text} {complaint}");
        assert!(output.status.success(), "{place}");
        let refusal = text.lines().find(|line| line.starts_with("REFUSED ")).expect(&place);
        assert!(refusal.contains("space"), "{place}");
        assert!(!complaint.contains("panicked"), "{place}");
        let acknowledged = Acknowledged::all_of(&text);
        ran += u64::from(!acknowledged.is_empty());
        check_open(&store, options(), &acknowledged).unwrap_or_else(|e| panic!("{e} {place}"));
    }
    assert!(ran >= 2, "some lives got as far as writing");
}
