//! Workers: who shares the work.

use emporium_adapter::{
    Failure,
    bindings::workers::{Counter, Error, Guest, Sighting, Worker},
    workers::{check_announce, check_leave},
};

use crate::{
    Component, connection,
    row::{Row, integer, integers, optional_text, text, texts},
};

const ANNOUNCE: &str = "SELECT 1 FROM emporium_2.announce($1, $2, $3, $4, $5, $6, $7)";
const LEAVE: &str = "SELECT 1 FROM emporium_2.forget_workers(
        ARRAY(SELECT number FROM emporium_2.workers WHERE id = $1), NULL, emporium.now_ms())";

/// The columns are those that `sighting` takes.
const LIST: &str = "SELECT id, address, since_ms, in_flight, counter_names, counter_values, seen_ms
    FROM emporium_2.workers WHERE until_ms > emporium.now_ms() ORDER BY since_ms, id";

impl Guest for Component {
    async fn announce(worker: Worker, for_ms: u32) -> Result<(), Error> {
        check_announce(&worker, for_ms)?;
        let (names, values): (Vec<_>, Vec<_>) = worker
            .counters
            .into_iter()
            .map(|counter| (counter.name, counter.value))
            .unzip();
        let parameters = vec![
            text(worker.id),
            optional_text(worker.address),
            integer(worker.since_ms),
            integer(worker.in_flight),
            texts(names),
            integers(values),
            integer(for_ms),
        ];
        Ok(connection::execute(ANNOUNCE, parameters).await?)
    }

    async fn leave(id: String) -> Result<(), Error> {
        check_leave(&id)?;
        Ok(connection::execute(LEAVE, vec![text(id)]).await?)
    }

    async fn list() -> Result<Vec<Sighting>, Error> {
        let rows = connection::rows(LIST, Vec::new()).await?;
        Ok(rows.map(sighting).collect::<Result<_, Failure>>()?)
    }
}

fn sighting(mut row: Row) -> Result<Sighting, Failure> {
    let worker = Worker {
        id: row.text()?,
        address: row.optional_text()?,
        since_ms: row.unsigned()?,
        in_flight: row.unsigned()?,
        counters: row
            .texts()?
            .into_iter()
            .zip(row.unsigneds()?)
            .map(|(name, value)| Counter { name, value })
            .collect(),
    };
    Ok(Sighting {
        worker,
        seen_at_ms: row.unsigned()?,
    })
}
