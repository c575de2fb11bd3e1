//! One topic with one subscription, and what publishers, consumers and
//! housekeeping do to it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use tokio_postgres::{Client, NoTls, Statement};

use crate::{
    report::{Row, Tables, Times},
    schema,
};

/// As the adapter calls it.
const CLAIM: &str = "SELECT delivery, attempt, event_id FROM emporium_2.claim('service', 'topic',
    8, 80, 300000, 1, 0, 20, 60000, NULL, $1, 30000, $2, 0)";

/// A commit of one unit for each delivery, with nothing but its settlement.
const SETTLE: &str = "SELECT refused FROM emporium_2.commit('{}', $1, $2, $3, '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '')";

/// A commit of one unit with nothing but events.
const PUBLISH: &str = "SELECT refused FROM emporium_2.commit('{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{topic}', $1, $1, $2, $3, $4, $5, $4,
    $6, $7, $8)";

/// A sweep that finds nothing old enough, as most do.
const SWEEP: &str = "SELECT events FROM emporium_2.sweep(86400000, 86400000, 86400000, 86400000)";

const FORGET: &str = "DELETE FROM emporium.events WHERE id = ANY ($1)";

const TABLES: &str = "SELECT (SELECT count(*) FROM emporium.events),
    (SELECT count(*) FROM emporium.deliveries),
    pg_table_size('emporium.deliveries'), pg_indexes_size('emporium.deliveries'),
    n_dead_tup, autovacuum_count
    FROM pg_stat_user_tables WHERE schemaname = 'emporium' AND relname = 'deliveries'";

/// What a measurement claims at once, and how often in all.
const BATCH: i32 = 100;
const ROUNDS: u64 = 1_600;

/// What goes through at once where nothing is measured.
const LARGE_BATCH: i32 = 1_000;

/// The bytes of an envelope.
const ENVELOPE: usize = 250;

/// A database of its own.
pub(crate) struct Queue {
    url: String,
    workers: Vec<Worker>,
    published: AtomicU64,
}

struct Worker {
    client: Client,
    claim: Statement,
    settle: Statement,
    publish: Statement,
    forget: Statement,
}

/// What was claimed.
struct Claimed {
    delivery: Vec<i64>,
    attempt: Vec<i32>,
    event: Vec<String>,
}

impl Queue {
    pub(crate) async fn make(url: &str, in_flight: usize) -> Result<Self> {
        connect(url).await?.batch_execute(schema::SQL).await?;
        let workers = (0..in_flight).map(|_| Worker::connect(url));
        let queue = Self {
            url: url.to_owned(),
            workers: try_join_all(workers).await?,
            published: AtomicU64::new(0),
        };
        // The first claim makes the subscription.
        if let Some(worker) = queue.workers.first() {
            worker.claim(1, 0).await?;
        }
        Ok(queue)
    }

    /// Publish so many.
    pub(crate) async fn fill(&self, events: u64) -> Result<()> {
        let left = AtomicU64::new(events);
        try_join_all(self.workers.iter().map(async |worker| {
            while let Some(count) = take(&left, LARGE_BATCH as u64) {
                worker.publish(&self.ids(count)).await?;
            }
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    }

    /// Settle what waits, down to so many. Its events stay.
    pub(crate) async fn pass(&self, rest: u64) -> Result<()> {
        let left = AtomicU64::new(self.tables().await?.backlog as u64 - rest);
        try_join_all(self.workers.iter().map(async |worker| {
            let mut after = 0;
            while let Some(count) = take(&left, LARGE_BATCH as u64) {
                let claimed = worker.claim(count as i32, after).await?;
                after = claimed.delivery.last().copied().unwrap_or(0);
                worker.settle(&claimed).await?;
            }
            anyhow::Ok(())
        }))
        .await?;
        Ok(())
    }

    /// Let so many go through.
    pub(crate) async fn churn(&self, deliveries: u64) -> Result<()> {
        self.go_through(LARGE_BATCH, deliveries / LARGE_BATCH as u64)
            .await
            .map(drop)
    }

    /// What calls take now.
    pub(crate) async fn measure(&self, note: &str, through: u64) -> Result<String> {
        let mut row = self.go_through(BATCH, ROUNDS).await?;
        let client = connect(&self.url).await?;
        for _ in 0..5 {
            let begun = Instant::now();
            client.query(SWEEP, &[]).await?;
            row.sweep.add(begun.elapsed());
        }
        row.note = note.to_owned();
        row.through = through;
        Ok(row.show())
    }

    /// Publish, claim, settle and forget a batch so many times.
    async fn go_through(&self, batch: i32, rounds: u64) -> Result<Row> {
        let left = AtomicU64::new(rounds);
        let times = try_join_all(self.workers.iter().map(async |worker| {
            let (mut publish, mut claim, mut settle) =
                (Times::default(), Times::default(), Times::default());
            let mut after = 0;
            while take(&left, 1).is_some() {
                let ids = self.ids(batch as u64);
                let begun = Instant::now();
                worker.publish(&ids).await?;
                publish.add(begun.elapsed());

                let begun = Instant::now();
                let claimed = worker.claim(batch, after).await?;
                claim.add(begun.elapsed());
                after = claimed.delivery.last().copied().unwrap_or(0);

                let begun = Instant::now();
                worker.settle(&claimed).await?;
                settle.add(begun.elapsed());
                worker.forget(&claimed).await?;
            }
            anyhow::Ok((publish, claim, settle))
        }))
        .await?;
        let mut row = Row {
            note: String::new(),
            through: 0,
            tables: self.tables().await?,
            publish: Times::default(),
            claim: Times::default(),
            settle: Times::default(),
            sweep: Times::default(),
        };
        for (publish, claim, settle) in times {
            row.publish.append(publish);
            row.claim.append(claim);
            row.settle.append(settle);
        }
        Ok(row)
    }

    /// Keep vacuum from removing what is deleted from now on, as a backup does,
    /// until the connection is dropped.
    pub(crate) async fn hold_a_snapshot(&self) -> Result<Client> {
        let client = connect(&self.url).await?;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM emporium.topics")
            .await?;
        Ok(client)
    }

    async fn tables(&self) -> Result<Tables> {
        let row = connect(&self.url).await?.query_one(TABLES, &[]).await?;
        Ok(Tables {
            events: row.get(0),
            backlog: row.get(1),
            deliveries_bytes: row.get(2),
            index_bytes: row.get(3),
            dead_rows: row.get(4),
            vacuums: row.get(5),
        })
    }

    /// Ids as long as a UUID, and as ordered as its seventh version.
    fn ids(&self, count: u64) -> Vec<String> {
        let first = self.published.fetch_add(count, Relaxed);
        (first..first + count)
            .map(|number| format!("019ab000-0000-7000-8000-{number:012x}"))
            .collect()
    }
}

impl Worker {
    async fn connect(url: &str) -> Result<Self> {
        let client = connect(url).await?;
        Ok(Self {
            claim: client.prepare(CLAIM).await?,
            settle: client.prepare(SETTLE).await?,
            publish: client.prepare(PUBLISH).await?,
            forget: client.prepare(FORGET).await?,
            client,
        })
    }

    async fn publish(&self, ids: &[String]) -> Result<()> {
        let ones = vec![1_i32; ids.len()];
        let kinds = vec!["PLACED"; ids.len()];
        let (nothing, never) = (vec![None::<&str>; ids.len()], vec![None::<i64>; ids.len()]);
        let at: Vec<i32> = (0..ids.len())
            .map(|place| (place * ENVELOPE) as i32 + 1)
            .collect();
        let bytes = vec![ENVELOPE as i32; ids.len()];
        let heap = vec![b'x'; ids.len() * ENVELOPE];
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&ones, &ids, &kinds, &nothing, &never, &at, &bytes, &heap];
        self.client.query_one(&self.publish, &parameters).await?;
        Ok(())
    }

    async fn claim(&self, limit: i32, after: i64) -> Result<Claimed> {
        let row = self
            .client
            .query_one(&self.claim, &[&limit, &after])
            .await?;
        Ok(Claimed {
            delivery: row.get::<_, Option<_>>(0).unwrap_or_default(),
            attempt: row.get::<_, Option<_>>(1).unwrap_or_default(),
            event: row.get::<_, Option<_>>(2).unwrap_or_default(),
        })
    }

    async fn settle(&self, claimed: &Claimed) -> Result<()> {
        if claimed.delivery.is_empty() {
            return Ok(());
        }
        let units: Vec<i32> = (1..).take(claimed.delivery.len()).collect();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&units, &claimed.delivery, &claimed.attempt];
        let row = self.client.query_one(&self.settle, &parameters).await?;
        let refused: Vec<i32> = row.get(0);
        anyhow::ensure!(refused.is_empty(), "{} leases were lost", refused.len());
        Ok(())
    }

    async fn forget(&self, claimed: &Claimed) -> Result<()> {
        let forget = &self.forget;
        self.client.execute(forget, &[&claimed.event]).await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .context("connecting")?;
    tokio::spawn(connection);
    Ok(client)
}

/// Up to `most` of what is left.
fn take(left: &AtomicU64, most: u64) -> Option<u64> {
    let before = left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(most)));
    let before = before.unwrap_or(0);
    (before > 0).then(|| before.min(most))
}
