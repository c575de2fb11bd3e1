//! Dead letters, shown, replayed and discarded.

use emporium_adapter::{
    Failure,
    bindings::dead_letters::{DeadLetter, Error, Filter, Guest, Page},
    dead_letters::{self, check_replay},
    wakes,
};
use spin_sdk::pg::wit::postgres::ParameterValue;

use crate::{
    Component, connection,
    row::{Row, integer, integers, optional_text, small},
};

/// The columns are those that `dead_letter` takes.
macro_rules! letters {
    ($condition:literal) => {
        concat!(
            "SELECT d.id, s.service, t.name, e.id, e.kind, d.subject, e.envelope,
                d.attempt - d.forgiven, d.reason, e.published_ms, d.died_ms
            FROM emporium_2.dead AS d
            JOIN emporium_2.subscriptions AS s ON s.id = (d.id >> 44)::int
            JOIN emporium_2.topics AS t ON t.id = s.topic
            JOIN emporium_2.events AS e ON e.sequence = d.id & 17592186044415
            WHERE ",
            $condition
        )
    };
}

const LIST: &str = letters!(
    "(d.died_ms, d.id) < ($1, $2)
        AND ($3::text IS NULL OR s.service = $3)
        AND ($4::text IS NULL OR t.name = $4)
        AND ($5::text IS NULL OR e.kind = $5)
    ORDER BY d.died_ms DESC, d.id DESC LIMIT $6::int"
);
const GET: &str = letters!("d.id = $1");
const REPLAY: &str = "SELECT * FROM emporium_2.replay($1, $2)";
const DISCARD: &str = "SELECT * FROM emporium_2.discard($1)";

impl Guest for Component {
    async fn list(filter: Filter, limit: u32, cursor: Option<String>) -> Result<Page, Error> {
        let read = async |[died_before, delivery_before]: [u64; 2], limit: usize| {
            let parameters = vec![
                integer(died_before),
                integer(delivery_before),
                optional_text(filter.service.clone()),
                optional_text(filter.topic.clone()),
                optional_text(filter.kind.clone()),
                small(limit),
            ];
            let rows = connection::rows(LIST, parameters).await?;
            rows.map(dead_letter).collect()
        };
        dead_letters::list(limit, cursor.as_deref(), read).await
    }

    async fn get(delivery: u64) -> Result<Option<DeadLetter>, Error> {
        let row = connection::row(GET, vec![integer(delivery)]).await?;
        Ok(row.map(dead_letter).transpose()?)
    }

    async fn replay(deliveries: Vec<u64>, per_second: Option<u32>) -> Result<u32, Error> {
        check_replay(per_second)?;
        let per_second = per_second.map_or(ParameterValue::DbNull, small);
        Ok(treat(REPLAY, vec![integers(deliveries), per_second]).await?)
    }

    async fn discard(deliveries: Vec<u64>) -> Result<u32, Error> {
        Ok(treat(DISCARD, vec![integers(deliveries)]).await?)
    }
}

/// Returns how many there were.
async fn treat(statement: &'static str, parameters: Vec<ParameterValue>) -> Result<u32, Failure> {
    let mut row = connection::only_row(statement, parameters).await?;
    let count = row.optional_unsigned()?.unwrap_or(0);
    let topics = row.texts()?.into_iter().map(|topic| (topic, None));
    wakes::send(&topics.collect()).await;
    Ok(count)
}

fn dead_letter(mut row: Row) -> Result<DeadLetter, Failure> {
    Ok(DeadLetter {
        delivery: row.unsigned()?,
        service: row.text()?,
        topic: row.text()?,
        event_id: row.text()?,
        kind: row.text()?,
        subject: row.optional_text()?,
        envelope: row.bytes()?,
        attempts: row.unsigned()?,
        reason: row.text()?,
        published_at_ms: row.unsigned()?,
        died_at_ms: row.unsigned()?,
    })
}
