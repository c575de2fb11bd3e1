//! Units of work, committed.
//!
//! Units that have nothing to do with each other are one call of a stored
//! function: one round trip, one transaction, whatever becomes of this guest.

use emporium_adapter::{
    Failure,
    bindings::journal::{CommitError, Conflict, Event, Guest, Receipt, Unit},
    unit::{check, document_of},
    wakes::{self, Wakes},
};

use spin_sdk::pg::wit::postgres::ParameterValue;

use crate::{
    Component, columns, connection,
    row::{Row, text},
};

const COMMIT: &str = "SELECT * FROM emporium_2.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
    $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28)";

const PUBLISH_ONE: &str = "SELECT emporium_2.publish_one($1, $2, $3, $4)";

type Outcome = Result<Receipt, CommitError>;

impl Guest for Component {
    async fn commit(units: Vec<Unit>) -> Vec<Outcome> {
        let checks: Vec<_> = units.iter().map(check).collect();
        let valid = units.iter().zip(&checks).filter(|(_, check)| check.is_ok());
        let valid: Vec<&Unit> = valid.map(|(unit, _)| unit).collect();
        let mut outcomes = Vec::with_capacity(valid.len());
        let mut woken = Wakes::new();
        for run in columns::runs(&valid) {
            commit_run(&run, &mut outcomes, &mut woken).await;
        }
        wakes::send(&woken).await;
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

/// Commit a run. One that the database cannot take is committed unit by unit, so
/// that what is wrong with one does not concern the others.
async fn commit_run(run: &[&Unit], outcomes: &mut Vec<Outcome>, woken: &mut Wakes) {
    if let [unit] = run
        && let Some(event) = only_event(unit)
    {
        outcomes.push(publish(event, woken).await.map_err(CommitError::from));
        return;
    }
    match commit(run, woken).await {
        Ok(done) => outcomes.extend(done),
        Err(Failure::Other(_)) if run.len() > 1 => {
            for &unit in run {
                match commit(&[unit], woken).await {
                    Ok(done) => outcomes.extend(done),
                    Err(failure) => outcomes.push(Err(failure.into())),
                }
            }
        }
        Err(failure) => outcomes.extend(run.iter().map(|_| Err(failure.clone().into()))),
    }
}

/// The event of a unit that does nothing but publish one, to be handled at once
/// and in no order: the most frequent unit of all.
fn only_event(unit: &Unit) -> Option<&Event> {
    match unit.events.as_slice() {
        [event]
            if unit.writes.is_empty()
                && unit.settles.is_empty()
                && unit.id.is_none()
                && event.subject.is_none()
                && event.not_before_ms.is_none() =>
        {
            Some(event)
        }
        _ => None,
    }
}

async fn publish(event: &Event, woken: &mut Wakes) -> Result<Receipt, Failure> {
    let parameters = || {
        vec![
            text(event.topic.as_str()),
            text(event.id.as_str()),
            text(event.kind.as_str()),
            ParameterValue::Binary(event.envelope.clone()),
        ]
    };
    if connection::only_row_of(PUBLISH_ONE, parameters)
        .await?
        .flag()?
    {
        woken.insert(event.topic.clone(), event.traceparent.clone());
    }
    Ok(Receipt {
        versions: Vec::new(),
    })
}

async fn commit(run: &[&Unit], woken: &mut Wakes) -> Result<Vec<Outcome>, Failure> {
    let mut row = connection::only_row_of(COMMIT, || columns::of(run)).await?;
    let mut versions = row.unsigneds::<u64>()?.into_iter();
    let refusals = Refusals::read(&mut row)?;
    let topics = row.texts()?;
    let traces = row
        .optional_texts()?
        .into_iter()
        .chain(std::iter::repeat(None));
    woken.extend(topics.into_iter().zip(traces));
    let mut writes_before = 0;
    let mut outcomes = Vec::with_capacity(run.len());
    for (&unit, number) in run.iter().zip(1..) {
        let versions = versions.by_ref().take(unit.writes.len()).collect();
        outcomes.push(match refusals.of(unit, number, writes_before) {
            Some(error) => Err(error),
            None => Ok(Receipt { versions }),
        });
        writes_before += unit.writes.len();
    }
    Ok(outcomes)
}

/// Why units were refused, in columns.
struct Refusals {
    unit: Vec<usize>,
    repeated: Vec<u8>,
    /// The write in question, from 1; 0 without one.
    conflicting: Vec<usize>,
    found: Vec<u64>,
    missing: Vec<Option<String>>,
}

impl Refusals {
    fn read(row: &mut Row) -> Result<Self, Failure> {
        Ok(Self {
            unit: row.unsigneds()?,
            repeated: row.unsigneds()?,
            conflicting: row.unsigneds()?,
            found: row.unsigneds()?,
            missing: row.optional_texts()?,
        })
    }

    fn of(&self, unit: &Unit, number: usize, writes_before: usize) -> Option<CommitError> {
        let at = self.unit.iter().position(|refused| *refused == number)?;
        if self.repeated.get(at) == Some(&1) {
            return Some(CommitError::Repeated);
        }
        if let Some(Some(digest)) = self.missing.get(at) {
            return Some(CommitError::NoSuchBlob(digest.clone()));
        }
        let write = self.conflicting.get(at)?.checked_sub(writes_before + 1);
        Some(match write.and_then(|write| unit.writes.get(write)) {
            Some(write) => {
                let (collection, key) = document_of(write);
                CommitError::Conflict(Conflict {
                    collection: collection.to_owned(),
                    key: key.to_owned(),
                    found: self.found.get(at).copied().filter(|found| *found > 0),
                })
            }
            None => CommitError::LeaseLost,
        })
    }
}
