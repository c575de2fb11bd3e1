//! Replies whose rows the component takes one after another.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};

use super::execution::Place;
use super::reply::{Reply, Rest, Small, Streamed};
use super::session::{Attempt, Session};
use super::statement::Statement;
use crate::bindings::spin::sqlite::sqlite::{Error, Value};

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
        session.heed(&wait);
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
