//! What was measured, as a row of a table in Markdown.

use std::time::Duration;

/// How long the calls of one function took.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// In milliseconds.
    fn quantile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let at = (self.0.len() as f64 * share) as usize;
        let time = self.0.get(at).or(self.0.last());
        time.map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }
}

/// The state of the tables.
pub(crate) struct Tables {
    pub(crate) events: i64,
    pub(crate) backlog: i64,
    pub(crate) deliveries_bytes: i64,
    pub(crate) index_bytes: i64,
    pub(crate) dead_rows: i64,
    pub(crate) vacuums: i64,
}

/// One measurement.
pub(crate) struct Row {
    pub(crate) note: String,
    pub(crate) through: u64,
    pub(crate) tables: Tables,
    pub(crate) publish: Times,
    pub(crate) claim: Times,
    pub(crate) settle: Times,
    pub(crate) sweep: Times,
}

impl Row {
    pub(crate) const HEAD: &str = "\
| events stored | gone through | backlog | publish p50/p99 ms | claim p50/p99 ms | settle p50/p99 ms | sweep p50 ms | deliveries MB | index MB | dead rows | vacuums | |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |";

    /// The row in Markdown.
    pub(crate) fn show(&mut self) -> String {
        let both = |times: &mut Times| {
            let (half, most) = (times.quantile(0.5), times.quantile(0.99));
            format!("{half:.2} / {most:.2}")
        };
        let (publish, claim) = (both(&mut self.publish), both(&mut self.claim));
        let (settle, sweep) = (both(&mut self.settle), self.sweep.quantile(0.5));
        let mb = |bytes: i64| bytes as f64 / 1e6;
        let Self {
            note,
            through,
            tables,
            ..
        } = self;
        format!(
            "| {} | {through} | {} | {publish} | {claim} | {settle} | {sweep:.2} | {:.1} | {:.1} | {} | {} | {note} |",
            tables.events,
            tables.backlog,
            mb(tables.deliveries_bytes),
            mb(tables.index_bytes),
            tables.dead_rows,
            tables.vacuums,
        )
    }
}
