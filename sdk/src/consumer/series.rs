//! A series: chains that are handled one event after the other, and committed as
//! one unit.

use std::{rc::Rc, time::Duration};

use futures::future::LocalBoxFuture;

use super::{
    Received, Verdict,
    merge::{Name, Settled},
    overlay::{Overlaid, Overlay, Seen},
    received::Chain,
};
use crate::{journal, platform, unit::Unit};

/// After that a series commits what it has. It bounds how long another writer of
/// its documents has to come between, and how long handled events wait for slow
/// ones behind them.
const SLICE: Duration = Duration::from_millis(100);

/// How the events of a subscription are handled.
pub(super) trait Handler {
    /// Handle the first of `chains`, `most` events at most.
    fn handle(&self, chains: Vec<Rc<Chain>>, most: usize) -> LocalBoxFuture<'_, Handled>;

    /// Whether chains are handled together, rather than side by side.
    fn is_together(&self) -> bool;
}

/// What handling a series led to. Nothing of it counts unless the unit is
/// committed, where there is one.
pub(super) struct Handled {
    /// What settles the events that were handled; `None` if there are none.
    pub(super) unit: Option<journal::Unit>,
    pub(super) parts: Vec<Part>,
    /// Chains of which nothing was handled: to go on with afterwards.
    pub(super) rest: Vec<Rc<Chain>>,
    /// Documents that were written, and the part that wrote each first. Empty if
    /// there is one part.
    pub(super) authors: Vec<(Name, usize)>,
    /// How many events were handled, or refused together.
    pub(super) tried: usize,
    /// Whether it is the one series of its drain ([`super::contention`]).
    pub(super) is_series: bool,
}

/// A chain of which something was handled.
pub(super) struct Part {
    pub(super) chain: Rc<Chain>,
    /// How many of its events are settled by the unit.
    pub(super) settled: usize,
    /// Why its head was not handled.
    pub(super) refused: Option<Verdict>,
}

impl Handled {
    /// How many events the unit settles.
    pub(super) fn settled(&self) -> usize {
        self.parts.iter().map(|part| part.settled).sum()
    }

    /// Every chain, in the order they were handled in.
    pub(super) fn into_chains(self) -> Vec<Rc<Chain>> {
        let parts = self.parts.into_iter().map(|part| part.chain);
        parts.chain(self.rest).collect()
    }
}

/// Has each event handled by itself.
pub(super) struct Each<H>(pub(super) H);

impl<H: AsyncFn(&Received) -> Result<Unit, Verdict>> Handler for Each<H> {
    fn is_together(&self) -> bool {
        false
    }

    fn handle(&self, chains: Vec<Rc<Chain>>, most: usize) -> LocalBoxFuture<'_, Handled> {
        match <[Rc<Chain>; 1]>::try_from(chains) {
            Ok([chain]) if chain.events.len() == 1 => Box::pin(self.handle_one(chain)),
            Ok(chains) => Box::pin(self.handle_series(chains.into(), most)),
            Err(chains) => Box::pin(self.handle_series(chains, most)),
        }
    }
}

impl<H: AsyncFn(&Received) -> Result<Unit, Verdict>> Each<H> {
    /// The usual case, in which there is nothing to merge.
    async fn handle_one(&self, chain: Rc<Chain>) -> Handled {
        let outcome = match chain.events.first() {
            Some(event) => (self.0)(event).await,
            None => Err(Verdict::reject("a delivery without an event")),
        };
        let (unit, refused) = match outcome {
            Ok(unit) => (Some(unit.settling(chain.lease)), None),
            Err(verdict) => (None, Some(verdict)),
        };
        let part = Part {
            chain,
            settled: usize::from(unit.is_some()),
            refused,
        };
        Handled {
            unit,
            parts: vec![part],
            rest: Vec::new(),
            authors: Vec::new(),
            tried: 1,
            is_series: false,
        }
    }

    async fn handle_series(&self, chains: Vec<Rc<Chain>>, most: usize) -> Handled {
        let mut series = Series {
            overlay: Rc::default(),
            begun: platform::now(),
            most,
            handled: 0,
            is_over: false,
        };
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = Vec::new();
        for chain in chains {
            if series.is_over {
                rest.push(chain);
                continue;
            }
            let (settled, refused) = self.handle_chain(&mut series, &chain, parts.len()).await;
            if settled == 0 && refused.is_none() {
                rest.push(chain);
            } else {
                parts.push(Part {
                    chain,
                    settled,
                    refused,
                });
            }
        }
        let merged = series.overlay.merged.take();
        Handled {
            authors: merged.authors(),
            unit: (!merged.is_empty()).then(|| merged.into_unit()),
            tried: series.handled,
            is_series: false,
            parts,
            rest,
        }
    }

    /// Returns how many events of the chain were handled, and why its head was not.
    async fn handle_chain(
        &self,
        series: &mut Series,
        chain: &Chain,
        author: usize,
    ) -> (usize, Option<Verdict>) {
        let mut settled = 0;
        for event in &chain.events {
            series.is_over |= series.is_full();
            if series.is_over {
                break;
            }
            let overlaid = Overlaid {
                overlay: series.overlay.clone(),
                future: Box::pin((self.0)(event)),
            };
            match overlaid.await {
                Seen::Done(Ok(unit)) => {
                    let settles = match settled {
                        0 => Settled::Head(chain.lease),
                        _ => Settled::Follower(event.delivery()),
                    };
                    if !series.overlay.add(unit.into_wit(), author, settles) {
                        series.is_over = true;
                        break;
                    }
                    settled += 1;
                    series.handled += 1;
                }
                Seen::NeedsCommit => series.is_over = true,
                // A follower that fails is handed out again, as a head.
                Seen::Done(Err(verdict)) => {
                    return (settled, (settled == 0).then_some(verdict));
                }
            }
        }
        (settled, None)
    }
}

/// A series that is being handled.
struct Series {
    overlay: Rc<Overlay>,
    begun: Duration,
    most: usize,
    handled: usize,
    is_over: bool,
}

impl Series {
    fn is_full(&self) -> bool {
        let is_late = platform::now().saturating_sub(self.begun) > SLICE;
        self.handled >= self.most || (self.handled > 0 && is_late)
    }
}

/// Has events handled many at a time.
pub(super) struct Batches<H>(pub(super) H);

impl<H: AsyncFn(&[Received]) -> Result<Unit, Verdict>> Handler for Batches<H> {
    fn is_together(&self) -> bool {
        true
    }

    fn handle(&self, chains: Vec<Rc<Chain>>, most: usize) -> LocalBoxFuture<'_, Handled> {
        Box::pin(self.handle_batch(chains, most))
    }
}

impl<H: AsyncFn(&[Received]) -> Result<Unit, Verdict>> Batches<H> {
    async fn handle_batch(&self, chains: Vec<Rc<Chain>>, most: usize) -> Handled {
        let mut events = Vec::new();
        let mut parts = Vec::new();
        let mut rest = Vec::new();
        for chain in chains {
            let room = most.saturating_sub(events.len()).min(chain.events.len());
            if room == 0 {
                rest.push(chain);
                continue;
            }
            events.extend(chain.events.iter().take(room).cloned());
            parts.push(Part {
                chain,
                settled: room,
                refused: None,
            });
        }
        match (self.0)(&events).await {
            Ok(unit) => {
                let mut unit = unit.into_wit();
                unit.settles = parts.iter().map(settlement).collect();
                Handled {
                    unit: Some(unit),
                    parts,
                    rest,
                    authors: Vec::new(),
                    tried: events.len(),
                    is_series: false,
                }
            }
            Err(verdict) => {
                for part in &mut parts {
                    part.settled = 0;
                    part.refused = Some(verdict.clone());
                }
                Handled {
                    unit: None,
                    parts,
                    rest,
                    authors: Vec::new(),
                    tried: events.len(),
                    is_series: false,
                }
            }
        }
    }
}

fn settlement(part: &Part) -> journal::Settlement {
    let followers = part.chain.events.iter().take(part.settled).skip(1);
    journal::Settlement {
        lease: part.chain.lease,
        followers: followers.map(Received::delivery).collect(),
    }
}
