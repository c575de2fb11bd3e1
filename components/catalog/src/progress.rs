//! How far an ingest has come: counts made of its parts. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ingest::{Part, Piece, State};

/// How many failures are told one by one.
const TOLD: usize = 500;

/// If nothing happens for so long, what is open was lost: longer than all attempts
/// of an event with the pauses between them.
const LOST_AFTER_MS: u64 = 15 * 60_000;

/// How far an ingest has come.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = IngestProgress)]
pub(crate) struct Progress {
    /// `queued`, `running`, `finished` or `finished-with-failures`.
    pub(crate) state: &'static str,
    /// Species or products that upstream has.
    pub(crate) found: u64,
    /// Those that were new or had changed.
    pub(crate) stored: u64,
    /// Those that were there already, the same.
    pub(crate) unchanged: u64,
    /// Species that were given up.
    pub(crate) failed: u64,
    /// Products that came twice.
    pub(crate) duplicates: u64,
    /// Products that were not taken, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Pictures and sounds.
    pub(crate) media: Tally,
    /// Generations or pages that were read.
    pub(crate) lists: Tally,
    /// Pictures that are kept as they came, though they should have been
    /// converted.
    pub(crate) unconverted: u64,
    /// Species, files, lists and products done each second.
    pub(crate) per_second: f64,
    /// When the last thing happened, in milliseconds since the Unix epoch.
    #[serde(skip)]
    pub(crate) last_ms: u64,
    /// What failed and why: the first 500.
    pub(crate) failures: Vec<Failure>,
}

/// What became of things of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = IngestTally)]
pub(crate) struct Tally {
    pub(crate) found: u64,
    pub(crate) stored: u64,
    pub(crate) unchanged: u64,
    pub(crate) failed: u64,
}

/// Something that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = IngestFailure)]
pub(crate) struct Failure {
    /// `generation`, `species`, `page` or `media`.
    kind: &'static str,
    /// The name, number or URL.
    what: String,
    reason: String,
}

/// A part and when it was written, in milliseconds since the Unix epoch.
pub(crate) type Written = (Part, u64);

impl Progress {
    /// What the parts of an ingest that began at `begun_ms` amount to.
    pub(crate) fn of(parts: &[Written], begun_ms: u64, now_ms: u64) -> Self {
        let last_ms = parts.iter().map(|(_, at)| *at).max().unwrap_or(begun_ms);
        let mut count = Count {
            lost: now_ms.saturating_sub(last_ms) > LOST_AFTER_MS,
            ..Count::default()
        };
        for (part, _) in parts {
            count.part(part);
        }
        let records = &count.records;
        let closed = records.closed() + count.media.closed() + count.lists.closed();
        let finished = count.open == 0;
        let until_ms = if finished { last_ms } else { now_ms };
        let seconds = until_ms.saturating_sub(begun_ms).max(1) as f64 / 1_000.0;
        Self {
            state: match (finished, count.failures) {
                (false, _) if closed == 0 => "queued",
                (false, _) => "running",
                (true, 0) => "finished",
                (true, _) => "finished-with-failures",
            },
            found: records.found,
            stored: records.stored,
            unchanged: records.unchanged,
            failed: records.failed,
            duplicates: count.duplicates,
            rejected: count.rejected,
            unconverted: count.unconverted,
            per_second: (closed as f64 / seconds * 10.0).round() / 10.0,
            last_ms,
            media: count.media,
            lists: count.lists,
            failures: count.told,
        }
    }

    /// Whether nothing more will happen by itself.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.starts_with("finished")
    }
}

#[derive(Default)]
struct Count {
    records: Tally,
    media: Tally,
    lists: Tally,
    duplicates: u64,
    rejected: BTreeMap<String, u64>,
    unconverted: u64,
    open: u64,
    failures: u64,
    told: Vec<Failure>,
    lost: bool,
}

impl Count {
    fn part(&mut self, part: &Part) {
        let (kind, what) = match &part.piece {
            Piece::Generation(name) => ("generation", name.clone()),
            Piece::Species(name) => ("species", name.clone()),
            Piece::Page(number) => ("page", number.to_string()),
        };
        let outcome = self.outcome(&part.state, kind, &what);
        match part.piece {
            Piece::Species(_) => self.records.add(outcome),
            Piece::Generation(_) | Piece::Page(_) => self.lists.add(outcome),
        }
        for media in part.media.values() {
            let outcome = self.outcome(&media.state, "media", &media.url);
            self.media.add(outcome);
            self.unconverted += u64::from(media.conversion_error.is_some());
        }
        let products = &part.products;
        self.records.found += products.found;
        self.records.stored += products.stored;
        self.records.unchanged += products.unchanged;
        self.duplicates += products.duplicates;
        for (reason, count) in &products.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
    }

    fn outcome(&mut self, state: &State, kind: &'static str, what: &str) -> Outcome {
        let reason = match state {
            State::Stored => return Outcome::Stored,
            State::Unchanged => return Outcome::Unchanged,
            State::Open if !self.lost => {
                self.open += 1;
                return Outcome::Open;
            }
            State::Open => "it was lost: nothing was heard of it for 15 minutes",
            State::Failed(reason) => reason,
        };
        self.failures += 1;
        if self.told.len() < TOLD {
            self.told.push(Failure {
                kind,
                what: what.to_owned(),
                reason: reason.to_owned(),
            });
        }
        Outcome::Failed
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Open,
    Stored,
    Unchanged,
    Failed,
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        self.found += 1;
        match outcome {
            Outcome::Open => {}
            Outcome::Stored => self.stored += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Failed => self.failed += 1,
        }
    }

    fn closed(&self) -> u64 {
        self.stored + self.unchanged + self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::{MediaPart, ProductCounts};

    fn species(name: &str, state: State, media: &[State]) -> Written {
        let mut part = Part::open("i", Piece::Species(name.into()));
        part.state = state;
        part.media = (0..)
            .zip(media)
            .map(|(number, state): (u32, _)| {
                let media = MediaPart {
                    url: format!("https://m/{number}"),
                    state: state.clone(),
                    conversion_error: None,
                };
                (number.to_string(), media)
            })
            .collect();
        (part, 3_000)
    }

    fn failed(reason: &str) -> State {
        State::Failed(reason.into())
    }

    #[test]
    fn an_ingest_is_finished_when_nothing_is_open() {
        let open = species("a", State::Open, &[]);
        let waiting = species("b", State::Stored, &[State::Stored, State::Open]);
        let done = species("c", State::Unchanged, &[State::Unchanged]);
        let lost = species("d", State::Stored, &[failed("404")]);
        for (parts, state) in [
            (vec![open.clone()], "queued"),
            (vec![open, done.clone()], "running"),
            (vec![waiting], "running"),
            (vec![done.clone()], "finished"),
            (vec![done, lost], "finished-with-failures"),
        ] {
            let progress = Progress::of(&parts, 1_000, 9_000);
            assert_eq!(progress.state, state);
            assert_eq!(progress.is_finished(), state.starts_with("finished"));
        }
    }

    #[test]
    fn every_failure_is_told_with_its_reason() {
        let parts = [
            species("a", failed("no answer"), &[]),
            species("b", State::Stored, &[State::Stored, failed("it is HTML")]),
        ];
        let progress = Progress::of(&parts, 1_000, 9_000);
        assert_eq!(
            (progress.found, progress.stored, progress.failed),
            (2, 1, 1)
        );
        assert_eq!((progress.media.found, progress.media.failed), (2, 1));
        let told: Vec<_> = progress
            .failures
            .iter()
            .map(|failure| (failure.kind, failure.what.as_str(), failure.reason.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("species", "a", "no answer"),
                ("media", "https://m/1", "it is HTML")
            ]
        );
        // Four things in two seconds.
        assert!((progress.per_second - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_was_lost_does_not_keep_an_ingest_open() {
        let parts = [species("a", State::Open, &[])];
        assert_eq!(Progress::of(&parts, 0, 60_000).state, "queued");
        let later = Progress::of(&parts, 0, 3_000 + LOST_AFTER_MS + 1);
        assert_eq!((later.state, later.failed), ("finished-with-failures", 1));
    }

    #[test]
    fn rejected_products_are_counted_by_reason() {
        let page = |number, reasons: &[(&str, u64)]| {
            let mut part = Part::open("i", Piece::Page(number));
            part.state = State::Stored;
            part.products = ProductCounts {
                found: 10,
                stored: 6,
                unchanged: 1,
                duplicates: 1,
                rejected: reasons.iter().map(|(r, n)| ((*r).into(), *n)).collect(),
            };
            (part, 1)
        };
        let progress = Progress::of(
            &[page(1, &[("a", 2)]), page(2, &[("a", 1), ("b", 1)])],
            0,
            1,
        );
        assert_eq!(
            (progress.found, progress.stored, progress.duplicates),
            (20, 12, 2)
        );
        let rejected: Vec<_> = progress.rejected.into_iter().collect();
        assert_eq!(rejected, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
        assert_eq!((progress.lists.found, progress.lists.stored), (2, 2));
    }
}
