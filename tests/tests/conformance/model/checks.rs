//! What the platform reports, against what the model holds.

use std::collections::{BTreeMap, BTreeSet};

use deliveries::Batch;
use emporium_tests::platform::*;

use super::{
    Run,
    served::{Delivery, Moment, Served, State},
    world::World,
};

impl World {
    /// The moments on which it depends what a call finds.
    pub(super) fn moments(&self) -> impl Iterator<Item = Moment> {
        let deliveries = self.served.iter().flat_map(|served| &served.deliveries);
        let due = deliveries
            .filter(|one| !matches!(one.state, State::Dead { .. }))
            .map(|one| one.due);
        let pauses = self
            .served
            .iter()
            .filter_map(|served| served.pause.flatten());
        let workers = self.workers.values().copied();
        // A subscription that is new is owed all of them.
        let events = self.events.iter().map(|event| event.due);
        due.chain(pauses).chain(workers).chain(events)
    }

    /// The topics that a ticker has to wake.
    pub(super) fn due_topics(&self, now: Moment) -> Vec<String> {
        let mut topics = BTreeSet::new();
        for served in self.served.iter().filter(|served| served.exists) {
            let due = served.deliveries.iter().any(|one| one.is_claimable(now));
            if due && !served.is_paused(now) {
                topics.insert(served.subscription.topic.clone());
            }
        }
        for event in &self.events {
            let mut served = self.served.iter().filter(|served| served.exists);
            if !served.any(|served| served.subscription.topic == event.topic) {
                topics.insert(event.topic.clone());
            }
        }
        topics.into_iter().collect()
    }
}

impl Served {
    /// Those that were never tried have followers, unless these come one at a time:
    /// the first that wait for the key, as far as they are due.
    fn check_followers(&self, limit: usize, batch: &Batch, now: Moment) {
        let followers = batch.deliveries.iter().map(|one| one.followers.len());
        let room = limit - batch.deliveries.len();
        assert!(followers.sum::<usize>() <= room, "{batch:?}");
        let keyed = batch.deliveries.iter().filter(|one| one.subject.is_some());
        let alone = keyed.count() == 1;
        for handed_out in &batch.deliveries {
            let mut deliveries = self.deliveries.iter();
            let first = deliveries.find(|one| one.event == handed_out.event_id);
            let first = first.expect("it was checked");
            let until = |singly: &BTreeMap<String, u64>| {
                let key = first.key.as_ref();
                key.and_then(|key| singly.get(key)).copied().unwrap_or(0)
            };
            let leads = first.key.is_some()
                && first.attempt == 0
                && !batch.suspect
                && first.order > until(&self.singly);
            let behind = self.deliveries.iter();
            let behind = behind.filter(|one| one.key == first.key && one.state == State::Waiting);
            let ready = behind.take_while(|one| one.may_follow(now));
            let ready: Vec<&str> = ready.map(|one| one.event.as_str()).collect();
            let ready = if leads { &ready[..] } else { &[] };
            let found = handed_out.followers.iter();
            let found: Vec<&str> = found.map(|one| one.event_id.as_str()).collect();
            assert!(ready.starts_with(&found), "{found:?} of {ready:?}");
            if alone {
                assert_eq!(found.len(), ready.len().min(room), "{ready:?}");
            }
        }
    }
}

impl Run<'_> {
    /// A claim hands out what can be claimed: one whose lease ran out alone, or others,
    /// and as many as there are. Some may have died on the way: returns whether.
    pub(super) async fn check_claim(
        &mut self,
        place: usize,
        limit: usize,
        batch: &Batch,
        now: Moment,
    ) -> bool {
        let dead = self.dead_letters().await;
        let served = &mut self.world.served[place];
        let attempts = served.subscription.policy.max_attempts;
        let deaths: Vec<u64> = served
            .deliveries
            .iter()
            .filter(|one| !matches!(one.state, State::Dead { .. }))
            .filter_map(|one| Some((one, one.id.filter(|id| dead.contains_key(id))?)))
            .map(|(one, id)| {
                let exhausted = one.attempt - one.forgiven >= attempts;
                assert!(
                    one.is_suspect() && one.is_claimable(now) && exhausted,
                    "{one:?} died"
                );
                id
            })
            .collect();
        let have_died = !deaths.is_empty();
        assert!(
            !have_died || !served.is_paused(now),
            "{deaths:?} died during a pause"
        );
        for id in deaths {
            served.separate(id);
            served.die(id, true, now);
        }
        if served.is_paused(now) {
            assert_eq!(batch.deliveries, []);
            let ends = served.pause.flatten();
            assert_eq!(batch.next_due_in_ms.is_some(), ends.is_some());
            return have_died;
        }

        let claimable: Vec<&Delivery> = served
            .deliveries
            .iter()
            .filter(|one| one.is_claimable(now))
            .collect();
        let blameless = claimable.iter().filter(|one| !one.is_suspect()).count();
        let mut claimed = Vec::new();
        for handed_out in &batch.deliveries {
            let mut found = claimable.iter();
            let found = found.find(|one| one.event == handed_out.event_id);
            let found = found.unwrap_or_else(|| panic!("{handed_out:?} cannot be claimed"));
            assert_eq!(handed_out.lease.attempt, found.attempt + 1);
            assert_eq!(handed_out.subject, found.key);
            assert!(found.id.is_none_or(|id| id == handed_out.lease.delivery));
            claimed.push(*found);
        }
        assert_eq!(batch.suspect, claimed.iter().any(|one| one.is_suspect()));
        if batch.suspect {
            assert_eq!(claimed.len(), 1, "it is handed out alone");
            assert!(claimed[0].attempt - claimed[0].forgiven < attempts);
        } else if blameless == claimable.len() {
            assert_eq!(claimed.len(), blameless.min(limit), "of {claimable:#?}");
        } else {
            assert!(claimed.len() <= blameless.min(limit));
            assert!(
                !claimed.is_empty() || claimable.is_empty(),
                "there is something to claim"
            );
        }
        served.check_followers(limit, batch, now);
        let more = claimable.len() > claimed.len();
        assert_eq!(batch.next_due_in_ms == Some(0), more, "{batch:?}");
        have_died
    }

    /// Compare everything that can be asked for.
    pub(super) async fn check(&mut self) {
        self.await_certainty();
        self.check_subscriptions().await;
        self.check_dead_letters().await;
        self.check_events().await;
        self.check_documents().await;
        self.check_workers().await;
    }

    async fn check_subscriptions(&mut self) {
        let statuses = self.instance().subscriptions().await.expect("a report");
        let now = self.now();
        let mut expected: Vec<&Served> = self.world.served.iter().collect();
        expected.retain(|served| served.exists);
        expected.sort_by_key(|served| served.subscription.service.clone());
        assert_eq!(statuses.len(), expected.len());
        for (status, served) in statuses.iter().zip(expected) {
            let count = |wanted: &dyn Fn(&Delivery) -> bool| {
                served.deliveries.iter().filter(|one| wanted(one)).count() as u64
            };
            let is_dead = |one: &Delivery| matches!(one.state, State::Dead { .. });
            let leased = |one: &Delivery| one.state == State::Leased && !one.due.is_over(now);
            assert_eq!(status.subscription, served.subscription);
            assert_eq!(
                (status.pending, status.leased, status.delayed, status.dead),
                (
                    count(&|one| !is_dead(one) && one.due.is_over(now)),
                    count(&leased),
                    count(&|one| !is_dead(one) && !leased(one) && !one.due.is_over(now)),
                    count(&is_dead),
                ),
                "{status:?}"
            );
            assert_eq!(
                (status.settled, status.retried),
                (served.settled, served.retried)
            );
            assert_eq!(status.latency.counts.iter().sum::<u64>(), served.settled);
            assert_eq!(status.paused.is_some(), served.is_paused(now), "{status:?}");
        }
    }

    async fn check_dead_letters(&mut self) {
        let found = self.dead_letters().await;
        let deliveries = self
            .world
            .served
            .iter()
            .flat_map(|served| &served.deliveries);
        let expected: BTreeMap<u64, u32> = deliveries
            .filter(|one| matches!(one.state, State::Dead { .. }))
            .map(|one| (one.id.expect("it was claimed"), one.attempt - one.forgiven))
            .collect();
        assert_eq!(found, expected);
    }

    /// The attempts of each.
    async fn dead_letters(&mut self) -> BTreeMap<u64, u32> {
        let mut found = BTreeMap::new();
        let mut cursor = None;
        loop {
            let page = self
                .instance()
                .list_dead(nothing_filtered(), 500, cursor)
                .await;
            let page = page.expect("a page");
            for letter in page.dead_letters {
                assert!(!letter.reason.is_empty());
                found.insert(letter.delivery, letter.attempts);
            }
            cursor = page.next;
            if cursor.is_none() {
                return found;
            }
        }
    }

    async fn check_events(&mut self) {
        let mut found = Vec::new();
        let mut after = 0;
        loop {
            let page = self
                .instance()
                .events(Some(after), 500)
                .await
                .expect("events");
            let Some(last) = page.last() else {
                break;
            };
            after = last.sequence;
            found.extend(
                page.into_iter()
                    .map(|event| (event.id, event.topic, event.unsettled)),
            );
        }
        let expected: Vec<_> = self
            .world
            .events
            .iter()
            .map(|event| {
                (
                    event.id.clone(),
                    event.topic.clone(),
                    self.world.unsettled(&event.id),
                )
            })
            .collect();
        assert_eq!(found, expected);
    }

    async fn check_documents(&mut self) {
        let page = self.instance().list(every("things")).await.expect("a page");
        let found: Vec<_> = page
            .documents
            .into_iter()
            .map(|one| {
                (
                    one.key,
                    one.version,
                    String::from_utf8(one.value).expect("text"),
                )
            })
            .collect();
        let documents = self.world.documents.iter();
        let expected: Vec<_> = documents
            .filter_map(|(key, kept)| Some((key.clone(), kept.version, kept.value.clone()?)))
            .collect();
        assert_eq!(found, expected);
    }

    async fn check_workers(&mut self) {
        let sightings = self.instance().list_workers().await.expect("workers");
        let now = self.now();
        let found: Vec<String> = sightings.into_iter().map(|one| one.worker.id).collect();
        let workers = self.world.workers.iter();
        let expected: Vec<String> = workers
            .filter(|(_, gone)| !gone.is_over(now))
            .map(|(id, _)| id.clone())
            .collect();
        assert_eq!(found, expected);
    }
}
