//! Bytes as no client would send them, and what a server answers to them.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The last request of a connection: it is answered, and then the connection ends.
pub const LAST: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// One answer as it came.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a header; empty without one.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let mut named = lines.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }
}

/// A connection to a server by its URL.
pub async fn connect(url: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("an address");
    TcpStream::connect(address).await.expect("the server listens")
}

/// Everything that is answered to some bytes until the server ends the connection.
pub async fn replies(url: &str, bytes: &[u8]) -> Vec<Reply> {
    let mut connection = connect(url).await;
    // A server that has heard enough need not read the rest.
    drop(connection.write_all(bytes).await);
    until_ended(&mut connection).await
}

/// Everything that comes until the server ends the connection.
pub async fn until_ended(connection: &mut (impl AsyncRead + Unpin)) -> Vec<Reply> {
    let (mut heard, mut piece) = (Vec::new(), [0; 16 * 1024]);
    // One that ends while bytes of ours are unread ends with a reset.
    while let Ok(length @ 1..) = connection.read(&mut piece).await {
        heard.extend_from_slice(&piece[..length]);
    }
    read(&heard)
}

/// The answers that some bytes are, one behind the other.
fn read(mut heard: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !heard.is_empty() {
        let shown = String::from_utf8_lossy(heard);
        let end = heard.windows(4).position(|own| own == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no end of a head: {shown}"));
        let head = std::str::from_utf8(&heard[..end]).expect("a head is text").to_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        let mut reply = Reply { status, head, body: Vec::new() };
        let length = reply.header("content-length").parse().unwrap_or(0);
        let (body, rest) = heard[end + 4..].split_at(length);
        reply.body = body.to_vec();
        replies.push(reply);
        heard = rest;
    }
    replies
}
