//! Entries: the events of the ledger, whose publisher chooses their ids.

use emporium_sdk::{
    event::{Envelope, now},
    journal::{self, CommitError},
};
use serde::{Deserialize, Serialize};

use crate::{SERVICE, conduct::Conduct, terms::TOPIC};

/// An entry in an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The id of the event, so that a publisher can repeat itself.
    pub(crate) id: String,
    pub(crate) account: String,
    /// Grows with each entry in its account.
    pub(crate) number: u32,
    /// The ordering key. Without one, entries of an account race for it.
    pub(crate) subject: Option<String>,
    pub(crate) conduct: Conduct,
}

/// Publish entries, all of them or none.
pub(crate) async fn publish(entries: &[Entry]) -> Result<(), CommitError> {
    let events = entries.iter().map(event).collect::<Result<_, _>>()?;
    let unit = journal::Unit {
        id: None,
        writes: Vec::new(),
        events,
        settles: Vec::new(),
    };
    match journal::commit(vec![unit]).await.pop() {
        Some(committed) => committed.map(drop),
        None => Err(CommitError::Other("a unit was not answered".into())),
    }
}

fn event(entry: &Entry) -> Result<journal::Event, CommitError> {
    let envelope = Envelope {
        specversion: "1.0".into(),
        id: entry.id.clone(),
        source: format!("/{SERVICE}"),
        kind: "ENTERED".into(),
        dataversion: "1.0.0".into(),
        time: now(),
        subject: entry.subject.clone(),
        traceparent: None,
        data: entry,
    };
    let bytes = rmp_serde::to_vec_named(&envelope)
        .map_err(|error| CommitError::InvalidUnit(error.to_string()))?;
    Ok(journal::Event {
        id: envelope.id,
        topic: TOPIC.into(),
        kind: envelope.kind,
        subject: envelope.subject,
        not_before_ms: None,
        traceparent: None,
        envelope: bytes,
    })
}
