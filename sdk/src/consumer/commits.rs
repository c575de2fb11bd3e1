//! The commits of a drain: what becomes ready while one is under way is committed
//! together in the next.

use std::time::Duration;

use super::{
    Verdict,
    contention::{Response, respond},
    drain::{Drain, Event},
    leases::Stage,
    merge::unit_bytes,
    series::{Handled, Part},
};
use crate::{
    journal::{CommitError, Conflict, Receipt},
    platform,
};

/// What one call commits at most. The bytes are read into memory at once.
const MOST_UNITS: usize = 250;
const MOST_BYTES: usize = 8 << 20;

/// What became of something that was handled.
pub(super) type Outcome = (Handled, Result<Receipt, CommitError>);

impl Drain<'_> {
    /// Commit what is ready, unless it may wait for more.
    pub(super) fn begin_commits(&mut self) {
        // A second commit under way must be worth it.
        let half = usize::try_from(self.subscription.batch / 2).unwrap_or(1);
        while self.commits == 0 || (self.commits == 1 && self.ready.len() >= half) {
            let mut handled = Vec::new();
            let mut units = Vec::new();
            let mut bytes = 0;
            while units.len() < MOST_UNITS
                && bytes < MOST_BYTES
                && let Some(mut next) = self.ready.pop_front()
            {
                let Some(unit) = next.unit.take() else {
                    continue;
                };
                for part in &next.parts {
                    self.leases.enter(part.chain.lease, Stage::Finishing);
                }
                bytes += unit_bytes(&unit);
                units.push(unit);
                handled.push(next);
            }
            if units.is_empty() {
                return;
            }
            self.commits += 1;
            self.tasks.push(Box::pin(async move {
                let mut results = platform::commit(units).await.into_iter();
                let outcomes = handled.into_iter().map(|handled| {
                    let unanswered = || Err(CommitError::Other("a unit was not answered".into()));
                    (handled, results.next().unwrap_or_else(unanswered))
                });
                Event::Committed(outcomes.collect())
            }));
        }
    }

    pub(super) fn committed(&mut self, (handled, result): Outcome) {
        match result {
            Ok(_) => self.settled(handled),
            Err(CommitError::LeaseLost) => self.lost_at_commit(handled),
            Err(CommitError::Conflict(conflict)) => self.conflicted(handled, conflict),
            Err(error) => {
                // A unit of several events may fail because of one of them.
                let is_away = matches!(error, CommitError::Unavailable(_));
                if handled.settled() > 1 && !is_away {
                    return self.split(handled);
                }
                self.series_ended(&handled);
                self.not_committed(handled, &Verdict::from(error));
            }
        }
    }

    /// The verdict on a unit is one on what it settles. What was refused beside it
    /// saw writes that were never committed: it is tried again.
    fn not_committed(&mut self, handled: Handled, verdict: &Verdict) {
        let (settled, refused): (Vec<Part>, Vec<Part>) =
            handled.parts.into_iter().partition(|part| part.settled > 0);
        for part in settled {
            self.refuse(part.chain.lease, verdict.clone());
        }
        self.try_again(refused.into_iter().map(|part| part.chain).collect());
    }

    fn settled(&mut self, handled: Handled) {
        self.series_ended(&handled);
        for part in handled.parts {
            match part.refused {
                Some(verdict) => self.refuse(part.chain.lease, verdict),
                None => self.leases.drop(part.chain.lease),
            }
        }
        self.pace.changed(platform::now());
    }

    /// A lost lease means that the work is done, or being done, elsewhere. Of
    /// several, the next renewal tells which.
    fn lost_at_commit(&mut self, handled: Handled) {
        if handled.is_series {
            self.contention.aborted();
        }
        match &handled.parts[..] {
            [part] => self.leases.drop(part.chain.lease),
            _ => {
                self.leases.renew_soon(platform::now());
                self.try_again(handled.into_chains());
            }
        }
    }

    fn conflicted(&mut self, mut handled: Handled, conflict: Conflict) {
        let now = platform::now();
        self.contention.remember(&conflict);
        if handled.is_series {
            let events = handled.settled();
            self.contention.lost(events, now, platform::random());
        }
        let author = handled.authors.iter().find(|((collection, key), _)| {
            (collection, key) == (&conflict.collection, &conflict.key)
        });
        let author = author.map_or(0, |(_, author)| *author);
        let Some(part) = handled.parts.get(author) else {
            return self.try_again(handled.into_chains());
        };
        let verdict = match respond(&part.chain, &conflict, now) {
            Response::Again => return self.try_again(handled.into_chains()),
            Response::Refuse if handled.settled() > 1 => return self.split(handled),
            Response::Refuse => Verdict::from(CommitError::Conflict(conflict)),
            Response::GiveBack => Verdict::Retry {
                reason: CommitError::Conflict(conflict).to_string(),
                after: Some(Duration::from_millis(100 + platform::random() % 100)),
            },
        };
        let part = handled.parts.remove(author);
        self.refuse(part.chain.lease, verdict);
        self.try_again(handled.into_chains());
    }

    /// Try fewer events at a time.
    fn split(&mut self, handled: Handled) {
        self.contention.split(handled.settled());
        if handled.is_series {
            self.contention.aborted();
        }
        self.try_again(handled.into_chains());
    }

    fn series_ended(&mut self, handled: &Handled) {
        if handled.is_series {
            self.contention.ended();
        }
    }
}
