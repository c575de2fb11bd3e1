//! Random claims, verdicts and replays, and what becomes of the deliveries.

use deliveries::{Fate, Follower, Lease, Return};
use emporium_tests::platform::*;
use rand::{Rng as _, seq::IndexedRandom as _};

use super::{
    Run,
    served::{Moment, Served, State},
    steps::WORKERS,
};

fn ids(followers: &[Follower]) -> Vec<u64> {
    followers.iter().map(|follower| follower.delivery).collect()
}

impl Run<'_> {
    pub(super) async fn claim(&mut self) {
        let place = self.random.random_range(0..self.world.served.len());
        while self.claim_of(place).await {}
    }

    /// Returns whether the same claim may find more: deliveries died, or will.
    async fn claim_of(&mut self, place: usize) -> bool {
        let subscription = self.world.served[place].subscription.clone();
        let limit = self.random.random_range(1..=6);
        let worker = self.any(&[None, Some(WORKERS[0]), Some(WORKERS[1])]);
        let worker = worker.map(str::to_owned);
        let began = self.now();
        let batch = self
            .instance()
            .claim_for(subscription, worker.clone(), limit, LEASE_MS)
            .await
            .expect("a batch");
        let now = self.since(began);
        let claimed: Vec<_> = batch
            .deliveries
            .iter()
            .map(|one| (&one.event_id, one.lease.attempt, ids(&one.followers)))
            .collect();
        self.history
            .add(&(place, limit, &worker, claimed, batch.next_due_in_ms));
        self.world.subscribe(place);
        let served = &mut self.world.served[place];
        let takes_keys = !served.is_paused(now) && served.take_keys(now);
        if takes_keys && served.defers_deaths(&batch, now) {
            return true;
        }
        let have_died = self.check_claim(place, limit as usize, &batch, now).await;
        let served = &mut self.world.served[place];
        for claimed in batch.deliveries {
            let followers = ids(&claimed.followers);
            let until = served.name_followers(&claimed.followers);
            let key = (claimed.lease.delivery, claimed.lease.attempt);
            self.followers.insert(key, followers);
            let mut deliveries = served.deliveries.iter();
            let run_out = deliveries.any(|one| one.event == claimed.event_id && one.is_suspect());
            if run_out {
                served.retried += 1;
                served.separate(claimed.lease.delivery);
            }
            let mut deliveries = served.deliveries.iter_mut();
            let delivery = deliveries.find(|one| one.event == claimed.event_id);
            let delivery = delivery.expect("it was checked");
            delivery.followers_until = until;
            delivery.state = State::Leased;
            delivery.attempt = claimed.lease.attempt;
            delivery.id = Some(claimed.lease.delivery);
            delivery.due = now.plus(u64::from(LEASE_MS));
            delivery.worker.clone_from(&worker);
            self.leases.push(claimed.lease);
        }
        have_died
    }

    pub(super) async fn release(&mut self) {
        let leases = self.some_leases();
        let waits = [None, Some(0), Some(20_000)];
        let returns: Vec<Return> = leases
            .into_iter()
            .map(|lease| Return {
                retry_after_ms: self.any(&waits),
                ..back(lease, "released")
            })
            .collect();
        let began = self.now();
        let fates = self.instance().release(returns.clone()).await;
        let now = self.since(began);
        self.history.add(&returns);
        self.history.add(&fates);
        assert_eq!(fates.len(), returns.len());
        for (back, fate) in returns.iter().zip(fates) {
            self.check_release(back, fate, now);
        }
    }

    fn check_release(&mut self, back: &Return, fate: Result<Fate, deliveries::Error>, now: Moment) {
        for served in &mut self.world.served {
            let policy = served.subscription.policy;
            let Some(held) = served.held(back.lease) else {
                continue;
            };
            let attempts = held.attempt - held.forgiven;
            if attempts >= policy.max_attempts {
                assert_eq!(fate, Ok(Fate::Dead));
                served.die(back.lease.delivery, true, now);
                return;
            }
            let Ok(Fate::RetriedAtMs(due)) = fate else {
                panic!("{back:?} came to {fate:?}");
            };
            let wait = policy.backoff_base_ms * 4_u64.pow(attempts - 1);
            let wait = wait.min(policy.backoff_cap_ms);
            let (shortest, longest) = match back.retry_after_ms {
                Some(wait) => (wait, wait),
                None => (wait * 3 / 4, wait * 5 / 4),
            };
            assert!(
                due >= now.earliest + shortest && due <= now.latest + longest + 1,
                "{due}"
            );
            let due = Moment {
                earliest: due,
                latest: due,
            };
            served.return_until(back.lease, due);
            return;
        }
        assert_eq!(fate, Err(deliveries::Error::LeaseLost), "{back:?}");
    }

    pub(super) async fn bury(&mut self) {
        let leases = self.some_leases();
        let burials = leases.iter().map(|lease| burial(*lease, "buried"));
        let burials = burials.collect();
        let began = self.now();
        let outcomes = self.instance().bury(burials).await;
        let now = self.since(began);
        self.history.add(&(&leases, &outcomes));
        for (lease, outcome) in leases.iter().zip(outcomes) {
            let expected = self.held(*lease);
            assert_eq!(
                outcome.is_ok(),
                expected.is_some(),
                "{lease:?}: {outcome:?}"
            );
            if let Some(served) = expected {
                served.die(lease.delivery, false, now);
            }
        }
    }

    pub(super) async fn extend(&mut self) {
        let leases = self.some_leases();
        let began = self.now();
        let outcomes = self.instance().extend(leases.clone(), LEASE_MS).await;
        let now = self.since(began);
        self.history.add(&(&leases, &outcomes));
        for (lease, outcome) in leases.iter().zip(outcomes) {
            let expected = self.held(*lease);
            assert_eq!(
                outcome.is_ok(),
                expected.is_some(),
                "{lease:?}: {outcome:?}"
            );
            if let Some(held) = expected.and_then(|served| served.held(*lease)) {
                held.due = now.plus(u64::from(LEASE_MS));
            }
        }
    }

    pub(super) async fn replay(&mut self) {
        let chosen = self.some_deliveries();
        let per_second = self.any(&[None, None, Some(1), Some(100)]);
        let began = self.now();
        let count = self.instance().replay(chosen.clone(), per_second).await;
        let now = self.since(began);
        self.history.add(&(&chosen, per_second, &count));
        let mut replayed = 0;
        for delivery in chosen {
            let after = per_second.map_or(0, |per_second| {
                u64::from(replayed) * 1000 / u64::from(per_second)
            });
            let mut served = self.world.served.iter_mut();
            replayed += u32::from(served.any(|served| served.replay(delivery, now.plus(after))));
        }
        assert_eq!(count, Ok(replayed));
    }

    pub(super) async fn discard(&mut self) {
        let chosen = self.some_deliveries();
        let count = self.instance().discard(chosen.clone()).await;
        self.history.add(&(&chosen, &count));
        let mut discarded = 0;
        for delivery in chosen {
            let mut served = self.world.served.iter_mut();
            discarded += u32::from(served.any(|served| served.discard(delivery)));
        }
        assert_eq!(count, Ok(discarded));
    }

    /// Leases, mostly of late.
    pub(super) fn some_leases(&mut self) -> Vec<Lease> {
        let mut chosen = Vec::new();
        for _ in 0..self.random.random_range(1..=4) {
            let recent = self.leases.len().saturating_sub(12);
            let Some(lease) = self.leases[recent..].choose(&mut self.random).copied() else {
                break;
            };
            if !chosen.contains(&lease) {
                chosen.push(lease);
            }
        }
        chosen
    }

    /// Deliveries, mostly dead ones.
    fn some_deliveries(&mut self) -> Vec<u64> {
        let deliveries = self
            .world
            .served
            .iter()
            .flat_map(|served| &served.deliveries);
        let dead = deliveries.filter(|one| matches!(one.state, State::Dead { .. }));
        let mut chosen: Vec<u64> = dead.filter_map(|one| one.id).collect();
        chosen.retain(|_| self.random.random_bool(0.5));
        chosen.extend(self.some_leases().first().map(|lease| lease.delivery));
        chosen
    }

    /// The subscription for which a lease holds.
    fn held(&mut self, lease: Lease) -> Option<&mut Served> {
        let mut served = self.world.served.iter_mut();
        served.find(|served| served.holds(lease))
    }
}
