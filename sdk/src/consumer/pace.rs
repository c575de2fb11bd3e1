//! The pace of a drain: when it claims, waits and ends.

use std::time::Duration;

/// How long one wake may keep its handler busy. What is left then gets a wake of
/// its own, so that a long backlog does not outlive the deadline of the host.
pub(super) const TIME_BUDGET: Duration = Duration::from_secs(10);

/// How soon something must fall due for a drain to wait for it: a first retry, or
/// what publishers are about to commit.
const LAST_LOOK: Duration = Duration::from_millis(300);

/// The shortest pause after claims that found nothing.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);

/// When a drain claims.
#[derive(Debug)]
pub(super) struct Pace {
    batch: usize,
    ends_at: Duration,
    /// When something may be due; `None` if nothing is known to wait.
    due_at: Option<Duration>,
    is_claiming: bool,
    /// Something was settled or handed back while a claim was under way.
    is_outdated: bool,
    /// The latest claim left something that could have been claimed.
    has_more: bool,
    /// Claims that found nothing since one found something.
    empty_claims: u32,
    is_stopped: bool,
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// Chains that wait for their handlers, or are handled.
    pub(super) handling: usize,
    /// Chains that are committed or handed back.
    pub(super) finishing: usize,
    /// A commit is under way.
    pub(super) is_committing: bool,
    /// Nothing may be claimed meanwhile: something is in quarantine.
    pub(super) is_quarantined: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Claim so many.
    Claim(usize),
    /// Wait until something ends, but no longer than that.
    WaitUntil(Duration),
    /// Wait until something ends.
    Wait,
    End,
}

impl Pace {
    pub(super) fn new(batch: usize, now: Duration) -> Self {
        Self {
            batch: batch.max(1),
            ends_at: now + TIME_BUDGET,
            due_at: Some(now),
            is_claiming: false,
            is_outdated: false,
            has_more: false,
            empty_claims: 0,
            is_stopped: false,
        }
    }

    /// Decide what to do next.
    pub(super) fn next(&self, load: Load, now: Duration) -> Next {
        let is_idle = load.handling + load.finishing == 0 && !load.is_quarantined;
        // While a commit is under way more may come: one claim finds it all.
        let may_find_more = load.is_committing && !self.has_more;
        if self.is_claiming || load.is_quarantined || may_find_more {
            return Next::Wait;
        }
        let due_at = self.due_at.filter(|_| !self.is_over(now));
        let room = self.batch.saturating_sub(load.handling);
        let has_room = (load.handling == 0 || room * 2 >= self.batch.max(2))
            && load.finishing < 2 * self.batch;
        match due_at {
            Some(due_at) if due_at <= now && has_room => Next::Claim(room),
            Some(due_at) if due_at > now && has_room && !is_idle => Next::WaitUntil(due_at),
            Some(due_at) if is_idle && due_at - now <= LAST_LOOK => Next::WaitUntil(due_at),
            _ if is_idle => Next::End,
            _ => Next::Wait,
        }
    }

    /// Whether the time is used up while there may be more to claim: somebody else
    /// must go on.
    pub(super) fn is_cut_short(&self, now: Duration) -> bool {
        !self.is_stopped && self.is_over(now) && self.due_at.is_some()
    }

    /// When the time is used up.
    pub(super) fn ends_at(&self) -> Duration {
        self.ends_at
    }

    /// Whether nothing more is claimed.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.is_stopped || now >= self.ends_at
    }

    /// Whether the time was used up so long ago.
    pub(super) fn is_overdue(&self, now: Duration, by: Duration) -> bool {
        now >= self.ends_at + by
    }

    pub(super) fn claim_began(&mut self) {
        self.is_claiming = true;
        self.is_outdated = false;
    }

    /// A claim found so much, and something else falls due then.
    pub(super) fn claim_ended(&mut self, found: usize, next: Option<Duration>, now: Duration) {
        self.is_claiming = false;
        self.has_more = found > 0 && next == Some(Duration::ZERO);
        self.empty_claims = match found {
            0 => self.empty_claims.saturating_add(1),
            _ => 0,
        };
        let pause = match self.empty_claims {
            0 => Duration::ZERO,
            empty => (SHORTEST_PAUSE * 2_u32.pow(empty.min(8) - 1)).min(LAST_LOOK),
        };
        self.due_at = match next {
            _ if self.is_outdated => Some(now),
            Some(next) => Some(now + next.max(pause)),
            None => None,
        };
    }

    /// Something was settled or handed back: others of its key may be due now.
    pub(super) fn changed(&mut self, now: Duration) {
        self.is_outdated = true;
        self.due_at = Some(self.due_at.map_or(now, |due_at| due_at.min(now)));
    }

    /// Claim nothing more.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const MS: Duration = Duration::from_millis(1);

    fn load(handling: usize, finishing: usize) -> Load {
        Load {
            handling,
            finishing,
            is_committing: false,
            is_quarantined: false,
        }
    }

    #[test]
    fn it_claims_again_when_half_of_the_batch_is_free() {
        let pace = Pace::new(10, NOW);
        assert_eq!(pace.next(load(0, 0), NOW), Next::Claim(10));
        assert_eq!(pace.next(load(5, 3), NOW), Next::Claim(5));
        assert_eq!(pace.next(load(6, 3), NOW), Next::Wait);
        assert_eq!(
            pace.next(load(0, 20), NOW),
            Next::Wait,
            "too many to commit"
        );
        let one = Pace::new(1, NOW);
        assert_eq!(one.next(load(1, 0), NOW), Next::Wait);
        assert_eq!(one.next(load(0, 1), NOW), Next::Claim(1));
    }

    #[test]
    fn it_lets_more_come_while_a_commit_is_under_way() {
        let committing = Load {
            is_committing: true,
            ..load(0, 3)
        };
        let mut pace = Pace::new(10, NOW);
        for (next, expected) in [
            (Some(Duration::ZERO), Next::Claim(10)),
            (Some(MS), Next::Wait),
            (None, Next::Wait),
        ] {
            pace.claim_began();
            pace.claim_ended(3, next, NOW);
            assert_eq!(pace.next(committing, NOW + MS), expected, "{next:?}");
        }
        pace.changed(NOW);
        assert_eq!(pace.next(load(0, 0), NOW), Next::Claim(10));
    }

    #[test]
    fn it_waits_for_what_falls_due_soon_and_leaves_the_rest_to_the_next_tick() {
        let mut pace = Pace::new(10, NOW);
        for (next, expected) in [
            (Some(80 * MS), Next::WaitUntil(NOW + 80 * MS)),
            (Some(301 * MS), Next::End),
            (None, Next::End),
        ] {
            pace.claim_began();
            pace.claim_ended(0, next, NOW);
            assert_eq!(pace.next(load(0, 0), NOW), expected, "{next:?}");
        }
    }

    #[test]
    fn what_is_settled_while_it_claims_makes_it_claim_again() {
        let mut pace = Pace::new(10, NOW);
        pace.claim_began();
        pace.changed(NOW);
        pace.claim_ended(0, None, NOW);
        assert_eq!(pace.next(load(0, 0), NOW), Next::Claim(10));
        pace.claim_began();
        pace.claim_ended(0, None, NOW);
        assert_eq!(pace.next(load(0, 0), NOW), Next::End);
    }

    #[test]
    fn claims_that_find_nothing_become_rare() {
        let mut pace = Pace::new(10, NOW);
        let mut now = NOW;
        let mut claims = 0;
        while let Next::Claim(_) | Next::WaitUntil(_) = pace.next(load(0, 0), now) {
            if let Next::WaitUntil(until) = pace.next(load(0, 0), now) {
                now = until;
            }
            pace.claim_began();
            pace.claim_ended(0, Some(Duration::ZERO), now);
            claims += 1;
        }
        assert_eq!(pace.next(load(0, 0), now), Next::End);
        assert!((20..60).contains(&claims), "{claims}");
        assert!(pace.is_cut_short(now));
    }

    #[test]
    fn it_finishes_what_is_in_flight_when_its_time_is_used_up() {
        let pace = Pace::new(10, NOW);
        let late = NOW + TIME_BUDGET;
        assert_eq!(pace.next(load(1, 0), late), Next::Wait);
        assert_eq!(pace.next(load(0, 0), late), Next::End);
    }
}
