//! Hosts that a run's data names, where private networks are not to be called so.

use backstitch_core::egress::{Egress, HostPattern};
use backstitch_core::payload::Payload;
use backstitch_core::plan::WrittenHosts;
use backstitch_executors::http::PrivateHosts;
use backstitch_executors::{Answer, HttpConfig, Registry, Task};
use serde_json::{Value, json};

use crate::server::{Server, answer};
use crate::{NONE, PERMANENT, task, words};

/// Runs a task on an executor that keeps off private networks, but for `exceptions`.
async fn run(exceptions: Option<&str>, task: Task) -> Answer {
    let exceptions = exceptions.map(|own| own.parse().expect("exceptions")).unwrap_or_default();
    let private_hosts = PrivateHosts::DeniedBut(exceptions);
    let config = HttpConfig { private_hosts, ..HttpConfig::default() };
    let registry = Registry::builtin(config).expect("a client can be built");
    registry.get("http").expect("it is built in").run(task).await
}

fn asking(url: &str) -> Task {
    task(&json!({ "url": url }))
}

fn status(answer: &Answer) -> Option<Value> {
    answer.as_ref().ok().map(|output| output.value()["status"].clone())
}

#[tokio::test]
async fn no_way_to_write_loopback_leads_to_it() {
    let mut server = Server::saying(answer("200 OK", &[], "inside")).await;
    let url = server.url("/secret?token=1");
    let port = url.split(':').next_back().and_then(|rest| rest.split('/').next()).expect("a port");
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "LOCALHOST", "[::ffff:7f00:1]"] {
        let refused = run(None, asking(&format!("http://{host}:{port}/secret?token=1"))).await;
        let failure = refused.expect_err("it is not called");
        assert_eq!(words(&failure), ("HTTP_HOST_DENIED", PERMANENT, NONE), "{host}: {failure:?}");
        assert!(failure.message.contains("private network"), "{}", failure.message);
        assert!(!failure.message.contains("token"), "{}", failure.message);
    }
    assert_eq!(server.counts(), (0, 0), "nobody connected");
}

#[tokio::test]
async fn what_the_definition_writes_or_the_operator_excepts_is_called() {
    let server = Server::saying(answer("200 OK", &[], "inside")).await;
    let url = server.url("/x");
    let written = |text: &str| Task {
        hosts: WrittenHosts::of(&json!([text])),
        input: Payload::of(&json!({ "url": url })),
        ..asking(&url)
    };
    let here = run(None, written(&format!("{}{{{{ input.id }}}}", server.url("/")))).await;
    assert_eq!(status(&here), Some(json!(200)));
    for other in ["http://127.0.0.1/", "https://127.0.0.1", "http://localhost/"] {
        let refused = run(None, written(other)).await.expect_err("another port, or another name");
        assert_eq!(refused.code, "HTTP_HOST_DENIED", "{other}");
    }
    let named = url.replace("127.0.0.1", "localhost");
    for exceptions in ["localhost", "127.0.0.0/8, ::1"] {
        let called = run(Some(exceptions), asking(&named)).await;
        assert_eq!(status(&called), Some(json!(200)), "{exceptions}");
    }
    assert_eq!(status(&run(Some("127.0.0.1"), asking(&url)).await), Some(json!(200)));
}

#[tokio::test]
async fn a_host_that_egress_does_not_admit_is_not_called_wherever_it_is() {
    let server = Server::saying(answer("200 OK", &[], "here")).await;
    let url = server.url("/x");
    let within = |allow: &[&str], deny: &[&str]| {
        let read = |hosts: &[&str]| {
            hosts.iter().map(|own| HostPattern::parse(own).expect("a host")).collect()
        };
        let egress = Egress { allow: read(allow), deny: read(deny) };
        Task { hosts: WrittenHosts::of(&json!([url])).within(&[egress]), ..asking(&url) }
    };
    for (allow, deny) in [(&["pay.example"][..], &[][..]), (&[][..], &["127.0.0.1"][..])] {
        let refused = run(None, within(allow, deny)).await.expect_err("it is not called");
        assert_eq!(words(&refused), ("HTTP_HOST_DENIED", PERMANENT, NONE), "{allow:?} {deny:?}");
        assert!(refused.message.contains("egress"), "{}", refused.message);
    }
    for (allow, deny) in [(&["127.0.0.1"][..], &[][..]), (&[][..], &["pay.example"][..])] {
        let called = run(None, within(allow, deny)).await;
        assert_eq!(status(&called), Some(json!(200)), "{allow:?} {deny:?}");
    }
}
