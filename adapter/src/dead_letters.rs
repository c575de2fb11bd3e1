//! Dead letters: arguments checked, and pages cut.

use crate::{
    bindings::dead_letters::{DeadLetter, Error, Page},
    cursor::{self, InvalidCursor},
    deliveries::ROUND,
    failure::{Failure, report_failures_as},
};

const MOST: u32 = 500;

/// What a page may weigh before it ends early.
const PAGE_BYTES: usize = 16 << 20;

/// Read a page.
///
/// `read` reads so many letters with (moment of death, delivery) less than the
/// pair, the greatest first.
pub async fn list(
    limit: u32,
    cursor: Option<&str>,
    read: impl AsyncFn([u64; 2], usize) -> Result<Vec<DeadLetter>, Failure>,
) -> Result<Page, Error> {
    if !(1..=MOST).contains(&limit) {
        return Err(Error::InvalidQuery(format!(
            "limit {limit} must be 1 to {MOST}"
        )));
    }
    let mut before = match cursor {
        Some(cursor) => cursor::parse_numbers(cursor)?,
        None => [i64::MAX as u64; 2],
    };
    let mut dead_letters: Vec<DeadLetter> = Vec::new();
    let mut bytes = 0;
    loop {
        let wanted = (limit as usize + 1 - dead_letters.len()).min(ROUND);
        let round = read(before, wanted).await?;
        let exhausted = round.len() < wanted;
        for letter in round {
            if dead_letters.len() == limit as usize || bytes > PAGE_BYTES {
                let next = Some(cursor::write_numbers(before));
                return Ok(Page { dead_letters, next });
            }
            before = [letter.died_at_ms, letter.delivery];
            bytes += letter.envelope.len();
            dead_letters.push(letter);
        }
        if exhausted {
            return Ok(Page {
                dead_letters,
                next: None,
            });
        }
    }
}

/// How long after the first the letter at `place` of a replay falls due, so that
/// `per_second` do in a second.
pub fn replayed_after_ms(place: usize, per_second: Option<u32>) -> u64 {
    match per_second {
        None | Some(0) => 0,
        Some(per_second) => (place as u64).saturating_mul(1000) / u64::from(per_second),
    }
}

pub fn check_replay(per_second: Option<u32>) -> Result<(), Error> {
    match per_second {
        Some(0) => Err(Error::InvalidQuery(
            "`per-second` must be at least 1".into(),
        )),
        _ => Ok(()),
    }
}

report_failures_as!(Error);

impl From<InvalidCursor> for Error {
    fn from(invalid: InvalidCursor) -> Self {
        Self::InvalidQuery(invalid.to_string())
    }
}
