//! The operations of a run, and what the model says to each.

use std::time::Duration;

use emporium_tests::platform::*;
use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Run, served::Served};

/// Who may announce itself, or claim.
pub(super) const WORKERS: [&str; 3] = ["u", "v", "w"];

/// How long a worker is there after it was heard of.
const WORKER_MS: u32 = 45_000;

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Commit,
    Claim,
    Settle,
    Release,
    Bury,
    Extend,
    Replay,
    Discard,
    Pause,
    Resume,
    Forget,
    Announce,
    Leave,
    WakeDue,
    Advance,
    Crash,
    Sweep,
}

impl Step {
    /// As often as in a busy application, except that more goes wrong.
    pub(super) fn choose(random: &mut StdRng) -> Self {
        const STEPS: [(Step, u32); 17] = [
            (Step::Commit, 20),
            (Step::Claim, 24),
            (Step::Settle, 12),
            (Step::Release, 8),
            (Step::Bury, 6),
            (Step::Extend, 3),
            (Step::Replay, 5),
            (Step::Discard, 2),
            (Step::Pause, 2),
            (Step::Resume, 3),
            (Step::Forget, 1),
            (Step::Announce, 3),
            (Step::Leave, 1),
            (Step::WakeDue, 2),
            (Step::Advance, 10),
            (Step::Crash, 2),
            (Step::Sweep, 1),
        ];
        let chosen = STEPS.choose_weighted(random, |(_, weight)| *weight);
        chosen.expect("a step").0
    }
}

/// One that goes on after deaths, one that blocks, one that pauses, and one that goes
/// on during retries.
pub(super) fn subscriptions() -> Vec<Served> {
    let mut pausing = pausing_subscription("pausing", "y", 2);
    pausing.policy.max_attempts = 2;
    vec![
        Served::new(subscription("going-on", "x")),
        Served::new(blocking_subscription("blocking", "x")),
        Served::new(pausing),
        Served::new(proceeding_subscription("proceeding", "y")),
    ]
}

impl Run<'_> {
    pub(super) async fn take(&mut self, step: Step) {
        match step {
            Step::Commit => self.commit().await,
            Step::Claim => self.claim().await,
            Step::Settle => self.settle().await,
            Step::Release => self.release().await,
            Step::Bury => self.bury().await,
            Step::Extend => self.extend().await,
            Step::Replay => self.replay().await,
            Step::Discard => self.discard().await,
            Step::Pause => self.pause().await,
            Step::Resume => self.resume().await,
            Step::Forget => self.forget().await,
            Step::Announce => self.announce().await,
            Step::Leave => self.leave().await,
            Step::WakeDue => self.wake_due().await,
            Step::Advance => self.advance().await,
            Step::Crash => self.crash().await,
            Step::Sweep => self.sweep().await,
        }
    }

    async fn pause(&mut self) {
        let place = self.random.random_range(0..self.world.served.len());
        let for_ms = self.any(&[None, Some(10_000), Some(60_000)]);
        let subscription = self.world.served[place].subscription.clone();
        let began = self.now();
        let paused = self
            .instance()
            .pause_for(subscription.service, subscription.topic, for_ms)
            .await;
        let now = self.since(began);
        self.history.add(&(place, for_ms, &paused));
        let served = &mut self.world.served[place];
        assert_eq!(paused, Ok(served.exists));
        if served.exists {
            served.pause = Some(for_ms.map(|for_ms| now.plus(for_ms)));
        }
    }

    async fn resume(&mut self) {
        let place = self.random.random_range(0..self.world.served.len());
        let subscription = self.world.served[place].subscription.clone();
        let resumed = self.instance().resume(&subscription).await;
        self.history.add(&(place, resumed));
        let now = self.now();
        let served = &mut self.world.served[place];
        assert_eq!(resumed, served.is_paused(now));
        served.pause = None;
        served.breaker.close();
    }

    async fn forget(&mut self) {
        let place = self.random.random_range(0..self.world.served.len());
        let subscription = self.world.served[place].subscription.clone();
        let forgotten = self
            .instance()
            .forget_one(subscription.service, subscription.topic)
            .await;
        self.history.add(&(place, &forgotten));
        let served = &mut self.world.served[place];
        assert_eq!(forgotten, Ok(served.exists));
        served.forget();
    }

    async fn announce(&mut self) {
        self.wake_due().await;
        let id = self.any(&WORKERS);
        let began = self.now();
        let announced = self.instance().announce_for(worker(id), WORKER_MS).await;
        assert_eq!(announced, Ok(()));
        let now = self.since(began);
        self.history.add(&id);
        let gone = now.plus(u64::from(WORKER_MS));
        self.world.workers.insert(id.into(), gone);
    }

    /// The leases end at the latest when the ticker looks.
    async fn leave(&mut self) {
        let id = self.any(&WORKERS);
        assert_eq!(self.instance().leave_as(id.into()).await, Ok(()));
        self.history.add(&id);
        let now = self.now();
        self.world.leave(id, now);
        self.wake_due().await;
    }

    async fn wake_due(&mut self) {
        let began = self.now();
        let topics = self.instance().wake_due().await;
        let now = self.since(began);
        self.history.add(&topics);
        self.world.end_leases_of_gone(now);
        assert_eq!(topics, Ok(self.world.due_topics(now)));
    }

    /// The ticker looks whenever time has passed: until then the leases of gone
    /// workers may or may not hold.
    async fn advance(&mut self) {
        let seconds = self.any(&[1, 5, 20, 61, 150]);
        self.platform.advance(Duration::from_secs(seconds));
        self.history.add(&seconds);
        self.await_certainty();
        self.wake_due().await;
    }

    async fn crash(&mut self) {
        if self.random.random_bool(0.3) {
            self.elsewhere = self.platform.elsewhere().await;
        } else {
            let place = self.random.random_range(0..self.instances.len());
            self.instances[place] = self.platform.instance().await;
        }
    }

    async fn sweep(&mut self) {
        // What a forgotten subscription was owed may go after its events were looked
        // at.
        for _ in 0..2 {
            let swept = self.instance().sweep_all(NOTHING_KEPT).await;
            self.history.add(&swept);
        }
        self.world.sweep();
    }
}
