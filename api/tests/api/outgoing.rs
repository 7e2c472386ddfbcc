//! Mutual TLS to services: a certificate for those that ask for one, renewed while the server runs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use reqwest::StatusCode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::forms::client;
use crate::process::{folder, output, serve_at};
use crate::server::answer;
use crate::tls::{Authority, write};

const REFUSED: &str = "HTTP_CERTIFICATE_REFUSED";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
                        connection: close\r\n\r\n{}";

/// The certificates that callers had, one for each call.
type Seen = Arc<Mutex<Vec<CertificateDer<'static>>>>;

/// A service that talks to who has a certificate of the right authority.
struct Demanding {
    address: SocketAddr,
    seen: Seen,
}

impl Demanding {
    async fn start(own: &Authority, clients: &Authority) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(der(&clients.pem)).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let (certificate, key) = own.certificate(ServerAuth);
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![der(&certificate)], key)
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("an address");
        let seen = Seen::default();
        let (acceptor, books) = (TlsAcceptor::from(Arc::new(config)), seen.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(acceptor.clone(), stream, books.clone()));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<CertificateDer<'static>> {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn talk(acceptor: TlsAcceptor, stream: TcpStream, seen: Seen) {
    let mut read = [0; 16 * 1024];
    let mut stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        Err((_, mut refused)) => {
            // Whoever was refused reads why, and goes.
            while refused.read(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
            return;
        }
    };
    let known = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
    seen.lock().expect("no panic").push(known.into_owned());
    let mut head = Vec::new();
    while !head.windows(4).any(|own| own == b"\r\n\r\n") {
        let bytes = stream.read(&mut read).await.expect("a request");
        head.extend_from_slice(&read[..bytes]);
    }
    stream.write_all(ANSWER).await.expect("it is read");
    // Whoever called may have gone by now.
    drop(stream.shutdown().await);
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// A server that calls the service.
struct Calling {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Drop for Calling {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Calling {
    async fn start(service: &Demanding, flags: &[&str]) -> Self {
        let folder = folder();
        let (process, url, _) = serve_at("127.0.0.1:0", &folder.path().join("data"), flags);
        let own = Self { process, url, _folder: folder };
        let to = format!("https://{}/", service.address);
        let call = json!({ "type": "http", "with": { "url": to, "method": "POST" } });
        let mut step = call.clone();
        step["id"] = "call".into();
        step["retry"] = "none".into();
        step["undo"] = call;
        let told = json!([{ "event": "workflow.failed", "url": to }]);
        let fails = json!({ "fail": { "code": "BROKEN" } });
        let last = json!({ "id": "last", "type": "noop", "needs": ["call"], "retry": "none",
            "with": fails });
        for definition in [
            json!({ "id": "calls", "steps": [&step] }),
            json!({ "id": "fails", "steps": [&step, last], "callbacks": told }),
        ] {
            let (status, told) = own.post("/api/v1/workflows", &definition).await;
            assert_eq!(status, StatusCode::CREATED, "{told}");
        }
        own
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(client().post(format!("{}{path}", self.url)).json(body)).await
    }

    /// A run to its end.
    async fn run(&self, workflow: &str) -> Value {
        let path = format!("/api/v1/workflows/{workflow}/execute");
        let (status, run) = self.post(&path, &json!({ "wait_seconds": 60 })).await;
        assert_eq!(status, StatusCode::OK, "{run}");
        run
    }
}

/// Files of a client: its certificate with its key, by its name.
fn identity(folder: &Path, of: &Authority, name: &str) -> (String, CertificateDer<'static>) {
    let (certificate, key) = of.certificate(ClientAuth);
    (write(folder, name, &format!("{certificate}{key}")), der(&certificate))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_asks_for_a_certificate_gets_it_and_a_renewed_one_counts() {
    let (own, clients, files) = (Authority::new("own"), Authority::new("clients"), folder());
    let service = Demanding::start(&own, &clients).await;
    let ca = write(files.path(), "ca.pem", &own.pem);
    let without = Calling::start(&service, &["--outgoing-ca", &ca]).await;
    let failed = without.run("calls").await;
    assert_eq!(
        (&failed["status"], &failed["dead_letters"][0]["error"]["error_code"]),
        (&json!("failed"), &json!(REFUSED))
    );
    assert_eq!(service.seen(), []);

    let (file, first) = identity(files.path(), &clients, "client.pem");
    let flags = ["--outgoing-ca", &ca, "--outgoing-certificate", &file];
    let server = Calling::start(&service, &flags).await;
    let run = server.run("calls").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(service.seen(), std::slice::from_ref(&first));

    write(files.path(), "client.pem", "half a certifi");
    hang_up(&server.process);
    assert_eq!(server.run("calls").await["status"], "completed");
    let (_, second) = identity(files.path(), &clients, "client.pem");
    hang_up(&server.process);
    while service.seen().last() != Some(&second) {
        assert_eq!(server.run("calls").await["status"], "completed");
    }
    let calls = service.seen().len();
    let run = server.run("fails").await;
    assert_eq!(run["status"], "compensated", "{run}");
    while service.seen().len() < calls + 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        service.seen()[calls..],
        [second.clone(), second.clone(), second],
        "step, undo, callback"
    );
}

fn hang_up(process: &Child) {
    let told = Command::new("kill").args(["-HUP", &process.id().to_string()]).status();
    assert!(told.expect("kill is there").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_hosts_that_are_named_get_the_certificate() {
    let (own, clients, files) = (Authority::new("own"), Authority::new("clients"), folder());
    let service = Demanding::start(&own, &clients).await;
    let ca = write(files.path(), "ca.pem", &own.pem);
    let (file, known) = identity(files.path(), &clients, "client.pem");
    for (hosts, status) in
        [("billing.internal, 10.0.0.0/8", "failed"), ("127.0.0.0/8", "completed")]
    {
        let flags = [
            "--outgoing-ca",
            &ca,
            "--outgoing-certificate",
            &file,
            "--outgoing-certificate-hosts",
            hosts,
        ];
        let run = Calling::start(&service, &flags).await.run("calls").await;
        assert_eq!(run["status"], status, "{run}");
    }
    assert_eq!(service.seen(), [known]);
    // One of another authority is refused, and the failure says so as well.
    let (other, _) = identity(files.path(), &own, "other.pem");
    let flags = ["--outgoing-ca", &ca, "--outgoing-certificate", &other];
    let run = Calling::start(&service, &flags).await.run("calls").await;
    assert_eq!(run["dead_letters"][0]["error"]["error_code"], REFUSED, "{run}");
}

#[test]
fn files_that_no_call_can_be_made_with_are_told_before_anything_starts() {
    let (own, files) = (Authority::new("own"), folder());
    let path = |name: &str| files.path().join(name).to_str().expect("UTF-8").to_owned();
    let (whole, _) = identity(files.path(), &own, "client.pem");
    let alone = write(files.path(), "alone.pem", &own.certificate(ClientAuth).0);
    let key = own.certificate(ClientAuth).1;
    let mixed =
        write(files.path(), "mixed.pem", &format!("{}{key}", own.certificate(ClientAuth).0));
    let data = path("data");
    for (flags, words) in [
        (&["--outgoing-certificate", &alone][..], "no certificate with its private key"),
        (&["--outgoing-certificate", &mixed], "mixed.pem can't be used"),
        (&["--outgoing-certificate", "nowhere"], "nowhere"),
        (
            &["--outgoing-certificate", &whole, "--outgoing-certificate-hosts", "a:1"],
            "`a:1` is no name",
        ),
        (&["--outgoing-certificate-hosts", "a"], "needs outgoing_certificate"),
        (&["--outgoing-ca", &files.path().display().to_string()], "can't be read"),
        (&["--outgoing-ca", &write(files.path(), "no.pem", "none")], "holds no certificate in PEM"),
    ] {
        let serve = ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"];
        let told = output(&[&serve[..], flags].concat());
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(words), "{said}");
    }
    assert!(!files.path().join("data").exists());
}
