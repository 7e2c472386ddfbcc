//! A small HTTP/1.1 client over one connection that is kept open.
//!
//! For the benches, where it must cost next to nothing beside the server it measures, and for
//! the crash tests, which want every failure of a connection as it is. It knows answers with a
//! `Content-Length` only, which is what the server gives, and no TLS.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The longest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// A status and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of the status line.
    pub status: u16,
    /// Whole.
    pub body: Vec<u8>,
}

/// An open connection. After an error it must be thrown away: whether the request was carried
/// out is unknown then.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A request as bytes, so that one that is sent often is written once.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer this client knows.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer, Error> {
        self.stream.write_all(request).await?;
        let (status, head_bytes, body_bytes) = loop {
            if let Some(head) = read_head(&self.received)? {
                break head;
            }
            self.receive().await?;
        };
        let end = head_bytes + body_bytes;
        while self.received.len() < end {
            self.receive().await?;
        }
        let body = self.received[head_bytes..end].to_vec();
        self.received.drain(..end);
        Ok(Answer { status, body })
    }

    async fn receive(&mut self) -> Result<(), Error> {
        self.received.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

/// Status, bytes of the head, bytes of the body; nothing while the head is not whole.
fn read_head(received: &[u8]) -> Result<Option<(u16, usize, usize)>, Error> {
    let bad = |why: &str| Error::new(ErrorKind::InvalidData, why.to_owned());
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return match received.len() {
            0..=HEAD_BYTES_MAX => Ok(None),
            _ => Err(bad("the head of the answer is too long")),
        };
    };
    let head = std::str::from_utf8(&received[..end]).map_err(|_| bad("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| bad("the answer has no status"))?;
    let body_bytes = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| bad("the answer has no length"))?;
    if body_bytes > BODY_BYTES_MAX {
        return Err(bad("the answer is too long"));
    }
    Ok(Some((status, end + 4, body_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whole() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
        for cut in 0..whole.len() - 7 {
            assert_eq!(read_head(&whole[..cut]).expect("no error"), None, "{cut}");
        }
        assert_eq!(read_head(whole).expect("an answer"), Some((202, whole.len() - 7, 7)));
        assert!(read_head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read_head(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn requests_are_written_once() {
        let bytes = request("POST", "/x", &[("content-type", "application/json")], b"{}");
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(
            text,
            "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{}"
        );
    }
}
