//! Units of work, committed.
//!
//! A unit is checked as far as possible before anything of it is written. Units
//! can therefore share a transaction without savepoints: one that is refused has
//! left no trace. Only a failing database interrupts a unit half-way; then all is
//! rolled back, and the units are committed one by one, so that one which the
//! database cannot take does not take its neighbours with it.

use emporium_adapter::{
    Failure,
    bindings::journal::{CommitError, Guest, Receipt, Unit},
    unit,
    wakes::{self, Wakes},
};

use crate::{
    Component,
    clock::now_ms,
    connection::{Connection, Durability},
    document_writes::Plan,
    publication::Topics,
    row::{integer, text},
    settlement::{self, Settled},
};

const FIND_UNIT: &str = "SELECT 1 FROM units WHERE id = ?1";
const REMEMBER: &str = "INSERT INTO units (id, committed_ms) VALUES (?1, ?2)";

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
        let checks: Vec<_> = units.iter().map(unit::check).collect();
        let valid = units.iter().zip(&checks).filter(|(_, check)| check.is_ok());
        let valid: Vec<&Unit> = valid.map(|(unit, _)| unit).collect();
        let (outcomes, wakes) = commit(&valid);
        wakes::send(&wakes).await;
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
fn commit(units: &[&Unit]) -> (Vec<Outcome>, Wakes) {
    let mut begun = false;
    match commit_together(units, &mut begun) {
        Ok(done) => done,
        Err(_) if begun && units.len() > 1 => {
            let mut outcomes = Vec::with_capacity(units.len());
            let mut wakes = Wakes::new();
            for unit in units {
                let (outcome, woken) = commit(&[unit]);
                outcomes.extend(outcome);
                wakes.extend(woken);
            }
            (outcomes, wakes)
        }
        Err(failure) => (
            units.iter().map(|_| Err(failure.clone().into())).collect(),
            Wakes::new(),
        ),
    }
}

fn commit_together(units: &[&Unit], begun: &mut bool) -> Result<(Vec<Outcome>, Wakes), Failure> {
    if units.is_empty() {
        return Ok((Vec::new(), Wakes::new()));
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
        // Not before: the lock may have been waited for, and the clock set back.
        transaction.now = now_ms();
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
    Ok((outcomes, transaction.topics.into_wakes()))
}

impl Transaction<'_> {
    fn apply(&mut self, unit: &Unit) -> Result<Receipt, Refusal> {
        if let Some(id) = &unit.id
            && self.connection.row(FIND_UNIT, &[text(id)])?.is_some()
        {
            return Err(CommitError::Repeated.into());
        }
        let plans = match self.plan(unit) {
            // A unit that is committed again fails at the versions it wrote
            // itself. What its author must know is that the work is done.
            Err(Refusal::Refused(_)) if !settlement::hold(self.connection, &unit.settles)? => {
                return Err(CommitError::LeaseLost.into());
            }
            plans => plans?,
        };
        if !self
            .settled
            .settle(self.connection, &unit.settles, self.now)?
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
        if let Some(id) = &unit.id {
            self.connection
                .execute(REMEMBER, &[text(id), integer(self.now)])?;
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
