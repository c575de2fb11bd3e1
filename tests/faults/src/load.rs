//! Load: publishers that go on until they are told to stop.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    ledger::{Conduct, Entry, Ledger, Outcome},
    record::Record,
};

/// How many numbers an account may be ahead of its handlers.
const LEAD: u32 = 50;

/// What is published, and how.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How many accounts there are, each with a publisher of its own.
    pub accounts: u32,
    /// The most entries published at once.
    pub at_once: u32,
    /// The pause after each publication, give or take a half.
    pub pause: Duration,
    pub conduct: Conduct,
    /// What a publisher does that does not know the outcome.
    pub doubt: Doubt,
    /// The host to publish through, instead of any.
    pub through: Option<usize>,
}

/// What a publisher does that does not know what became of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Goes on with the next ones.
    GoOn,
    /// Publishes the same again, until that is acknowledged.
    Insist,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            accounts: 6,
            at_once: 4,
            pause: Duration::from_millis(20),
            conduct: Conduct::Work,
            doubt: Doubt::GoOn,
            through: None,
        }
    }
}

/// Publishers at work.
pub struct Loading {
    stop: watch::Sender<bool>,
    publishers: JoinSet<Result<()>>,
}

impl Load {
    /// Begin to publish through any host.
    pub fn start(self, ledger: &Ledger, record: &Record, seed: u64) -> Loading {
        let (stop, stopped) = watch::channel(false);
        let mut publishers = JoinSet::new();
        for account in 0..self.accounts {
            let publisher = Publisher {
                load: self,
                account: format!("account-{account}"),
                ledger: ledger.clone(),
                record: record.clone(),
                random: StdRng::seed_from_u64(seed ^ (u64::from(account) << 32)),
            };
            publishers.spawn(publisher.run(stopped.clone()));
        }
        Loading { stop, publishers }
    }
}

impl Loading {
    /// Wait until the publications under way have an outcome.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        while let Some(publisher) = self.publishers.join_next().await {
            publisher.context("a publisher")??;
        }
        Ok(())
    }
}

struct Publisher {
    load: Load,
    account: String,
    ledger: Ledger,
    record: Record,
    random: StdRng,
}

impl Publisher {
    async fn run(mut self, stopped: watch::Receiver<bool>) -> Result<()> {
        let mut next = 1;
        while !*stopped.borrow() {
            let count = self.random.random_range(1..=self.load.at_once);
            let entries: Vec<_> = (next..next + count)
                .map(|number| Entry::new(&self.account, number).conduct(self.load.conduct))
                .collect();
            next += count;
            let mut outcome = self.publish(&entries).await?;
            while outcome == Outcome::Unknown
                && self.load.doubt == Doubt::Insist
                && !*stopped.borrow()
            {
                sleep(Duration::from_millis(50)).await;
                outcome = self.publish(&entries).await?;
            }
            self.record.add(entries, outcome);
            self.keep_pace(next, &stopped).await;
            let pause = self.load.pause.mul_f64(self.random.random_range(0.5..1.5));
            sleep(pause).await;
        }
        Ok(())
    }

    /// Let the handlers keep up: no account is ever far ahead of them, so that
    /// what is measured is a recovery, and not a backlog.
    async fn keep_pace(&self, next: u32, stopped: &watch::Receiver<bool>) {
        let Some(behind) = next.checked_sub(LEAD).filter(|number| *number > 0) else {
            return;
        };
        // What is in doubt may never come.
        let behind = [Entry::new(&self.account, behind).id];
        while !*stopped.borrow() {
            match self.ledger.missing(&behind).await {
                Ok(missing) if !missing.is_empty() && self.record.has_acknowledged(&behind[0]) => {
                    sleep(Duration::from_millis(50)).await;
                }
                _ => return,
            }
        }
    }

    async fn publish(&self, entries: &[Entry]) -> Result<Outcome> {
        let through = self.load.through;
        self.ledger.publish_through(through, entries).await
    }
}
