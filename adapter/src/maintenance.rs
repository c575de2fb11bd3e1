//! Maintenance: arguments checked, and failures reported.

use crate::{
    bindings::maintenance::{Error, Event},
    deliveries::ROUND,
    failure::Failure,
};

const MOST: u32 = 500;

/// What a reading of events may weigh before it ends early.
const READ_BYTES: usize = 16 << 20;

/// Read events, the earliest first.
///
/// `before_the_latest` finds the sequence behind which there are so many events,
/// 0 if there are no more than that; `read` reads so many events behind a
/// sequence.
pub async fn events(
    after: Option<u64>,
    limit: u32,
    before_the_latest: impl AsyncFnOnce(usize) -> Result<u64, Failure>,
    read: impl AsyncFn(u64, usize) -> Result<Vec<Event>, Failure>,
) -> Result<Vec<Event>, Error> {
    if !(1..=MOST).contains(&limit) {
        return Err(Error::InvalidQuery(format!(
            "limit {limit} must be 1 to {MOST}"
        )));
    }
    let limit = limit as usize;
    let mut after = match after {
        Some(after) => after,
        None => before_the_latest(limit).await?,
    };
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = 0;
    while events.len() < limit && bytes < READ_BYTES {
        let wanted = (limit - events.len()).min(ROUND);
        let round = read(after, wanted).await?;
        let exhausted = round.len() < wanted;
        for event in round {
            after = event.sequence;
            bytes += event.envelope.len();
            events.push(event);
        }
        if exhausted {
            break;
        }
    }
    Ok(events)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::NewerSchema(version) => Self::NewerSchema(version),
            Failure::Other(text) => Self::Other(text),
        }
    }
}
