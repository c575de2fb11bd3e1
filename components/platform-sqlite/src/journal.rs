//! Units of work, committed.
//!
//! A unit is checked as far as possible before anything of it is written. Units
//! can therefore share a transaction without savepoints: one that is refused has
//! left no trace. Only a failing database interrupts a unit half-way; then all is
//! rolled back, and the units are committed one by one, so that one which the
//! database cannot take does not take its neighbours with it.

use std::collections::{BTreeSet, HashSet};

use crate::{
    Component,
    bindings::journal::{CommitError, Excess, Guest, Receipt, Unit},
    clock::now_ms,
    connection::{Connection, Durability},
    document_writes::{self, Plan},
    failure::{Failure, report_failures_as},
    names::InvalidName,
    publication::{self, Topics},
    verdicts::{self, Settled},
    wakes,
};

/// What one unit may write and publish. It bounds how long a transaction keeps
/// the others waiting.
const MOST_WRITES: usize = 1000;
const MOST_EVENTS: usize = 1000;

type Outcome = Result<Receipt, CommitError>;

/// Why a unit is not committed.
pub(crate) enum Refusal {
    /// By its own doing. Nothing of it was written.
    Refused(CommitError),
    /// By the database's. Something may have been written.
    Failed(Failure),
}

/// What the units of one transaction share.
struct Transaction<'a> {
    connection: &'a Connection,
    now: u64,
    topics: Topics,
    settled: Settled,
}

impl Guest for Component {
    async fn commit(units: Vec<Unit>) -> Vec<Outcome> {
        let checks: Vec<_> = units.iter().map(check).collect();
        let valid = units.iter().zip(&checks).filter(|(_, check)| check.is_ok());
        let valid: Vec<&Unit> = valid.map(|(unit, _)| unit).collect();
        let (outcomes, topics) = commit(&valid);
        wakes::send(&topics).await;
        let mut outcomes = outcomes.into_iter();
        let mut outcome = || {
            outcomes
                .next()
                .unwrap_or(Err(CommitError::Other("lost".into())))
        };
        checks
            .into_iter()
            .map(|check| check.and_then(|()| outcome()))
            .collect()
    }
}

/// Returns the topics to wake with the outcomes.
fn commit(units: &[&Unit]) -> (Vec<Outcome>, BTreeSet<String>) {
    let mut begun = false;
    match commit_together(units, &mut begun) {
        Ok(done) => done,
        Err(_) if begun && units.len() > 1 => {
            let mut outcomes = Vec::with_capacity(units.len());
            let mut topics = BTreeSet::new();
            for unit in units {
                let (outcome, woken) = commit(&[unit]);
                outcomes.extend(outcome);
                topics.extend(woken);
            }
            (outcomes, topics)
        }
        Err(failure) => (
            units.iter().map(|_| Err(failure.clone().into())).collect(),
            BTreeSet::new(),
        ),
    }
}

fn commit_together(
    units: &[&Unit],
    begun: &mut bool,
) -> Result<(Vec<Outcome>, BTreeSet<String>), Failure> {
    if units.is_empty() {
        return Ok((Vec::new(), BTreeSet::new()));
    }
    let connection = Connection::current()?;
    let mut transaction = Transaction {
        connection: &connection,
        now: now_ms(),
        topics: Topics::default(),
        settled: Settled::default(),
    };
    let outcomes = connection.transaction(Durability::Full, || {
        *begun = true;
        let mut outcomes = Vec::with_capacity(units.len());
        for unit in units {
            outcomes.push(match transaction.apply(unit) {
                Ok(receipt) => Ok(receipt),
                Err(Refusal::Refused(error)) => Err(error),
                Err(Refusal::Failed(failure)) => return Err(failure),
            });
        }
        transaction.settled.count(&connection)?;
        Ok(outcomes)
    })?;
    Ok((outcomes, transaction.topics.into_idle()))
}

impl Transaction<'_> {
    fn apply(&mut self, unit: &Unit) -> Result<Receipt, Refusal> {
        let plans = match (self.plan(unit), unit.settles) {
            // A unit that is committed again fails at the versions it wrote
            // itself. What its author must know is that the work is done.
            (Err(Refusal::Refused(_)), Some(lease))
                if !verdicts::holds(self.connection, lease)? =>
            {
                return Err(CommitError::LeaseLost.into());
            }
            (plans, _) => plans?,
        };
        if let Some(lease) = unit.settles
            && !self.settled.settle(self.connection, lease)?
        {
            return Err(CommitError::LeaseLost.into());
        }
        let mut versions = Vec::with_capacity(plans.len());
        for plan in plans {
            versions.push(plan.apply(self.connection, self.now)?);
        }
        for event in &unit.events {
            self.topics.publish(self.connection, event, self.now)?;
        }
        Ok(Receipt { versions })
    }

    fn plan<'u>(&self, unit: &'u Unit) -> Result<Vec<Plan<'u>>, Refusal> {
        unit.writes
            .iter()
            .map(|write| Plan::of(write, self.connection))
            .collect()
    }
}

/// Everything about a unit that can be checked without the database.
fn check(unit: &Unit) -> Result<(), CommitError> {
    within("writes of the unit", unit.writes.len(), MOST_WRITES)?;
    within("events of the unit", unit.events.len(), MOST_EVENTS)?;
    let mut written = HashSet::new();
    for write in &unit.writes {
        let document = document_writes::check(write)?;
        if !written.insert(document) {
            let (collection, key) = document;
            let twice = format!("document {key:?} of {collection:?} is written twice");
            return Err(CommitError::InvalidUnit(twice));
        }
    }
    unit.events.iter().try_for_each(publication::check)
}

/// Refuse what is over a limit.
pub(crate) fn within(what: &str, size: usize, limit: usize) -> Result<(), CommitError> {
    if size <= limit {
        return Ok(());
    }
    Err(CommitError::TooLarge(Excess {
        what: what.into(),
        size: size as u64,
        limit: limit as u64,
    }))
}

report_failures_as!(CommitError);

impl From<InvalidName> for CommitError {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidUnit(invalid.to_string())
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}
