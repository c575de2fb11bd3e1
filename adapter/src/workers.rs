//! Arguments of `workers`, checked.

use crate::{
    bindings::workers::{Error, Worker},
    failure::report_failures_as,
    names::{InvalidName, check_worker},
};

const SHORTEST_MS: u32 = 1000;
const LONGEST_MS: u32 = 3_600_000;

const LONGEST_ADDRESS: usize = 1024;
const MOST_COUNTERS: usize = 1000;
const LONGEST_COUNTER: usize = 256;

pub fn check_announce(worker: &Worker, for_ms: u32) -> Result<(), Error> {
    check_worker(&worker.id)?;
    let invalid = |why: String| Err(Error::InvalidWorker(why));
    if !(SHORTEST_MS..=LONGEST_MS).contains(&for_ms) {
        return invalid(format!(
            "a worker is heard of for {SHORTEST_MS} to {LONGEST_MS} ms, not for {for_ms}"
        ));
    }
    let texts = worker.counters.iter().map(|counter| &counter.name);
    if texts.chain(&worker.address).any(|text| text.contains('\0')) {
        return invalid("an address or counter contains NUL".into());
    }
    if worker
        .address
        .as_ref()
        .is_some_and(|address| address.len() > LONGEST_ADDRESS)
    {
        return invalid(format!("an address has at most {LONGEST_ADDRESS} bytes"));
    }
    if worker.counters.len() > MOST_COUNTERS {
        return invalid(format!("a worker has at most {MOST_COUNTERS} counters"));
    }
    if worker
        .counters
        .iter()
        .any(|counter| counter.name.len() > LONGEST_COUNTER)
    {
        return invalid(format!(
            "the name of a counter has at most {LONGEST_COUNTER} bytes"
        ));
    }
    Ok(())
}

pub fn check_leave(id: &str) -> Result<(), Error> {
    Ok(check_worker(id)?)
}

report_failures_as!(Error);

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidWorker(invalid.to_string())
    }
}
