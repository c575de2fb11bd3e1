//! The leases that a drain holds, and when they are renewed.

use std::{collections::HashMap, time::Duration};

use crate::deliveries::Lease;

/// Where a delivery is on its way through a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waits for quarantine, or for a series.
    Waiting,
    /// Handled by the run of that number.
    Running(u64),
    /// Handled, and waiting to be committed.
    Ready,
    /// Committed or handed back just now.
    Finishing,
}

/// Everything that was claimed and is not finished.
///
/// Of a delivery, one attempt is held. What comes late of an earlier one, whose
/// lease ran out, must not concern the one that is held.
#[derive(Debug)]
pub(super) struct Leases {
    held: HashMap<u64, (Lease, Stage)>,
    period: Duration,
    renews_at: Duration,
    is_renewing: bool,
}

impl Leases {
    /// Leases of a duration. They are renewed at a third of it: one renewal may
    /// fail.
    pub(super) fn new(duration: Duration) -> Self {
        Self {
            held: HashMap::new(),
            period: duration / 3,
            renews_at: Duration::MAX,
            is_renewing: false,
        }
    }

    /// Hold a lease that was claimed at `claimed_at`, or a little later.
    pub(super) fn hold(&mut self, lease: Lease, claimed_at: Duration) {
        self.held.insert(lease.delivery, (lease, Stage::Waiting));
        self.renews_at = self.renews_at.min(claimed_at + self.period);
    }

    /// The lease that is held of a delivery.
    pub(super) fn held(&self, delivery: u64) -> Option<Lease> {
        self.held.get(&delivery).map(|(lease, _)| *lease)
    }

    pub(super) fn enter(&mut self, lease: Lease, stage: Stage) {
        if let Some((held, at)) = self.held.get_mut(&lease.delivery)
            && held.attempt == lease.attempt
        {
            *at = stage;
        }
    }

    pub(super) fn stage(&self, lease: Lease) -> Option<Stage> {
        let (held, stage) = self.held.get(&lease.delivery)?;
        (held.attempt == lease.attempt).then_some(*stage)
    }

    /// Hold it no longer.
    pub(super) fn drop(&mut self, lease: Lease) {
        if self.stage(lease).is_some() {
            self.held.remove(&lease.delivery);
        }
        if self.held.is_empty() {
            self.renews_at = Duration::MAX;
        }
    }

    /// How many are in stages before the last two, and in these.
    pub(super) fn count(&self) -> (usize, usize) {
        let finishing = self
            .held
            .values()
            .filter(|(_, stage)| matches!(stage, Stage::Ready | Stage::Finishing));
        let finishing = finishing.count();
        (self.held.len() - finishing, finishing)
    }

    /// When to renew, if anything is held.
    pub(super) fn renews_at(&self) -> Option<Duration> {
        let is_due = !self.held.is_empty() && !self.is_renewing;
        is_due.then_some(self.renews_at)
    }

    /// Begin a renewal of everything that is held, if it is time.
    pub(super) fn begin_renewal(&mut self, now: Duration) -> Option<Vec<Lease>> {
        if self.renews_at()? > now {
            return None;
        }
        self.is_renewing = true;
        self.renews_at = now + self.period;
        Some(self.held.values().map(|(lease, _)| *lease).collect())
    }

    /// Renew everything at the next opportunity: one of them was lost.
    pub(super) fn renew_soon(&mut self, now: Duration) {
        self.renews_at = self.renews_at.min(now);
    }

    /// The renewal ended. One that failed is soon repeated.
    pub(super) fn renewed(&mut self, has_failed: bool, now: Duration) {
        self.is_renewing = false;
        if has_failed {
            self.renews_at = self.renews_at.min(now + self.period / 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn attempt(attempt: u32) -> Lease {
        Lease {
            delivery: 1,
            attempt,
        }
    }

    #[test]
    fn an_earlier_attempt_of_a_delivery_is_not_the_one_that_is_held() {
        let mut leases = Leases::new(Duration::from_secs(3));
        leases.hold(attempt(1), NOW);
        leases.enter(attempt(1), Stage::Running(1));
        leases.hold(attempt(2), NOW + Duration::from_secs(4));
        leases.enter(attempt(1), Stage::Ready);
        assert_eq!(leases.stage(attempt(1)), None);
        assert_eq!(leases.stage(attempt(2)), Some(Stage::Waiting));
        leases.drop(attempt(1));
        assert_eq!(leases.stage(attempt(2)), Some(Stage::Waiting));
        leases.drop(attempt(2));
        assert_eq!(leases.count(), (0, 0));
    }
}
