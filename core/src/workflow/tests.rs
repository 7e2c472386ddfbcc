use super::*;
use crate::event::AvailabilityEvent;

fn defined(state: &mut Option<WorkflowState>, text: &str) -> usize {
    let events = define(state, text, Digest::of(text.as_bytes()), "someone");
    for event in &events {
        evolve(state, event, Timestamp(7)).unwrap();
    }
    events.len()
}

#[test]
fn the_same_content_is_the_same_revision() {
    let mut state = None;
    assert_eq!(defined(&mut state, "{\"id\":\"a\"}"), 1);
    assert_eq!(defined(&mut state, "{\"id\":\"a\"}"), 0);
    assert_eq!(defined(&mut state, "{\"id\":\"b\"}"), 1);
    let state = state.unwrap();
    assert_eq!(state.revisions.len(), 2);
    assert_eq!(state.latest().unwrap().number, 2);
    assert_eq!(&*state.revision(1).unwrap().text, "{\"id\":\"a\"}");
    assert_eq!(state.revision(0), None);
    assert_eq!(state.revision(3), None);
}

#[test]
fn a_large_content_comes_in_parts_and_is_whole_again() {
    let mut state = None;
    let text = format!("\"{}\"", "äö€".repeat(50_000));
    let events = define(&state, &text, Digest::of(text.as_bytes()), "someone");
    assert_eq!(events.len(), text.len().div_ceil(PART_BYTES_MAX));
    for event in &events {
        let (WorkflowEvent::DefinitionPart { text }
        | WorkflowEvent::Defined { text, .. }
        | WorkflowEvent::Kept { text, .. }
        | WorkflowEvent::SourceKept { text, .. }) = event
        else {
            panic!("a definition is defined")
        };
        assert!(text.len() <= PART_BYTES_MAX);
        evolve(&mut state, event, Timestamp(7)).unwrap();
    }
    assert_eq!(&*state.unwrap().latest().unwrap().text, text);
}

#[test]
fn a_kept_content_is_no_revision_and_kept_once() {
    let mut state = None;
    defined(&mut state, "{\"id\":\"a\"}");
    let large = format!("\"{}\"", "x".repeat(2 * PART_BYTES_MAX));
    for text in [large.as_str(), "{\"id\":\"old\"}"] {
        let digest = Digest::of(text.as_bytes());
        let events = keep(&state, text, digest, "someone");
        assert_eq!(events.len(), text.len().div_ceil(PART_BYTES_MAX));
        for event in &events {
            evolve(&mut state, event, Timestamp(7)).unwrap();
        }
        assert_eq!(&*state.as_ref().unwrap().kept[&digest], text);
        assert!(keep(&state, text, digest, "someone").is_empty());
    }
    let known = Digest::of(b"{\"id\":\"a\"}");
    assert!(keep(&state, "{\"id\":\"a\"}", known, "someone").is_empty());
    assert_eq!(state.unwrap().revisions.len(), 1);
}

#[test]
fn the_newest_text_of_a_content_is_kept_whole() {
    let mut state = None;
    let content = Digest::of(b"{}");
    let source = |text: &str| Source {
        form: "canonical".into(),
        format: "yaml".into(),
        digest: Digest::of(text.as_bytes()),
        text: text.into(),
    };
    let large = "# \u{e4}\n".repeat(PART_BYTES_MAX);
    for text in ["id: a # one", large.as_str(), "id: a # two"] {
        let events = keep_source(&state, content, &source(text), "someone");
        assert!(events.len() >= text.len().div_ceil(PART_BYTES_MAX));
        for event in &events {
            evolve(&mut state, event, Timestamp(1)).unwrap();
        }
        assert_eq!(&*state.as_ref().unwrap().sources[&content].text, text);
        assert!(keep_source(&state, content, &source(text), "someone").is_empty());
    }
    assert!(keep_source(&None, content, &source("{}"), "someone").is_empty(), "its own");
    let mut bad = keep_source(&None, content, &source("id: b"), "someone");
    if let Some(WorkflowEvent::SourceKept { text, .. }) = bad.last_mut() {
        text.push('!');
    }
    let digest = Digest::of(b"id: b");
    assert_eq!(
        evolve(&mut state, &bad[0], Timestamp(2)),
        Err(IllegalWorkflowEvent::SourceMismatch { digest })
    );
}

#[test]
fn events_that_do_not_follow_are_refused() {
    let mut state = None;
    defined(&mut state, "{}");
    let before = state.clone();
    let event = |revision, digest| WorkflowEvent::Defined {
        revision,
        digest,
        text: "[]".to_owned(),
        actor: "someone".to_owned(),
    };
    let good = Digest::of(b"[]");
    assert_eq!(
        evolve(&mut state, &event(3, good), Timestamp(8)),
        Err(IllegalWorkflowEvent::RevisionOutOfOrder { expected: 2, found: 3 })
    );
    assert_eq!(
        evolve(&mut state, &event(2, Digest::of(b"{}")), Timestamp(8)),
        Err(IllegalWorkflowEvent::DigestMismatch { revision: 2 })
    );
    assert_eq!(state, before);
}

#[test]
fn pieces_that_a_crash_left_behind_do_not_spoil_what_follows() {
    let large = format!("\"{}\"", "x".repeat(2 * PART_BYTES_MAX));
    let mut state = None;
    let events = define(&state, &large, Digest::of(large.as_bytes()), "someone");
    assert!(events.len() > 2);
    evolve(&mut state, &events[0], Timestamp(1)).expect("a piece");
    for text in [large.as_str(), "{}"] {
        assert!(defined(&mut state, text) > 0);
        let latest = state.as_ref().and_then(WorkflowState::latest).expect("defined");
        assert_eq!(&*latest.text, text);
    }
}

#[test]
fn a_purged_workflow_counts_on() {
    let mut state = None;
    for text in ["{\"id\":\"a\"}", "{\"id\":\"b\"}"] {
        defined(&mut state, text);
    }
    let (reason, actor) = ("old".to_owned(), "ann".to_owned());
    for event in [
        AvailabilityEvent::Archived { reason: reason.clone(), actor: actor.clone() },
        AvailabilityEvent::Purged { reason, actor },
    ] {
        evolve(&mut state, &WorkflowEvent::Availability(event), Timestamp(8)).unwrap();
    }
    let gone = state.clone().unwrap();
    assert_eq!((gone.latest(), gone.revision(2), gone.next_number()), (None, None, 3));
    assert!(gone.availability.purged && gone.availability.archived.is_none());
    assert_eq!(defined(&mut state, "{\"id\":\"b\"}"), 1);
    let state = state.unwrap();
    assert_eq!(&*state.revision(3).unwrap().text, "{\"id\":\"b\"}");
    assert_eq!((state.revision(1), state.revision(2), state.revision(4)), (None, None, None));
    assert_eq!(state.availability, Availability::default());
}
