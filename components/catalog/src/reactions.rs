//! The subscriptions of `catalog`, and what it does with each event.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use emporium_sdk::{
    catalog_events::{
        GenerationRequested, MediaFailed, MediaStored, PokemonNamed, ProductPageRequested,
    },
    consumer::{Policy, Received, Subscription, Verdict, drain},
    deliveries,
    event::Message,
    unit::Unit,
};
use futures::future::join3;

use crate::{
    SERVICE,
    account::accounted,
    generation_step, media_result, product_step,
    relay::{self, Relay, RelayError},
    settings::Settings,
    species_step,
};

/// Longer than two requests to upstream and the wait for a place in its queue.
const LEASE: Duration = Duration::from_secs(50);

/// Somewhat over a minute, then an event is given up: a person who waits for an
/// ingest learns soon what is wrong. A species takes several requests, each of
/// which may fail more than once. It is the relay that spares an upstream in trouble,
/// so the subscription is never paused.
const POLICY: Policy = Policy {
    max_attempts: 8,
    backoff_cap_ms: 20_000,
    pause_after: 0,
    ..Subscription::new(SERVICE, "").policy
};

const INGESTS: Subscription = Subscription {
    policy: POLICY,
    batch: 4,
    lease: LEASE,
    ..Subscription::new(SERVICE, "catalog-ingest")
};

const NAMES: Subscription = Subscription {
    policy: POLICY,
    batch: 32,
    lease: LEASE,
    ..Subscription::new(SERVICE, "pokemon-name-event")
};

const RESULTS: Subscription = Subscription::new(SERVICE, "pokemon-media-result");

/// Handle what is due.
pub(crate) async fn react() -> Result<(), deliveries::Error> {
    let names = Subscription {
        batch: names_at_once().await,
        ..NAMES
    };
    // At once: a slow upstream must not keep what was fetched from being noted.
    let (ingests, species, results) = join3(
        drain(&INGESTS, on_ingest),
        drain(&names, on_name),
        drain(&RESULTS, on_result),
    )
    .await;
    relay::flush().await;
    ingests.and(species).and(results)
}

async fn on_ingest(received: &Received) -> Result<Unit, Verdict> {
    match received.kind() {
        GenerationRequested::KIND => {
            let step: GenerationRequested = received.data()?;
            accounted(received, &step, generation_step::handle(received, &step)).await
        }
        ProductPageRequested::KIND => {
            let step: ProductPageRequested = received.data()?;
            accounted(received, &step, product_step::handle(received, &step)).await
        }
        kind => Err(Verdict::unknown(kind)),
    }
}

async fn on_name(received: &Received) -> Result<Unit, Verdict> {
    let step: PokemonNamed = received.data()?;
    accounted(received, &step, species_step::handle(received, &step)).await
}

async fn on_result(received: &Received) -> Result<Unit, Verdict> {
    match received.kind() {
        MediaStored::KIND => media_result::on_stored(received, received.data()?).await,
        MediaFailed::KIND => media_result::on_failed(received, received.data()?).await,
        kind => Err(Verdict::unknown(kind)),
    }
}

/// The relay of this instance, and the settings it was made with.
pub(crate) async fn relay() -> Result<(&'static Relay, Arc<Settings>), RelayError> {
    static RELAY: OnceLock<Relay> = OnceLock::new();
    let settings = Settings::get()
        .await
        .map_err(|error| RelayError::Unavailable(error.to_string()))?;
    let relay = RELAY.get_or_init(|| Relay::new(settings.relay.clone()));
    Ok((relay, settings))
}

/// A species takes three requests or more. With a slow rate fewer are begun at
/// once, so that none has to wait for its turn until its lease ends.
async fn names_at_once() -> u32 {
    match Settings::get().await {
        Ok(settings) => settings.relay.per_second.clamp(1, NAMES.batch),
        Err(_) => 1,
    }
}
