//! Which subscriptions are behind or paused: counted once in a while, however often
//! somebody asks.

use emporium_sdk::maintenance::{self, Status};
use serde::{Deserialize, Serialize};

use crate::notes::{self, now_ms};

/// How long an event may be due before its subscription counts as behind.
const LIMIT_MS: u64 = 60_000;

/// How long what was counted stands for what is.
const FRESH_MS: u64 = 5_000;

/// How many subscriptions are named.
const NAMED: usize = 5;

const NOTE: &str = "lag";

/// What was found when the backlog was last counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Counted {
    /// When somebody last began to count.
    begun_ms: u64,
    warning: Option<String>,
}

impl Counted {
    fn is_fresh_at(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.begun_ms) < FRESH_MS
    }
}

/// What to look after, if anything. Whoever finds that it was long ago counts
/// again; others meanwhile make do with what was found before.
pub(crate) async fn warning() -> Option<String> {
    match recent().await {
        Ok(warning) => warning,
        Err(cause) => {
            eprintln!("the lag is not known: {cause}");
            Some("not known; the log says why".into())
        }
    }
}

async fn recent() -> Result<Option<String>, String> {
    let latest = notes::read(NOTE).await.map_err(|error| error.to_string())?;
    let mut latest: Counted = latest.unwrap_or_default();
    if latest.is_fresh_at(now_ms()) {
        return Ok(latest.warning);
    }
    latest.begun_ms = now_ms();
    note(&latest).await?;
    let statuses = maintenance::subscriptions().await;
    latest.warning = words(&statuses.map_err(|error| error.to_string())?);
    note(&latest).await?;
    Ok(latest.warning)
}

async fn note(counted: &Counted) -> Result<(), String> {
    let noted = notes::write(NOTE, counted).await;
    noted.map_err(|error| error.to_string())
}

fn words(statuses: &[Status]) -> Option<String> {
    let behind: Vec<_> = statuses.iter().filter_map(word).collect();
    let mut named = behind.iter().take(NAMED).cloned().collect::<Vec<_>>();
    if behind.len() > NAMED {
        named.push(format!("and {} more", behind.len() - NAMED));
    }
    (!named.is_empty()).then(|| named.join("; "))
}

fn word(status: &Status) -> Option<String> {
    let (service, topic) = (&status.subscription.service, &status.subscription.topic);
    if status.paused.is_some() {
        return Some(format!("`{service}` is paused on `{topic}`"));
    }
    let seconds = status.oldest_pending_ms / 1000;
    let is_behind = status.oldest_pending_ms > LIMIT_MS;
    is_behind.then(|| format!("`{service}` is {seconds} s behind on `{topic}`"))
}

#[cfg(test)]
mod tests {
    use emporium_sdk::{
        deliveries::{AfterDeath, DuringRetry, Policy, Subscription},
        maintenance::{Histogram, Suspension},
    };

    use super::*;

    fn waiting(oldest_pending_ms: u64) -> Status {
        Status {
            subscription: Subscription {
                service: "media".into(),
                topic: "image".into(),
                policy: Policy {
                    max_attempts: 1,
                    backoff_base_ms: 1,
                    backoff_cap_ms: 1,
                    during_retry: DuringRetry::Block,
                    after_death: AfterDeath::Proceed,
                    pause_after: 0,
                    pause_ms: 0,
                },
            },
            pending: 1,
            leased: 0,
            delayed: 0,
            dead: 0,
            oldest_pending_ms,
            settled: 0,
            retried: 0,
            latency: Histogram {
                counts: Vec::new(),
                sum_ms: 0,
                longest_ms: 0,
            },
            paused: None,
        }
    }

    fn paused() -> Status {
        Status {
            paused: Some(Suspension {
                since_ms: 0,
                until_ms: None,
                reason: "by hand".into(),
            }),
            ..waiting(100_000)
        }
    }

    #[test]
    fn what_is_behind_or_paused_is_named() {
        assert_eq!(words(&[waiting(1000)]), None);
        let behind = words(&[waiting(0), waiting(61_000), paused()]);
        let said = "`media` is 61 s behind on `image`; `media` is paused on `image`";
        assert_eq!(behind.as_deref(), Some(said));
    }

    #[test]
    fn not_all_of_many_are_named() {
        let many = words(&vec![paused(); 7]).unwrap_or_default();
        assert!(many.ends_with("; and 2 more"), "{many}");
    }

    #[test]
    fn what_was_counted_long_ago_is_counted_again() {
        let counted = |begun_ms| Counted {
            begun_ms,
            warning: None,
        };
        assert!(counted(100_000).is_fresh_at(104_999));
        assert!(!counted(100_000).is_fresh_at(105_000));
        assert!(!counted(100_000).is_fresh_at(1_000));
    }
}
