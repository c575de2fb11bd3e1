//! The Redis trigger: messages of a channel, each handled by a fresh instance.
//!
//! Under Spin one message of an address is handled at a time and a lost
//! connection ends the process. Here a channel has as many handlers as the
//! limits say, and reconnecting is the matter of the subscription.

use std::{collections::BTreeMap, future::poll_fn, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};
use wasmtime::{
    Store,
    component::{ComponentType, Instance, Lift, TypedFunc},
};

use crate::{
    application::{Application, NoChain, Unit},
    capability::outbound::OutboundHttp,
    error::Anyhow as _,
    redis::Subscription,
    state::State,
    telemetry::{counters::RedisCounters, scope::Scope},
};

const INTERFACE: &str = "spin:redis/inbound-redis@3.0.0";

/// How long to wait for the first announcement, which makes this host known: what
/// it claims before cannot be taken from it if it dies.
const ANNOUNCEMENT: Duration = Duration::from_secs(5);

/// What listeners need to know of the host.
#[derive(Clone)]
pub(crate) struct Signals {
    /// Nothing new is taken on.
    pub(crate) stopped: watch::Receiver<bool>,
    /// The host was announced, or is not to be.
    pub(crate) announced: watch::Receiver<u64>,
}

/// A channel of a server, and who listens to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel {
    pub(crate) address: String,
    pub(crate) name: String,
}

/// The channels of the manifest, with their variables put in, and the
/// components that listen to each.
pub(crate) fn channels(application: &Application) -> BTreeMap<Channel, Vec<String>> {
    let mut channels: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for trigger in &application.manifest.redis {
        let address = trigger.address.resolve(&application.variables);
        let name = trigger.channel.resolve(&application.variables);
        channels
            .entry(Channel { address, name })
            .or_default()
            .push(trigger.component.clone());
    }
    channels
}

/// Subscribes to every channel, then handles messages until the host stops, and
/// waits for the handlers that run. The first message of each channel is empty:
/// services look for work that was left when the host last stopped.
pub(crate) async fn subscribe(
    application: &Arc<Application>,
    signals: &Signals,
) -> Result<JoinSet<()>> {
    let mut listeners = JoinSet::new();
    for (channel, components) in channels(application) {
        for id in components {
            let unit = application.unit(&id)?;
            if unit
                .pre
                .component()
                .get_export_index(None, INTERFACE)
                .is_none()
            {
                bail!("component {id:?} has a Redis trigger but does not export `{INTERFACE}`");
            }
            let redis = application.capabilities.redis();
            let subscription = redis
                .subscribe(&channel.address, &channel.name)
                .await
                .with_context(|| {
                    format!("subscribing to {:?} at {}", channel.name, channel.address)
                })?;
            let listener = Listener {
                outbound: application.outbound(&unit, Arc::new(NoChain)),
                application: application.clone(),
                unit,
                channel: channel.name.clone(),
                counters: application.counters.redis(&id),
            };
            listeners.spawn(listener.listen(subscription, signals.clone()));
        }
    }
    Ok(listeners)
}

struct Listener {
    application: Arc<Application>,
    unit: Arc<Unit>,
    outbound: OutboundHttp,
    channel: String,
    counters: Arc<RedisCounters>,
}

impl Listener {
    async fn listen(self, mut subscription: Subscription, signals: Signals) {
        let Signals {
            mut stopped,
            mut announced,
        } = signals;
        // An error means that there is no announcer.
        let _ = timeout(ANNOUNCEMENT, announced.wait_for(|count| *count > 0)).await;
        let limits = &self.application.options.limits;
        let handlers = limits.channel_handlers.get(&self.channel);
        let handlers = *handlers.unwrap_or(&limits.handlers);
        let room = Arc::new(Semaphore::new(handlers.max(1)));
        let mut handlers = JoinSet::new();
        let listener = Arc::new(self);
        loop {
            let message = tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                Some(_) = handlers.join_next() => continue,
                message = subscription.next() => message,
            };
            let Some(mut message) = message else { break };
            // While all handlers are busy, messages wait. Where the one that
            // waits subsumes the others, it waits alone.
            let permit = loop {
                tokio::select! {
                    biased;
                    permit = room.clone().acquire_owned() => break permit,
                    Some(newer) = subscription.next(), if listener.application.options.limits.coalesce => message = newer,
                }
            };
            let listener = listener.clone();
            handlers.spawn(async move {
                let _permit = permit;
                listener.handle(message).await;
            });
        }
        while handlers.join_next().await.is_some() {}
    }

    async fn handle(&self, message: Vec<u8>) {
        let deadline = self.application.options.limits.handler_deadline;
        self.counters.begun();
        let tracer = self.application.tracer.as_ref();
        let traced = tracer.map(|tracer| tracer.message(&self.unit.id, &self.channel, &message));
        let (scope, span) = traced.unzip();
        let calling = self.call(message, deadline, scope);
        let outcome = timeout(deadline, calling).await;
        let outcome =
            outcome.unwrap_or_else(|_| Err(anyhow!("it did not end within {deadline:?}")));
        self.counters.ended(&outcome);
        if let Err(error) = outcome {
            if let Some(mut span) = span.flatten() {
                span.fail(format!("{error:#}"));
            }
            tracing::error!(
                component = self.unit.id,
                channel = self.channel,
                "the Redis handler failed: {error:#}"
            );
        }
    }

    /// Calls the handler in an instance of its own.
    async fn call(&self, message: Vec<u8>, time: Duration, scope: Option<Scope>) -> Result<()> {
        let mut store = self
            .application
            .store(&self.unit, self.outbound.clone(), time, None)?;
        store.data_mut().enter(scope);
        let instance = self.unit.pre.instantiate_async(&mut store).await.anyhow()?;
        let function = handler(&mut store, &instance)?;
        let handled = store.run_concurrent(async |accessor| {
            let (handled,) = function.call_concurrent(accessor, (message,)).await?;
            // What the handler left running is part of handling the message.
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            wasmtime::error::Ok::<Result<(), RedisError>>(handled)
        });
        match handled.await.flatten().anyhow()? {
            Ok(()) => Ok(()),
            Err(RedisError::Other(text)) => bail!("{text}"),
            Err(error) => bail!("{error:?}"),
        }
    }
}

type HandleMessage = TypedFunc<(Vec<u8>,), (Result<(), RedisError>,)>;

fn handler(store: &mut Store<State>, instance: &Instance) -> Result<HandleMessage> {
    let interface = instance
        .get_export_index(&mut *store, None, INTERFACE)
        .context("no handler")?;
    let function = instance.get_export_index(&mut *store, Some(&interface), "handle-message");
    instance
        .get_typed_func(store, function.context("no function")?)
        .anyhow()
}

/// The errors of `spin:redis`.
#[derive(ComponentType, Debug, Lift)]
#[component(variant)]
enum RedisError {
    #[component(name = "invalid-address")]
    InvalidAddress,
    #[component(name = "too-many-connections")]
    TooManyConnections,
    #[component(name = "type-error")]
    TypeError,
    #[component(name = "other")]
    Other(String),
}
