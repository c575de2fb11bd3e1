//! The stage of a scenario: servers, a fleet of hosts, a ledger, and a record of
//! what was published.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use emporium_tests::app::App;
use tokio::time::sleep;

use crate::{
    audit::{Audit, Books},
    fleet::Fleet,
    ledger::{Entry, Ledger, Outcome as Published},
    load::{Load, Loading},
    manifest::Terms,
    record::Record,
    scenario::{Finding, Outcome, Setting},
    servers::Servers,
    wiring::Wiring,
};

/// How long recovery may take before it is given up: less than the usual lease,
/// so that to wait for the end of one is to fail.
const PATIENCE: Duration = Duration::from_secs(25);

/// A new event has to be handled within this time.
const PROMPT: Duration = Duration::from_secs(1);

/// The account of the entries that are published to see whether all is well.
const PROBE: &str = "probe";

/// How a stage is set.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How many hosts; the embedded platform has one.
    pub hosts: usize,
    pub terms: Terms,
    /// Further arguments of `emporium up`.
    pub arguments: Vec<&'static str>,
}

/// Everything a scenario needs.
pub struct Stage {
    pub setting: Setting,
    pub fleet: Fleet,
    pub servers: Option<Servers>,
    pub ledger: Ledger,
    pub record: Record,
    terms: Terms,
}

impl Stage {
    /// Start everything.
    pub async fn open(setting: Setting, plan: Plan) -> Result<Self> {
        let servers = match setting.wiring {
            Wiring::Embedded => None,
            Wiring::Servers => Some(tokio::task::block_in_place(Servers::start)),
        };
        Self::open_on(setting, plan, servers).await
    }

    /// Start everything on these servers.
    pub async fn open_on(setting: Setting, plan: Plan, servers: Option<Servers>) -> Result<Self> {
        let count = match setting.wiring {
            Wiring::Embedded => 1,
            Wiring::Servers => plan.hosts,
        };
        let mut fleet = Fleet::new(setting.wiring, plan.terms, &plan.arguments)?;
        for _ in 0..count {
            fleet.join(servers.as_ref()).await?;
        }
        Self::of(setting, fleet, servers, plan.terms).await
    }

    async fn of(
        setting: Setting,
        fleet: Fleet,
        servers: Option<Servers>,
        terms: Terms,
    ) -> Result<Self> {
        let stage = Self {
            setting,
            ledger: Ledger::new(fleet.origins.clone())?,
            fleet,
            servers,
            record: Record::default(),
            terms,
        };
        stage.recover(Instant::now()).await?;
        Ok(stage)
    }

    /// A stage for an application in this process, which has no fleet.
    pub async fn of_app(setting: Setting, app: &App) -> Result<Self> {
        let plan = Plan::default();
        let fleet = Fleet::new(setting.wiring, plan.terms, &[])?;
        fleet.origins.set(0, Some(app.origin.clone()));
        Self::of(setting, fleet, None, plan.terms).await
    }

    /// The servers, where there are some.
    pub fn servers(&mut self) -> Result<&mut Servers> {
        match &mut self.servers {
            Some(servers) => Ok(servers),
            None => bail!("this wiring has no servers"),
        }
    }

    /// Begin to publish.
    pub fn load(&self, load: Load) -> Loading {
        load.start(&self.ledger, &self.record, self.setting.seed)
    }

    /// Publish entries and remember it.
    pub async fn publish(&self, entries: Vec<Entry>) -> Result<Published> {
        self.publish_through(None, entries).await
    }

    /// Publish entries through one host and remember it.
    pub async fn publish_through(
        &self,
        host: Option<usize>,
        entries: Vec<Entry>,
    ) -> Result<Published> {
        let outcome = self.ledger.publish_through(host, &entries).await?;
        self.record.add(entries, outcome);
        Ok(outcome)
    }

    /// How long it took, from the end of a fault, until all that had been
    /// acknowledged by now is handled, and a new event at once.
    pub async fn recover(&self, since: Instant) -> Result<Duration> {
        let begun = Instant::now();
        let mut missing = self.record.owed();
        let mut last = String::new();
        while !missing.is_empty() {
            match self.ledger.missing(&missing).await {
                Ok(still) => missing = still,
                Err(error) => last = format!("{error:#}"),
            }
            if begun.elapsed() > PATIENCE {
                missing.truncate(5);
                let dead = self.ledger.dead().await;
                let held = self.servers.as_ref().map(Servers::held);
                bail!("no recovery: {missing:?} are missing; {last}; dead: {dead:?}; {held:?}");
            }
            sleep(Duration::from_millis(20)).await;
        }
        while !self.is_prompt().await? {
            if begun.elapsed() > PATIENCE {
                bail!("no recovery: a new event is not handled within {PROMPT:?}");
            }
        }
        Ok(since.elapsed())
    }

    /// Whether a new event is handled within a second.
    async fn is_prompt(&self) -> Result<bool> {
        let number = u32::try_from(self.record.count())? + 1;
        let probe = Entry::new(PROBE, number);
        let ids = [probe.id.clone()];
        let begun = Instant::now();
        let published = self.publish(vec![probe]).await?;
        if published == Published::Unknown {
            sleep(Duration::from_millis(50)).await;
            return Ok(false);
        }
        while begun.elapsed() < PROMPT {
            if let Ok(missing) = self.ledger.missing(&ids).await
                && missing.is_empty()
            {
                return Ok(true);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(false)
    }

    /// Wait until all is over, and check the invariant. `since` is when the
    /// fault ended.
    pub async fn conclude(self, since: Instant) -> Result<Outcome> {
        let recovery = self.recover(since).await?;
        self.conclude_after(recovery).await
    }

    /// As `conclude`, when the recovery has been seen already.
    pub async fn conclude_after(self, recovery: Duration) -> Result<Outcome> {
        let begun = Instant::now();
        // What is in doubt may still be under way.
        while self.ledger.backlog().await? > 0 {
            if begun.elapsed() > PATIENCE {
                bail!("{} deliveries stay", self.ledger.backlog().await?);
            }
            sleep(Duration::from_millis(100)).await;
        }
        let audit = Audit::of(&self.record.entries(), &self.books().await?);
        Ok(Outcome::Found(Finding { audit, recovery }))
    }

    async fn books(&self) -> Result<Books> {
        let dead = self.ledger.dead().await?.into_iter();
        Ok(Books {
            effects: self.ledger.effects().await?,
            accounts: self.ledger.accounts().await?,
            dead: dead
                .map(|letter| (letter.event_id, letter.attempts))
                .collect(),
            max_attempts: self.terms.max_attempts.into(),
        })
    }
}
