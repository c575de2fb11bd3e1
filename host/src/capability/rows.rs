//! The rows of a reply as a component's stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Lower, StreamProducer, StreamResult, VecBuffer};

/// The first rows, and where the others come from.
pub(super) struct Rows<T> {
    first: Vec<T>,
    rest: Option<mpsc::Receiver<T>>,
}

impl<T> Rows<T> {
    pub(super) fn new(first: Vec<T>, rest: Option<mpsc::Receiver<T>>) -> Self {
        Self { first, rest }
    }
}

impl<D, T: Lower + Send + Sync + Unpin + 'static> StreamProducer<D> for Rows<T> {
    type Item = T;
    type Buffer = VecBuffer<T>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, T, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut rows = std::mem::take(&mut self.first);
        if rows.is_empty() {
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(Ok(StreamResult::Dropped));
            };
            let ahead = rest.max_capacity();
            match rest.poll_recv_many(context, &mut rows, ahead) {
                Poll::Ready(0) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Ready(_) => {}
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        destination.set_buffer(rows.into());
        let ends = self.rest.is_none();
        Poll::Ready(Ok(if ends {
            StreamResult::Dropped
        } else {
            StreamResult::Completed
        }))
    }
}
