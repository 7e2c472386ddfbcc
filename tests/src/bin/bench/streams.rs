//! Event streams on which nothing happens, and runs beside them, beside clients that read slowly and
//! beside clients that say nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use backstitch_tests::http::request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::figures::Measured;
use crate::load::{Pace, micros};
use crate::over_http::OverHttp;

/// How many there are of each.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub idle: usize,
    pub slow: usize,
    pub silent: usize,
    /// Clients that run workflows, one run after the other.
    pub clients: usize,
    /// How long streams are left alone before what they take is looked at.
    pub rest: Duration,
    /// How long runs go on.
    pub pace: Pace,
}

/// The numbers that are promised.
pub const FULL: Sizes = Sizes {
    idle: 5_000,
    slow: 100,
    silent: 100,
    clients: 64,
    rest: Duration::from_secs(5),
    pace: Pace { warm_up: Duration::from_secs(2), window: Duration::from_secs(15) },
};
/// A smoke run's.
pub const QUICK: Sizes = Sizes {
    idle: 40,
    slow: 4,
    silent: 4,
    clients: 4,
    rest: Duration::from_millis(50),
    pace: Pace { warm_up: Duration::from_millis(20), window: Duration::from_millis(200) },
};

/// Everything there is, and what nothing that happens here belongs to.
const ALL: &str = "/api/v1/events?heartbeat_seconds=60";
const NOTHING: &str = "/api/v1/events?heartbeat_seconds=60&workflow_id=of-nobody";
const LISTENS: (&str, &str) = ("accept", "text/event-stream");
/// What a slow reader lets the system take for it, and takes at a time.
const SLOW_BYTES: u32 = 4_096;
/// Between two of its reads.
const SLOW_PAUSE: Duration = Duration::from_millis(250);
/// The head of a request, not whole.
const HALF: &[u8] = b"POST /api/v1/workflows HTTP/1.1\r\nhost: local";

/// Streams that were opened, runs before them, and runs beside them.
///
/// # Errors
/// Of the server, and of a stream that can't be opened.
pub async fn measure(server: &OverHttp, sizes: Sizes) -> Result<[Measured; 3], String> {
    let alone = server.measure(1, sizes.clients, sizes.pace).await?;
    let before_mib = server.resident_mib();
    let (mut idle, mut took_us) = (Vec::with_capacity(sizes.idle), Vec::with_capacity(sizes.idle));
    let begun = Instant::now();
    for _ in 0..sizes.idle {
        let asked = Instant::now();
        idle.push(listen(server.address(), NOTHING, None).await?);
        took_us.push(micros(asked.elapsed()));
    }
    let opened = begun.elapsed();
    tokio::time::sleep(sizes.rest).await;
    let more_mib = server.resident_mib() - before_mib;
    let mut streams = Measured::of(took_us, sizes.idle as u64, opened);
    streams.extra.insert("server_mib_more", more_mib);
    streams.extra.insert("kib_each", more_mib * 1_024.0 / sizes.idle as f64);

    let mut slow = JoinSet::new();
    for _ in 0..sizes.slow {
        slow.spawn(read_slowly(listen(server.address(), ALL, Some(SLOW_BYTES)).await?));
    }
    let mut silent = Vec::with_capacity(sizes.silent);
    for _ in 0..sizes.silent {
        let mut stream = TcpStream::connect(server.address()).await.map_err(told)?;
        stream.write_all(HALF).await.map_err(told)?;
        silent.push(stream);
    }
    let mut beside = server.measure(1, sizes.clients, sizes.pace).await?;
    let closed = idle.iter().filter(|stream| is_closed(stream)).count();
    streams.extra.insert("closed", closed as f64);
    let gone = std::iter::from_fn(|| slow.try_join_next()).count();
    beside.extra.insert("slow_gone", gone as f64);
    slow.abort_all();
    drop(silent);
    Ok([streams, alone, beside])
}

fn told(error: std::io::Error) -> String {
    error.to_string()
}

/// Opens a stream; what it says is not read beyond its beginning.
async fn listen(at: SocketAddr, path: &str, buffer: Option<u32>) -> Result<TcpStream, String> {
    let socket = TcpSocket::new_v4().map_err(told)?;
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes).map_err(told)?;
    }
    let mut stream = socket.connect(at).await.map_err(told)?;
    stream.write_all(&request("GET", path, &[LISTENS], b"")).await.map_err(told)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.map_err(told)?;
    match head.ends_with(b" 200") {
        true => Ok(stream),
        false => Err(format!("a stream was answered {}", String::from_utf8_lossy(&head))),
    }
}

/// Ends if the server closes the stream.
async fn read_slowly(mut stream: TcpStream) {
    let mut bytes = [0; SLOW_BYTES as usize];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
        tokio::time::sleep(SLOW_PAUSE).await;
    }
}

/// Whether the server closed a stream, once all it said is read.
fn is_closed(stream: &TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    loop {
        match stream.try_read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}
