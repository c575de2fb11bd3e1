//! A host: an application loaded, and running.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    runtime,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use wasmtime::{Store, component::Instance};

use crate::{
    Options, State,
    application::{Application, NoChain},
    error::Anyhow as _,
    events::{self, Signals},
    http::Server,
    redis::{Redis, Subscription},
    ticker::{self, Ticker},
};

/// How long a shutdown waits for spans to be exported.
const FLUSH: Duration = Duration::from_secs(5);

/// An application, loaded. Hosts share nothing: a process can have several.
pub struct Host {
    application: Arc<Application>,
}

/// A host that serves its triggers.
pub struct Running {
    application: Arc<Application>,
    server: Option<Arc<Server>>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    ticker: Option<JoinHandle<()>>,
    /// Event handlers have their own threads, so that what they compute does
    /// not delay requests, and so that a caller's runtime does not matter.
    runtime: Option<runtime::Runtime>,
}

impl Host {
    /// Reads the manifest and compiles its components. Everything that can be
    /// wrong with them is found here.
    pub fn load(options: Options) -> Result<Self> {
        Ok(Self {
            application: Application::load(options)?,
        })
    }

    /// An instance of `component` with its own grants, to call its exports
    /// directly. Its asynchronous exports are called in
    /// `store.run_concurrent`.
    pub async fn instance(&self, component: &str) -> Result<(Store<State>, Instance)> {
        // What a test computes is the test's affair.
        const UNLIMITED: Duration = Duration::from_secs(u32::MAX as u64);
        let unit = self.application.unit(component)?;
        let mut store = self.application.store(
            &unit,
            self.application.outbound(&unit, Arc::new(NoChain)),
            UNLIMITED,
        )?;
        let instance = unit.pre.instantiate_async(&mut store).await.anyhow()?;
        Ok((store, instance))
    }

    /// Messages of a channel from now on, as a Redis trigger would see them.
    pub async fn subscribe(&self, address: &str, channel: &str) -> Result<Subscription> {
        let mut subscription = self.redis().subscribe(address, channel).await?;
        // It stands for what was before.
        subscription.next().await;
        Ok(subscription)
    }

    /// Publishes a message on a channel.
    pub async fn publish(&self, address: &str, channel: &str, payload: Vec<u8>) -> Result<()> {
        Ok(self.redis().publish(address, channel, payload).await?)
    }

    /// The components that serve HTTP.
    pub(crate) fn services(&self) -> BTreeSet<String> {
        let triggers = self.application.manifest.http.iter();
        triggers.map(|trigger| trigger.component.clone()).collect()
    }

    /// The folder of the databases.
    pub fn state(&self) -> &Path {
        &self.application.options.state
    }

    /// Starts the triggers.
    pub async fn start(&self) -> Result<Running> {
        let application = self.application.clone();
        let runtime = runtime::Builder::new_multi_thread()
            .thread_name("events")
            .enable_all()
            .build()?;
        if let Some(tracer) = &application.tracer {
            let _guard = runtime.enter();
            tracer.start();
        }
        let (stop, stopped) = watch::channel(false);
        let (begun, has_begun) = watch::channel(false);
        let subscribing = {
            let application = application.clone();
            let signals = Signals { stopped, has_begun };
            runtime.spawn(async move { events::subscribe(&application, &signals).await })
        };
        let listeners = subscribing.await??;
        let server = match application.manifest.http.is_empty() {
            true => None,
            false => Some(Arc::new(Server::start(&application)?)),
        };
        let mut running = Running {
            application,
            server,
            stop,
            listeners,
            ticker: None,
            runtime: Some(runtime),
        };
        running.begin_to_tick(begun);
        Ok(running)
    }

    fn redis(&self) -> &Redis {
        self.application.capabilities.redis()
    }
}

impl Running {
    /// Where HTTP is served, if the application has routes.
    pub fn address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(|server| server.address())
    }

    /// Without a ticker, `begun` is dropped.
    fn begin_to_tick(&mut self, begun: watch::Sender<bool>) {
        if let (Some(runtime), Some(server), Some(period)) =
            (&self.runtime, &self.server, self.application.options.tick)
        {
            let ticker = Ticker::new(&self.application, server, period, begun);
            self.ticker = Some(runtime.spawn(ticker.run(self.stop.subscribe())));
        }
    }

    /// Takes on nothing new, waits for what is under way, and stops.
    pub async fn shutdown(mut self) -> Result<()> {
        self.stop.send_replace(true);
        if let Some(server) = &self.server {
            server.stop();
        }
        let drain = self.application.options.limits.drain;
        let drained = tokio::time::timeout(drain, async {
            while self.listeners.join_next().await.is_some() {}
            if let Some(ticker) = self.ticker.take() {
                let _ = ticker.await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!("some Redis handlers did not end within {drain:?}");
        }
        if let Some(server) = self.server.take() {
            if self.application.options.tick.is_some() {
                ticker::leave(&self.application, &server).await;
            }
            let joined = tokio::task::spawn_blocking(move || server.join());
            joined.await.context("stopping the HTTP server")?;
        }
        if let Some(tracer) = &self.application.tracer
            && tokio::time::timeout(FLUSH, tracer.flush()).await.is_err()
        {
            tracing::warn!("some spans were not exported within {FLUSH:?}");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(server) = &self.server {
            server.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
