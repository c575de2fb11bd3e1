//! Replies whose rows the component takes one after another.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Mutex, mpsc, oneshot};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use super::reply::{Reply, Rest, Small, Streamed};
use super::session::{Attempt, Place, Session};
use super::statement::Statement;
use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// Execute a statement; of a large reply, only the beginning is returned at once.
///
/// While the rest is being streamed, the session is busy.
pub(super) async fn execute(
    this: &Arc<Mutex<Session>>,
    sql: String,
    parameters: Vec<Value>,
) -> Result<(Reply, Option<Rest>), Error> {
    let mut session = Session::lock(this).await;
    if let Some(reply) = session.answer(&sql) {
        return Ok((reply, None));
    }
    let mut statement = Statement::new(sql, parameters);
    let mut wait = session.wait();
    loop {
        let mut sink = Small::default();
        let mut attempt = session.attempt(&statement, Place::Here, &mut sink)?;
        let mut reply = sink.0.into_reply();
        if matches!(attempt, Attempt::Left) {
            let (start, started) = oneshot::channel();
            let executed = tokio::task::spawn_blocking(move || {
                let mut sink = Streamed::new(start);
                let attempt = session.attempt(&statement, Place::Aside, &mut sink);
                if sink.has_started() {
                    sink.end(match attempt {
                        Ok(Attempt::Locked(error)) | Err(error) => Err(error),
                        Ok(Attempt::Done | Attempt::Left) => Ok(()),
                    });
                    return None;
                }
                Some(attempt.map(|attempt| (session, statement, sink.into_reply(), attempt)))
            });
            // A reply that ends up small drops its sender unused.
            if let Ok((reply, rest)) = started.await {
                return Ok((reply, Some(rest)));
            }
            let executed = executed
                .await
                .map_err(|error| Error::Io(error.to_string()))?;
            let Some(executed) = executed else {
                return Err(Error::Io("row send error".into()));
            };
            (session, statement, reply, attempt) = executed?;
        }
        match attempt {
            Attempt::Done => return Ok((reply, None)),
            Attempt::Locked(error) => wait.or(error, session.database()).await?,
            Attempt::Left => return Err(Error::Io("the statement was left twice".into())),
        }
    }
}

/// The rows of a reply as a component's stream.
pub(super) struct Rows {
    first: Vec<RowResult>,
    rest: Option<mpsc::Receiver<RowResult>>,
}

impl Rows {
    pub(super) fn new(first: Vec<RowResult>, rest: Option<mpsc::Receiver<RowResult>>) -> Self {
        Self { first, rest }
    }
}

impl<D> StreamProducer<D> for Rows {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, RowResult, Self::Buffer>,
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
