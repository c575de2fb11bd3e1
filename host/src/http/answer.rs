//! From a request in flight to the answer the connection writes.
//!
//! A small body that is ready is taken along with the head, so that both leave
//! in one write and with a known length. Anything else is streamed, as fast as
//! the client reads.

use std::{
    collections::VecDeque,
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures::channel::oneshot;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};
use wasmtime_wasi_http::WasiBody;

use super::{
    arrival::Arrival,
    drive::{Drive, Head},
    problem::Problem,
};
use crate::state::Allowance;

/// How much of a body is waited for, if it is there, before the head is sent.
const SMALL: usize = 64 << 10;

/// The body of an answer.
pub(crate) enum Body {
    /// All of it.
    Whole(Bytes),
    /// What the guest writes.
    Stream(Box<Stream>),
}

/// A body that makes its guest run when it is read.
pub(crate) struct Stream {
    ready: VecDeque<Frame<Bytes>>,
    body: WasiBody,
    drive: Drive,
    allowance: Allowance,
    reading: Option<oneshot::Sender<()>>,
}

/// A guest ended in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(crate) struct BrokenOff;

/// Waits for the answer, at most until the deadline, and longer for a body that
/// comes in steadily.
pub(super) async fn wait(
    mut drive: Drive,
    arrival: Arrival,
    mut answer: oneshot::Receiver<Head>,
) -> Result<Response<Body>, Problem> {
    let mut deadline = None;
    let head = poll_fn(|cx| {
        let finished = drive.poll(cx).is_ready();
        // Another request may make this one run.
        if let Poll::Ready(Ok(head)) = Pin::new(&mut answer).poll(cx) {
            return Poll::Ready(Ok(head));
        }
        if finished {
            return Poll::Ready(Err(drive.problem().unwrap_or(Problem::HandlerFailed)));
        }
        // Most handlers answer at once and need no timer.
        let timer = deadline.get_or_insert_with(|| {
            let begun = Instant::now();
            (begun, Box::pin(sleep_until(begun + drive.deadline())))
        });
        let (begun, timer) = timer;
        while timer.as_mut().poll(cx).is_ready() {
            let prolonged = *begun + drive.deadline() + arrival.time();
            if prolonged > timer.deadline() {
                timer.as_mut().reset(prolonged);
                continue;
            }
            let (component, deadline) = (drive.component(), drive.deadline());
            if arrival.is_awaited() {
                tracing::info!(component, "the body of a request came in too slowly");
                drive.kill();
                return Poll::Ready(Err(Problem::BodyTooSlow));
            }
            tracing::error!(
                component,
                "the HTTP handler did not answer within {deadline:?}"
            );
            drive.kill();
            return Poll::Ready(Err(Problem::OutOfTime));
        }
        Poll::Pending
    });
    let Head {
        response,
        allowance,
        reading,
    } = head.await?;
    let (parts, body) = response.into_parts();
    let mut stream = Stream {
        ready: VecDeque::new(),
        body,
        drive,
        allowance,
        reading: Some(reading),
    };
    let body = match poll_fn(|cx| Poll::Ready(stream.gather(cx))).await? {
        true => Body::Whole(stream.into_bytes()),
        false => {
            stream.drive.write();
            Body::Stream(Box::new(stream))
        }
    };
    Ok(Response::from_parts(parts, body))
}

impl Stream {
    /// Takes what is there. Says whether that is all there will be.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, Problem> {
        let mut size = 0;
        while size < SMALL {
            match self.poll_guest(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    size += frame.data_ref().map_or(SMALL, Bytes::len);
                    self.ready.push_back(frame);
                }
                Poll::Ready(Some(Err(BrokenOff))) => return Err(Problem::HandlerFailed),
                Poll::Ready(None) => return Ok(true),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(false)
    }

    /// The next frame, for which the guest runs as far as it gets.
    fn poll_guest(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            let _ = self.drive.poll(cx);
            frame = Pin::new(&mut self.body).poll_frame(cx);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.allowance.renew(self.drive.deadline());
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) if self.drive.problem().is_none() => {
                // All is read: the instance finishes now, most likely, and can
                // be used again before the answer is on its way.
                self.reading = None;
                let _ = self.drive.poll(cx);
                Poll::Ready(None)
            }
            Poll::Ready(_) => Poll::Ready(Some(Err(BrokenOff))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn into_bytes(self) -> Bytes {
        let mut parts = self
            .ready
            .into_iter()
            .filter_map(|frame| frame.into_data().ok());
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let Some(second) = second else { return first };
        let mut bytes = BytesMut::from(first);
        bytes.extend_from_slice(&second);
        parts.for_each(|part| bytes.extend_from_slice(&part));
        bytes.freeze()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(stream) => match stream.ready.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => stream.poll_guest(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => {
                let ready: usize = stream
                    .ready
                    .iter()
                    .filter_map(Frame::data_ref)
                    .map(Bytes::len)
                    .sum();
                match stream.body.size_hint().exact() {
                    Some(rest) => SizeHint::with_exact(rest + ready as u64),
                    None => SizeHint::default(),
                }
            }
        }
    }
}
