//! Every file in `examples/` is a workflow that the shipped executors take.

use backstitch_core::yaml::{Format, parse};
use backstitch_executors::Registry;
use backstitch_executors::http::HttpConfig;

#[test]
fn every_example_is_valid() {
    let registry = Registry::builtin(HttpConfig::default()).expect("the executors set up");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read(&path).expect("a file");
        let value = parse(&text, Format::Yaml).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        let compiled = backstitch_core::forms::compile(&value, &registry)
            .unwrap_or_else(|problems| panic!("{}: {problems:#?}", path.display()));
        assert!(compiled.warnings.is_empty(), "{}: {:#?}", path.display(), compiled.warnings);
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples");
}
