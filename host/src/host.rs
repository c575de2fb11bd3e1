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
    chores::{self, Announcer, Ticker},
    error::Anyhow as _,
    events::{self, Signals},
    http::Server,
    redis::{Redis, Subscription},
};

/// How long a shutdown waits for spans to be exported.
const FLUSH: Duration = Duration::from_secs(5);

/// How long a shutdown waits for an announcement that is under way.
const LAST_ANNOUNCEMENT: Duration = Duration::from_secs(2);

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
    tickers: JoinSet<()>,
    announcer: Option<Announcing>,
    /// Event handlers have their own threads, so that what they compute does
    /// not delay requests, and so that a caller's runtime does not matter.
    runtime: Option<runtime::Runtime>,
    /// So have the loops of the host itself, which are nearly always asleep.
    chores: Option<runtime::Runtime>,
}

/// An announcer that runs until the work of the host has ended.
struct Announcing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
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
            None,
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
        let (announcements, announced) = watch::channel(0);
        let subscribing = {
            let application = application.clone();
            let signals = Signals { stopped, announced };
            runtime.spawn(async move { events::subscribe(&application, &signals).await })
        };
        let listeners = subscribing.await??;
        let server = match application.manifest.http.is_empty() {
            true => None,
            false => Some(Arc::new(Server::start(&application)?)),
        };
        let chores = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("chores")
            .enable_all()
            .build()?;
        let mut running = Running {
            application,
            server,
            stop,
            listeners,
            tickers: JoinSet::new(),
            announcer: None,
            runtime: Some(runtime),
            chores: Some(chores),
        };
        running.begin_chores(announcements);
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

    /// Without chores, `announcements` is dropped.
    fn begin_chores(&mut self, announcements: watch::Sender<u64>) {
        let (Some(chores), Some(server), Some(period)) =
            (&self.chores, &self.server, self.application.options.tick)
        else {
            return;
        };
        let (application, announced) = (&self.application, announcements.subscribe());
        let stopped = self.stop.subscribe();
        let ticker = Ticker::new(application, server, period, announced, stopped);
        self.tickers
            .spawn_on(ticker.clone().wake(), chores.handle());
        self.tickers.spawn_on(ticker.tidy_up(), chores.handle());
        let (stop, stopped) = watch::channel(false);
        let announcer = Announcer::new(application, server, period, announcements);
        let task = chores.spawn(announcer.run(stopped));
        self.announcer = Some(Announcing { stop, task });
    }

    /// Announces this host no more, and takes leave.
    async fn leave(&mut self, server: &Server) {
        let Some(Announcing { stop, mut task }) = self.announcer.take() else {
            return;
        };
        stop.send_replace(true);
        if tokio::time::timeout(LAST_ANNOUNCEMENT, &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
        chores::leave(&self.application, server).await;
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
            while self.tickers.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            tracing::warn!("some Redis handlers did not end within {drain:?}");
        }
        if let Some(server) = self.server.take() {
            self.leave(&server).await;
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
        for runtime in [self.runtime.take(), self.chores.take()] {
            runtime
                .into_iter()
                .for_each(runtime::Runtime::shutdown_background);
        }
    }
}
