//! Redrives that give each letter another input.

use backstitch_core::ids::DEFAULT_NAMESPACE;
use backstitch_core::letters::InputEdit;
use backstitch_core::redrives::{Canary, EDIT_BYTES_MAX, LetterChoice, RedriveStatus, Terms};
use backstitch_core::summary::{LetterKind, LetterStatus};
use backstitch_journal::LetterFilter;
use backstitch_saga::Error;
use serde_json::{Value, json};

use super::{Node, Service, all_of, each_once, set_down, settled};

/// The terms of [`all_of`] with a merge patch of the letters' inputs.
fn patched(workflow: &str, patch: Value) -> Terms {
    let patch = patch.as_object().expect("an object").clone();
    Terms { edit: Some(InputEdit::Merge(patch)), ..all_of(workflow) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_applied_to_each_letter_that_can_take_it() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    set_down(&service, &["bank"]);
    node.fail("suspend", (0..20).map(|n| (n, "bank"))).await;
    node.fail("halt", (20..30).map(|n| (n, "bank"))).await;
    node.fail("compensate", (30..35).map(|n| (n, "bank"))).await;
    for workflow in ["suspend", "halt"] {
        let id = node.begin(patched(workflow, json!({ "cause": "post" })), 1_000).await;
        let state = node.until(id, settled).await;
        assert_eq!(state.status, RedriveStatus::Completed, "{state:?}");
        assert_eq!(state.counts.succeeded, state.counts.claimed, "{state:?}");
        assert_eq!(state.terms().and_then(|own| own.filter.kind), Some(LetterKind::Step));
    }
    each_once(&service, 30);
    // Their runs were undone: what starts over has its own input.
    let id = node.begin(patched("compensate", json!({ "cause": "post" })), 1_000).await;
    let state = node.until(id, settled).await;
    assert_eq!((state.counts.claimed, state.counts.refused), (5, 5), "{state:?}");
    assert_eq!(node.open_letters().await, 5);
    each_once(&service, 30);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_touches_no_letter_or_only_canaries() {
    let (directory, service) = (tempfile::tempdir().expect("a directory"), Service::default());
    let node = Node::start(directory.path(), &service);
    set_down(&service, &["bank", "post"]);
    node.fail("suspend", (0..12).map(|n| (n, "bank"))).await;
    let before = node.handle.redrives().await.expect("none").len();
    let filter = LetterChoice { kind: Some(LetterKind::Undo), ..LetterChoice::default() };
    let long = "x".repeat(EDIT_BYTES_MAX);
    for (terms, place) in [
        (patched("suspend", json!({ "n": null })), "input.n"),
        (Terms { edit: Some(InputEdit::Replace(json!(7))), ..all_of("suspend") }, "input.n"),
        (patched("suspend", json!({})), "input_patch"),
        (patched("suspend", json!({ "why": long })), "input_patch"),
        (Terms { filter, ..patched("suspend", json!({ "n": 1 })) }, "filter.kind"),
        (
            Terms { filter: LetterChoice::default(), ..patched("suspend", json!({ "n": 1 })) },
            "filter",
        ),
    ] {
        let refused = node.ask(terms, 1_000).await;
        let Err(Error::InvalidSubmission(problems)) = refused else { panic!("{refused:?}") };
        assert_eq!(problems.iter().map(|own| &*own.path).collect::<Vec<_>>(), [place]);
    }
    assert_eq!(node.handle.redrives().await.expect("none").len(), before);
    assert_eq!(node.open_letters().await, 12);
    // One that every executor takes, and that mends nothing, is stopped by its canary.
    let canary = Some(Canary { count: 1, wait_ms: 600_000 });
    let terms = Terms { canary, ..patched("suspend", json!({ "cause": "post" })) };
    let id = node.begin(terms, 1_000).await;
    let state = node.until(id, settled).await;
    assert_eq!((state.status.word(), state.counts.claimed), ("stopped", 1), "{state:?}");
    let status = Some(LetterStatus::Open);
    let namespace = DEFAULT_NAMESPACE.to_owned();
    let filter = LetterFilter { namespace, status, ..LetterFilter::default() };
    let open = node.handle.letters(filter, None, 100).await.expect("they are listed").rows;
    let mut untouched = 0;
    for row in open {
        let letter = node.handle.letter(row.letter).await.expect("it is there");
        assert_eq!(letter["edited_input"], Value::Null, "{letter:#}");
        untouched += u32::from(letter["input"]["cause"] == "bank");
    }
    assert_eq!(untouched, 11);
    node.stop().await;
}
