//! The ledger as its clients see it: entries in, effects and accounts out.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use emporium_tests::app::ADMIN;
use rand::seq::IndexedRandom as _;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many ids are asked about at once.
const ASKED: usize = 200;

/// How a handler behaves, as `tests/components/ledger` defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Conduct {
    Work,
    Slow { ms: u64, attempts: u32 },
    Fail { attempts: u32 },
    Reject,
    Trap,
    Hoard,
    Loop,
}

impl Conduct {
    /// Whether it ends among the dead letters.
    pub fn is_poison(self) -> bool {
        matches!(self, Self::Reject | Self::Trap | Self::Hoard | Self::Loop)
    }
}

/// An entry in an account.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    pub id: String,
    pub account: String,
    pub number: u32,
    pub subject: Option<String>,
    pub conduct: Conduct,
}

impl Entry {
    /// The entry with this number, in the order of its account.
    pub fn new(account: &str, number: u32) -> Self {
        Self {
            id: format!("{account}-{number}"),
            account: account.to_owned(),
            number,
            subject: Some(account.to_owned()),
            conduct: Conduct::Work,
        }
    }

    pub fn conduct(mut self, conduct: Conduct) -> Self {
        self.conduct = conduct;
        self
    }
}

/// What an entry left behind.
#[derive(Clone, Debug, Deserialize)]
pub struct Effect {
    pub event: String,
    pub account: String,
    pub number: u32,
    pub worker: Option<String>,
    pub times: u32,
}

#[derive(Deserialize)]
struct Account {
    name: String,
    numbers: Vec<u32>,
}

/// An event that was given up.
#[derive(Clone, Debug, Deserialize)]
pub struct DeadLetter {
    /// The delivery.
    pub id: u64,
    pub event_id: String,
    pub attempts: u64,
}

#[derive(Deserialize)]
struct DeadLetters {
    items: Vec<DeadLetter>,
    next: Option<String>,
}

/// What the publisher of entries knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are published.
    Acknowledged,
    /// They may be published, or not.
    Unknown,
}

/// A client of whichever hosts run.
#[derive(Clone)]
pub struct Ledger {
    http: reqwest::Client,
    origins: Origins,
}

/// Where hosts serve. It changes while they are used.
#[derive(Clone, Debug, Default)]
pub struct Origins(Arc<RwLock<BTreeMap<usize, String>>>);

impl Origins {
    pub fn set(&self, host: usize, origin: Option<String>) {
        let mut origins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match origin {
            Some(origin) => origins.insert(host, origin),
            None => origins.remove(&host),
        };
    }

    /// That of a host, or of any.
    fn pick(&self, host: Option<usize>) -> Option<String> {
        let origins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match host {
            Some(host) => origins.get(&host).cloned(),
            None => {
                let all: Vec<_> = origins.values().collect();
                all.choose(&mut rand::rng()).map(|&origin| origin.clone())
            }
        }
    }
}

impl Ledger {
    pub fn new(origins: Origins) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        Ok(Self { http, origins })
    }

    /// Publish entries, all of them or none, through any host.
    pub async fn publish(&self, entries: &[Entry]) -> Result<Outcome> {
        self.publish_through(None, entries).await
    }

    /// Publish entries through one host, or any.
    ///
    /// An answer that blames the client is an error of the test.
    pub async fn publish_through(&self, host: Option<usize>, entries: &[Entry]) -> Result<Outcome> {
        let Some(origin) = self.origins.pick(host) else {
            return Ok(Outcome::Unknown);
        };
        let request = self.http.post(format!("{origin}/ledger/entries"));
        let Ok(response) = request.json(entries).send().await else {
            return Ok(Outcome::Unknown);
        };
        match response.status() {
            StatusCode::ACCEPTED => Ok(Outcome::Acknowledged),
            status if status.is_server_error() => Ok(Outcome::Unknown),
            status => bail!("publishing: {status} {}", response.text().await?),
        }
    }

    /// Publish entries, again and again until they are acknowledged.
    pub async fn insist(&self, entries: &[Entry]) -> Result<()> {
        while self.publish(entries).await? != Outcome::Acknowledged {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Which of these entries have no effect yet.
    pub async fn missing(&self, ids: &[String]) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for some in ids.chunks(ASKED) {
            let some = serde_json::to_value(some)?;
            let answer = self.ask(Method::POST, "/ledger/missing", some).await?;
            missing.extend(serde_json::from_value::<Vec<String>>(answer)?);
        }
        Ok(missing)
    }

    /// Every effect, by the id of its event.
    pub async fn effects(&self) -> Result<BTreeMap<String, Effect>> {
        let effects: Vec<Effect> = self.all("/ledger/effects").await?;
        let named = effects.into_iter();
        Ok(named.map(|effect| (effect.event.clone(), effect)).collect())
    }

    /// The numbers in every account, in the order in which they were entered.
    pub async fn accounts(&self) -> Result<BTreeMap<String, Vec<u32>>> {
        let accounts: Vec<Account> = self.all("/ledger/accounts").await?;
        let named = accounts.into_iter();
        Ok(named
            .map(|account| (account.name, account.numbers))
            .collect())
    }

    /// Every dead letter.
    pub async fn dead(&self) -> Result<Vec<DeadLetter>> {
        let mut all = Vec::new();
        let mut path = "/platform/dead-letters?service=ledger&limit=100".to_owned();
        loop {
            let page = self.ask(Method::GET, &path, Value::Null).await?;
            let page: DeadLetters = serde_json::from_value(page)?;
            all.extend(page.items);
            match page.next {
                Some(cursor) => {
                    path =
                        format!("/platform/dead-letters?service=ledger&limit=100&cursor={cursor}");
                }
                None => return Ok(all),
            }
        }
    }

    /// Have a dead letter handled again.
    pub async fn replay(&self, letter: &DeadLetter) -> Result<()> {
        let path = format!("/platform/dead-letters/{}/replay", letter.id);
        self.ask(Method::POST, &path, Value::Null).await?;
        Ok(())
    }

    /// How many deliveries are neither settled nor dead.
    pub async fn backlog(&self) -> Result<u64> {
        let path = "/platform/subscriptions";
        let statuses = self.ask(Method::GET, path, Value::Null).await?;
        let statuses = statuses.as_array().cloned().unwrap_or_default();
        let count = |status: &Value| {
            let parts = ["pending", "leased", "delayed"];
            parts
                .iter()
                .filter_map(|part| status[part].as_u64())
                .sum::<u64>()
        };
        Ok(statuses.iter().map(count).sum())
    }

    /// Ask any host, as the administrator; anything but success is an error.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let origin = self.origins.pick(None).context("no host runs")?;
        let request = self.http.request(method, format!("{origin}{path}"));
        let response = request.bearer_auth(ADMIN).json(&body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut query = String::new();
        loop {
            let page = format!("{path}{query}");
            let page = self.ask(Method::GET, &page, Value::Null).await?;
            let (some, next): (Vec<T>, Option<String>) = serde_json::from_value(page)?;
            all.extend(some);
            match next {
                Some(cursor) => query = format!("?cursor={cursor}"),
                None => return Ok(all),
            }
        }
    }
}
