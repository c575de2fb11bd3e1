//! Measures what a claim, a settlement and a sweep take while the tables of
//! `platform-postgres` fill, and after millions of deliveries have gone through
//! them.
//!
//! ```console
//! $ target/host/bench-claims
//! ```
//!
//! The stored functions are called as the adapter calls them, with several
//! batches in flight, on a Postgres of the benchmark's own with its default
//! durability. A measurement publishes as much as it settles, and removes what
//! it settled, so that neither the backlog nor the history changes meanwhile.

use std::time::Instant;

use anyhow::Result;
use clap::Parser;

mod queue;
mod report;
mod schema;

use emporium_tests::servers::Postgres;
use queue::Queue;
use report::Row;

/// Measures claims, settlements and sweeps over full and over much used tables.
#[derive(Parser)]
#[command(name = "bench-claims")]
struct Arguments {
    /// How many events there are in the largest of the full tables.
    #[arg(long, default_value_t = 1_000_000)]
    stored: u64,
    /// How many deliveries go through the tables after that.
    #[arg(long, default_value_t = 10_000_000)]
    deliveries: u64,
    /// How many deliveries go through while another transaction stays open.
    #[arg(long, default_value_t = 1_000_000)]
    behind_a_snapshot: u64,
    /// How many batches are in flight.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
}

/// The backlog while deliveries go through.
const BACKLOG: u64 = 10_000;

/// After how many of them to measure.
const STEP: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let server = Postgres::durable();
    println!("{}", Row::HEAD);
    for waits in [true, false] {
        let mut stored = 1_000;
        while stored <= arguments.stored {
            let queue = Queue::make(&server.database(), arguments.in_flight).await?;
            queue.fill(stored).await?;
            if !waits {
                queue.pass(0).await?;
                queue.fill(BACKLOG.min(stored)).await?;
            }
            println!("{}", queue.measure("", 0).await?);
            stored *= 10;
        }
    }

    let queue = Queue::make(&server.database(), arguments.in_flight).await?;
    queue.fill(arguments.stored).await?;
    queue.pass(0).await?;
    queue.fill(BACKLOG).await?;
    let mut through = 0;
    while through < arguments.deliveries {
        let begun = Instant::now();
        queue.churn(STEP).await?;
        through += STEP;
        let rate = STEP as f64 / begun.elapsed().as_secs_f64();
        let what = format!("{rate:.0}/s");
        println!("{}", queue.measure(&what, through).await?);
    }
    if arguments.behind_a_snapshot > 0 {
        let snapshot = queue.hold_a_snapshot().await?;
        queue.churn(arguments.behind_a_snapshot).await?;
        through += arguments.behind_a_snapshot;
        println!("{}", queue.measure("snapshot held", through).await?);
        drop(snapshot);
        queue.churn(STEP).await?;
        through += STEP;
        println!("{}", queue.measure("snapshot gone", through).await?);
    }
    Ok(())
}
