//! A body of pieces that come one by one.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// Some text of a body, or why it breaks off.
pub(super) type Piece = Result<String, std::io::Error>;

/// The body: it ends when nobody can send any more.
pub(super) struct Pieces(pub(super) mpsc::Receiver<Piece>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context).map(|piece| {
            piece.map(|piece| piece.map(|text| Frame::data(Bytes::from(text.into_bytes()))))
        })
    }
}
