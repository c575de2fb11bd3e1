//! Scenarios: a fault, the load under it, and what is found afterwards.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;

use crate::{audit::Audit, scenarios, wiring::Wiring};

/// How long a scenario may take, in its short form and in its long one.
const LIMITS: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(900)];

/// A fault, and how to bring it about.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// Where it makes sense.
    pub wirings: &'static [Wiring],
    pub run: fn(Setting) -> BoxFuture<'static, Result<Outcome>>,
}

/// How a scenario is run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub wiring: Wiring,
    pub seed: u64,
    pub length: Length,
}

/// How thorough a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// A few seconds, for every run of the tests.
    Short,
    /// As long as it takes.
    Long,
}

/// What became of a scenario.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was run.
    Found(Finding),
    /// This machine does not permit it; the text says why.
    Skipped(String),
}

/// What was found after a fault.
#[derive(Clone, Debug)]
pub struct Finding {
    pub audit: Audit,
    /// From the end of the fault until the acknowledged backlog was handled, and
    /// a new event within a second.
    pub recovery: Duration,
}

impl Setting {
    /// What belongs to the length of this run.
    pub fn choose<T>(&self, short: T, long: T) -> T {
        match self.length {
            Length::Short => short,
            Length::Long => long,
        }
    }
}

impl Scenario {
    /// Run it. One that takes too long fails.
    pub async fn play(&self, setting: Setting) -> Result<Outcome> {
        let [short, long] = LIMITS;
        let limit = setting.choose(short, long);
        tokio::time::timeout(limit, (self.run)(setting))
            .await
            .with_context(|| format!("`{}` takes longer than {limit:?}", self.name))?
    }
}

/// Run a scenario as a test: any violation fails it.
pub fn test(name: &str, wiring: Wiring) -> Result<()> {
    let scenario = scenarios::ALL.iter().find(|scenario| scenario.name == name);
    let scenario = scenario.with_context(|| format!("no scenario `{name}`"))?;
    let setting = Setting {
        wiring,
        seed: 1,
        length: Length::Short,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()?;
    match runtime.block_on(scenario.play(setting))? {
        Outcome::Found(finding) => {
            let audit = finding.audit;
            anyhow::ensure!(audit.is_clean(), "{name} on {wiring}: {audit:#?}");
            println!(
                "{} events, recovered in {:?}",
                audit.events, finding.recovery
            );
        }
        Outcome::Skipped(reason) => eprintln!("SKIPPED {name} on {wiring}: {reason}"),
    }
    Ok(())
}
