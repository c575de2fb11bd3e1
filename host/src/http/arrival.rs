//! How much of the body of a request has come in, and how much longer its handler
//! may take for it: a slow line is no fault of the handler, but a line that
//! trickles must not hold an instance for ever.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The bytes that buy a second more: 1 Mbit/s. What comes slower meets the
/// deadline.
const STEADY: u64 = 128 << 10;

/// What has come in of one request.
#[derive(Clone, Default)]
pub(super) struct Arrival(Arc<Counts>);

#[derive(Default)]
struct Counts {
    bytes: AtomicU64,
    awaited: AtomicBool,
}

/// A body that is counted as the guest reads it.
pub(super) struct Arriving<B> {
    body: B,
    arrival: Arrival,
}

impl Arrival {
    pub(super) fn of<B>(body: B) -> (Arriving<B>, Self) {
        let arrival = Self::default();
        let counting = arrival.clone();
        let body = Arriving {
            body,
            arrival: counting,
        };
        (body, arrival)
    }

    /// How long it may take to send what came in.
    pub(super) fn time(&self) -> Duration {
        Duration::from_millis(self.0.bytes.load(Relaxed).saturating_mul(1_000) / STEADY)
    }

    /// Whether the guest waits for more.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.awaited.load(Relaxed)
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Arriving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let counts = &self.arrival.0;
        counts.awaited.store(frame.is_pending(), Relaxed);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let size = frame.data_ref().map_or(0, Bytes::len);
            counts.bytes.fetch_add(size as u64, Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
