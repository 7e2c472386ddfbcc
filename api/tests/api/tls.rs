//! TLS on the port, mutual TLS, and certificates that are renewed while the server runs.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

use crate::process::{backstitch, folder, output, serve_at};

/// An authority, and certificates of it.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, for a server on loopback or for a client.
    pub fn certificate(&self, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// Lays down a server's files.
    fn serves(&self, folder: &Path) {
        let (certificate, key) = self.certificate(ExtendedKeyUsagePurpose::ServerAuth);
        write(folder, "server.pem", &certificate);
        write(folder, "server.key", &key);
    }
}

pub fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("a file");
    path.to_str().expect("UTF-8").to_owned()
}

/// A server with TLS; its files are in its folder.
struct Secured {
    process: Child,
    url: String,
    folder: TempDir,
}

impl Secured {
    fn start(folder: TempDir, further: &[&str]) -> Self {
        let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        let (certificate, key) = (path("server.pem"), path("server.key"));
        let flags = ["--tls-certificate", &certificate, "--tls-key", &key];
        let flags = [&flags[..], further].concat();
        let (process, url, _) = serve_at("127.0.0.1:0", &folder.path().join("data"), &flags);
        Self { process, url: url.replace("http://", "https://"), folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// What `list` says with flags for TLS.
    fn list(&self, flags: &[&str]) -> Output {
        output(&[&["list", "--server", &self.url][..], flags].concat())
    }

    fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(told.expect("kill is there").success());
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[track_caller]
fn listed(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("no runs"), "{error}");
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(words) && !error.contains("panicked"), "{error}");
}

#[test]
fn who_trusts_its_authority_talks_to_a_server_over_tls() {
    let (authority, folder) = (Authority::new("ours"), folder());
    authority.serves(folder.path());
    let trusted = write(folder.path(), "ca.pem", &authority.pem);
    let other = write(folder.path(), "other.pem", &Authority::new("other").pem);
    let server = Secured::start(folder, &[]);
    // One that says nothing holds up nobody.
    let silent = TcpStream::connect(server.url.trim_start_matches("https://")).expect("a socket");
    listed(&server.list(&["--ca-certificate", &trusted]));
    let mut by_variable = backstitch(&["list", "--server", &server.url]);
    by_variable.env("BACKSTITCH_CA_CERTIFICATE", &trusted);
    listed(&by_variable.output().expect("it starts"));
    refused(&server.list(&["--ca-certificate", &other]), 1, "did not answer");
    refused(&server.list(&[]), 1, "did not answer");
    refused(&server.list(&["--ca-certificate", &server.path("server.key")]), 2, "server.key");
    refused(&server.list(&["--ca-certificate", "nowhere.pem"]), 2, "nowhere.pem");
    let plain = server.url.replace("https://", "http://");
    refused(&output(&["list", "--server", &plain]), 1, "did not answer");

    let one = write(server.folder.path(), "one.yaml", "id: one\nsteps: [{ id: a, type: noop }]");
    let run = ["run", &one, "--server", &server.url, "--ca-certificate", &trusted];
    let run = output(&run);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("COMPLETED"));
    drop(silent);
}

#[test]
fn mutual_tls_lets_in_who_has_a_certificate_of_the_right_authority() {
    let (authority, clients, folder) =
        (Authority::new("ours"), Authority::new("clients"), folder());
    authority.serves(folder.path());
    let trusted = write(folder.path(), "ca.pem", &authority.pem);
    let client_ca = write(folder.path(), "clients.pem", &clients.pem);
    let identity = |of: &Authority, name: &str| {
        let (certificate, key) = of.certificate(ExtendedKeyUsagePurpose::ClientAuth);
        write(folder.path(), name, &format!("{certificate}{key}"))
    };
    let right = identity(&clients, "right.pem");
    let wrong = identity(&authority, "wrong.pem");
    let server = Secured::start(folder, &["--tls-client-ca", &client_ca]);
    let ca = ["--ca-certificate", &trusted];
    listed(&server.list(&[&ca[..], &["--client-certificate", &right]].concat()));
    refused(&server.list(&ca), 1, "did not answer");
    refused(
        &server.list(&[&ca[..], &["--client-certificate", &wrong]].concat()),
        1,
        "did not answer",
    );
    refused(&server.list(&[&ca[..], &["--client-certificate", &trusted]].concat()), 2, "ca.pem");
}

#[test]
fn a_certificate_is_renewed_while_the_server_runs() {
    let (old, new, folder) = (Authority::new("old"), Authority::new("new"), folder());
    old.serves(folder.path());
    let old_ca = write(folder.path(), "old.pem", &old.pem);
    let new_ca = write(folder.path(), "new.pem", &new.pem);
    let server = Secured::start(folder, &[]);
    listed(&server.list(&["--ca-certificate", &old_ca]));
    write(server.folder.path(), "server.pem", "half a certifi");
    server.hang_up();
    listed(&server.list(&["--ca-certificate", &old_ca]));
    new.serves(server.folder.path());
    server.hang_up();
    while server.list(&["--ca-certificate", &new_ca]).status.code() != Some(0) {
        std::thread::yield_now();
    }
    refused(&server.list(&["--ca-certificate", &old_ca]), 1, "did not answer");
}

#[test]
fn what_tls_cannot_be_made_of_is_told_before_anything_starts() {
    let folder = folder();
    Authority::new("ours").serves(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (certificate, key, data) = (path("server.pem"), path("server.key"), path("data"));
    let other = Authority::new("other").certificate(ExtendedKeyUsagePurpose::ServerAuth).1;
    let other = write(folder.path(), "other.key", &other);
    let serve = ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"];
    for (flags, words) in [
        (&["--tls-certificate", &certificate][..], "--tls-certificate: needs tls_key"),
        (&["--tls-key", &key], "--tls-key: needs tls_certificate"),
        (&["--tls-client-ca", &certificate], "needs tls_certificate"),
        (&["--tls-certificate", &key, "--tls-key", &key], "holds no certificate in PEM"),
        (&["--tls-certificate", &certificate, "--tls-key", &certificate], "holds no private key"),
        (&["--tls-certificate", &certificate, "--tls-key", &other], "other.key can't be used"),
        (&["--tls-certificate", "nowhere", "--tls-key", &key], "nowhere"),
    ] {
        refused(&output(&[&serve[..], flags].concat()), 2, words);
    }
    assert!(!folder.path().join("data").exists());
}
