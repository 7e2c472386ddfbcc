//! `docs/transitions.md` is the tables of `arrows.rs`, printed.

use std::path::Path;

#[test]
fn the_page_is_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/transitions.md");
    let printed = backstitch_core::arrows::markdown();
    if std::env::var_os("BACKSTITCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &printed).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == printed,
        "docs/transitions.md is not what arrows.rs says; \
         run this test with BACKSTITCH_WRITE_DOCS=1"
    );
}
