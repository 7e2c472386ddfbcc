//! The golden commit of callbacks in forms of their own, about steps, and sent again.

use backstitch_core::event::{
    AboutStep, Alert, AlertOf, BodyForm, CallbackEvent, CallbackForm, DeliveryEvent, Event,
    PartitionEvent, RunEvent, SettingChanged, Severity, Target,
};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, STEP, commit_1, commit_2};

/// The golden files of this module.
pub fn files() -> [(&'static str, Commit); 6] {
    [
        ("commit-deliveries.bin", commit_deliveries()),
        ("commit-callback-tried.bin", commit_callback_tried()),
        ("commit-log-levels.bin", commit_log_levels()),
        ("commit-settings.bin", commit_settings()),
        ("commit-callback-forms.bin", commit_callback_forms()),
        ("commit-alerts.bin", commit_alerts()),
    ]
}

/// Every form and event, a step, its undo and its item, and one that is sent again.
fn commit_deliveries() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 11, &commit_1().head());
    let routing_key = "k1".to_owned();
    let forms = [
        CallbackForm::Backstitch,
        CallbackForm::CloudEvents,
        CallbackForm::Slack,
        CallbackForm::PagerDuty { routing_key },
    ];
    let target = |event, form: &CallbackForm| {
        let url = "https://z\u{fc}rich.example/hook".to_owned();
        Target { event, url, form: form.clone() }
    };
    let targets = forms.iter().map(|form| target(CallbackEvent::Started, form)).collect();
    let about = |undo, item, letter| AboutStep { step: STEP, undo, item, attempts: 3, letter };
    let abouts = [
        (CallbackEvent::StepFailed, Some(about(false, Some(70_000), None))),
        (CallbackEvent::StepDeadLettered, Some(about(true, None, Some(2)))),
        (CallbackEvent::Started, None),
    ];
    let scheduled = (0..).zip(abouts).map(|(delivery, (event, about))| DeliveryEvent::Scheduled {
        delivery,
        target: target(event, &forms[1]),
        about,
    });
    let again = DeliveryEvent::SentAgain { delivery: 1, actor: "ann".to_owned() };
    let events = std::iter::once(DeliveryEvent::Targeted { targets }).chain(scheduled);
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_181_000_000));
    for (version, event) in (100..).zip(events.chain([again])) {
        let event = Event::Run(RunEvent::Delivery(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Forms with a key that came later, and with headers.
fn commit_callback_forms() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 12, &commit_1().head());
    let headers = vec![("x-from".to_owned(), "z\u{fc}rich {{ secrets.me }}".to_owned())];
    let (routing_key, api_key) = ("k1".to_owned(), "{{ secrets.genie }}".to_owned());
    let bodies = [
        BodyForm::Backstitch,
        BodyForm::CloudEvents,
        BodyForm::Slack,
        BodyForm::PagerDuty { routing_key },
        BodyForm::Opsgenie { api_key: api_key.clone() },
    ];
    let with_headers = bodies.map(|body| CallbackForm::of(body, headers.clone()));
    let without = CallbackForm::of(BodyForm::Opsgenie { api_key }, Vec::new());
    let target = |form: CallbackForm| {
        let url = "https://z\u{fc}rich.example/{{ secrets.hook }}".to_owned();
        Target { event: CallbackEvent::Completed, url, form }
    };
    let targets = with_headers.into_iter().chain([without.clone()]).map(target).collect();
    let scheduled = DeliveryEvent::Scheduled { delivery: 5, target: target(without), about: None };
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_182_000_000));
    for (version, event) in (110..).zip([DeliveryEvent::Targeted { targets }, scheduled]) {
        let event = Event::Run(RunEvent::Delivery(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// What operators want to be told of a run, and that it is told.
fn commit_alerts() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 13, &commit_1().head());
    let severities = [None].into_iter().chain(Severity::WORDS.map(|(_, own)| Some(own)));
    let of = |severity| AlertOf {
        rule: "z\u{fc}rich".to_owned(),
        channel: "pager".to_owned(),
        severity,
    };
    let (url, form) = ("https://pd.example/".to_owned(), CallbackForm::Slack);
    let alerts = severities.map(|severity| Alert {
        of: of(severity),
        events: CallbackEvent::WORDS.map(|(_, event)| event).to_vec(),
        url: url.clone(),
        form: form.clone(),
    });
    let pinned = DeliveryEvent::AlertsPinned { alerts: alerts.collect() };
    let about = AboutStep { step: STEP, undo: false, item: None, attempts: 0, letter: None };
    let scheduled = CallbackEvent::WORDS.map(|(_, event)| DeliveryEvent::AlertScheduled {
        delivery: 6,
        target: Target { event, url: url.clone(), form: form.clone() },
        about: (event == CallbackEvent::StepWaiting).then_some(about),
        of: of(None),
    });
    let (run, at) = (StreamId::Execution(RUN), Timestamp(1_763_639_183_000_000));
    for (version, event) in (120..).zip([pinned].into_iter().chain(scheduled)) {
        let event = Event::Run(RunEvent::Delivery(event));
        assert_eq!(builder.push(&run, version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// An example of a callback, sent by somebody.
fn commit_callback_tried() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let tried = PartitionEvent::CallbackTried {
        namespace: "default".into(),
        receiver: "https://shop.example:443".to_owned(),
        event: CallbackEvent::Failed,
        actor: "ann".to_owned(),
    };
    let (stream, at) = (StreamId::Partition(RUN.partition), Timestamp(1_763_639_179_000_000));
    assert_eq!(builder.push(&stream, 23, at, &Event::Partition(tried)), Fit::Fits);
    builder.finish(Timestamp(0))
}

/// Somebody sets how much a node logs, for a while; and for as long as it lives.
fn commit_log_levels() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 10, &commit_2().head());
    let (stream, at) = (StreamId::Partition(RUN.partition), Timestamp(1_763_639_180_000_000));
    for (version, for_ms) in [(24, Some(600_000)), (25, None)] {
        let set = PartitionEvent::LogLevelsSet {
            node: "local".to_owned(),
            levels: vec![("saga".to_owned(), "debug".to_owned())],
            for_ms,
            actor: "ann".to_owned(),
        };
        assert_eq!(builder.push(&stream, version, at, &Event::Partition(set)), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}

/// Settings of a node that were read again: set, changed, and set no more.
fn commit_settings() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 11, &commit_2().head());
    let (stream, at) = (StreamId::Partition(RUN.partition), Timestamp(1_763_639_181_000_000));
    let word = |own: &str| Some(own.to_owned());
    let changed = |name: &str, from, to| SettingChanged { name: name.to_owned(), from, to };
    let reloaded = PartitionEvent::SettingsReloaded {
        node: "local".to_owned(),
        changed: vec![
            changed("log_level", word("info"), word("debug")),
            changed("secrets_dir", None, word("secrets")),
            changed("allowed_hosts", word("a.example"), None),
        ],
        actor: "SIGHUP".to_owned(),
    };
    assert_eq!(builder.push(&stream, 26, at, &Event::Partition(reloaded)), Fit::Fits);
    builder.finish(Timestamp(0))
}
