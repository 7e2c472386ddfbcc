//! A real server on loopback that says exactly the bytes it is told to, broken ones too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the server does with one request.
pub enum Reply {
    /// Sends bytes and waits for the next request on the connection.
    Send(Vec<u8>),
    /// Sends bytes and closes the connection.
    SendAndClose(Vec<u8>),
    /// Says nothing and waits for the client to go away.
    Hang,
}

/// What the server saw, in order.
#[derive(Debug)]
pub enum Seen {
    Connected,
    Asked(Request),
    /// The client closed the connection.
    Left,
}

/// A request as it came over the wire, header names in lower case.
#[derive(Debug, Clone)]
pub struct Request {
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

pub struct Server {
    address: SocketAddr,
    seen: UnboundedReceiver<Seen>,
}

impl Server {
    /// Serves on a free port; `reply` is asked with the number of the request, from 0.
    pub async fn start(reply: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (report, seen) = unbounded_channel();
        let counter = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, report, counter) = (reply.clone(), report.clone(), counter.clone());
                tokio::spawn(async move {
                    let next = move |request: &Request| {
                        let number = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        reply(number, request)
                    };
                    serve(stream, next, report).await;
                });
            }
        });
        Self { address, seen }
    }

    /// Always the same answer, on a connection that stays open.
    pub async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |_, _| Reply::Send(answer.clone())).await
    }

    /// Always the same bytes, and then the end of the connection.
    pub async fn breaking_after(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _| Reply::SendAndClose(bytes.clone())).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The next thing the server sees.
    pub async fn next(&mut self) -> Seen {
        self.seen.recv().await.expect("the server outlives the test")
    }

    /// The next request, whatever connection it comes on.
    pub async fn next_request(&mut self) -> Request {
        loop {
            if let Seen::Asked(request) = self.next().await {
                return request;
            }
        }
    }

    /// How many connections and requests were seen so far.
    pub fn counts(&mut self) -> (usize, usize) {
        let (mut connections, mut requests) = (0, 0);
        while let Ok(seen) = self.seen.try_recv() {
            match seen {
                Seen::Connected => connections += 1,
                Seen::Asked(_) => requests += 1,
                Seen::Left => {}
            }
        }
        (connections, requests)
    }
}

/// `HTTP/1.1 <status>`, the headers, a content length and the body.
pub fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

async fn serve(
    mut stream: TcpStream,
    mut reply: impl FnMut(&Request) -> Reply,
    report: UnboundedSender<Seen>,
) {
    // A report that nobody reads any more is of no use to anybody.
    let say = |seen| drop(report.send(seen));
    say(Seen::Connected);
    while let Some(request) = read(&mut stream).await {
        say(Seen::Asked(request.clone()));
        match reply(&request) {
            Reply::Send(bytes) => drop(stream.write_all(&bytes).await),
            Reply::SendAndClose(bytes) => {
                drop(stream.write_all(&bytes).await);
                drop(stream.shutdown().await);
                return;
            }
            Reply::Hang => {}
        }
    }
    say(Seen::Left);
}

/// One request with a content length or without a body; `None` once the client has left.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap_or(0));
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head + 4..].to_vec()).ok()?;
    Some(Request { line, headers, body })
}
