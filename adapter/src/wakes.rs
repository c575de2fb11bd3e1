//! Wakes: what tells the services that a topic has work.
//!
//! A wake carries no truth. One that is lost is made up for by the next tick, so
//! nothing that has been committed fails because a wake could not be sent.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use spin_sdk::{
    redis::{Connection, Error},
    variables,
};

use crate::failure::Failure;

/// The variable with the address of the Redis server.
const ADDRESS: &str = "redis_address";

/// How long commits do without wakes after Redis was found to be away. Without
/// it each of them would wait for a connection.
const PAUSE: Duration = Duration::from_secs(5);

thread_local! {
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
    static PAUSED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Whether the log says that wakes are skipped.
    static REPORTED: Cell<bool> = const { Cell::new(false) };
}

/// The topics to wake, each with the traceparent of the event that is the cause.
pub type Wakes = BTreeMap<String, Option<String>>;

/// Wake topics if that is possible.
pub async fn send(wakes: &Wakes) {
    let paused = PAUSED_AT.get().is_some_and(|since| since.elapsed() < PAUSE);
    if wakes.is_empty() || paused {
        return;
    }
    match publish_all(wakes).await {
        Ok(()) => {
            PAUSED_AT.set(None);
            REPORTED.set(false);
        }
        Err(failure) => {
            PAUSED_AT.set(Some(Instant::now()));
            if !REPORTED.replace(true) {
                eprintln!("wakes are skipped, and left to the ticker: {failure}");
            }
        }
    }
}

/// Wake one topic, or say why not. The payload is the traceparent, if there is
/// one.
pub async fn publish(topic: &str, traceparent: Option<&str>) -> Result<(), Failure> {
    let payload = traceparent.unwrap_or_default();
    let connection = connection().await?;
    if connection.publish(topic, payload).await.is_err() {
        // The server may have been restarted since the connection was made.
        CONNECTION.set(None);
        self::connection()
            .await?
            .publish(topic, payload)
            .await
            .map_err(|error| {
                CONNECTION.set(None);
                unavailable(&error)
            })?;
    }
    Ok(())
}

async fn publish_all(wakes: &Wakes) -> Result<(), Failure> {
    for (topic, traceparent) in wakes {
        publish(topic, traceparent.as_deref()).await?;
    }
    Ok(())
}

async fn connection() -> Result<Rc<Connection>, Failure> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let address = variables::get(ADDRESS)
        .await
        .map_err(|error| Failure::Unavailable(format!("variable `{ADDRESS}`: {error}")))?;
    let connection = Rc::new(
        Connection::open(&address)
            .await
            .map_err(|error| unavailable(&error))?,
    );
    CONNECTION.set(Some(connection.clone()));
    Ok(connection)
}

/// The address stays out of it: it may hold a password.
fn unavailable(error: &Error) -> Failure {
    Failure::Unavailable(format!("redis: {error}"))
}
