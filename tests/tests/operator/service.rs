//! A service whose answers a test chooses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The path whose answer is chosen; every other one is answered 200.
const CHOSEN: &str = "/chosen";

/// It listens until the test's process ends.
pub struct Service {
    address: SocketAddr,
    choice: Arc<Choice>,
}

#[derive(Default)]
struct Choice {
    refuse: AtomicBool,
    calls: AtomicUsize,
}

impl Service {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let choice = Arc::new(Choice::default());
        let shared = choice.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let choice = shared.clone();
                std::thread::spawn(move || drop(answer(stream, &choice)));
            }
        });
        Self { address, choice }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the chosen path is answered 422 from now on.
    pub fn refuse(&self, refuse: bool) {
        self.choice.refuse.store(refuse, Ordering::SeqCst);
    }

    /// Requests so far.
    pub fn calls(&self) -> usize {
        self.choice.calls.load(Ordering::SeqCst)
    }
}

/// Answers every request of a connection.
fn answer(stream: TcpStream, choice: &Choice) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if lines.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut body_bytes = 0;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                body_bytes = length.trim().parse().unwrap_or(0);
            }
        }
        lines.read_exact(&mut vec![0; body_bytes])?;
        choice.calls.fetch_add(1, Ordering::SeqCst);
        let refused = first.contains(CHOSEN) && choice.refuse.load(Ordering::SeqCst);
        let status = if refused { "422 Unprocessable Content" } else { "200 OK" };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        stream.write_all(answer.as_bytes())?;
    }
}
