//! The adapters of the platform contract, as the conformance suite sees them:
//! real components in a real host, over a fresh database, with a clock that the
//! test moves.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use emporium_host::Subscription as Wakes;
use emporium_host::{Clock, Host, Options, Source, State};
use tempfile::TempDir;

mod builders;
mod instance;

pub use builders::*;
pub use instance::{Elsewhere, Instance};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "platform-sqlite",
        additional_derives: [PartialEq],
    });
}

pub use bindings::{
    PlatformSqlite as Exports,
    exports::emporium::platform::{
        blobs, dead_letters, deliveries, documents, journal, maintenance,
    },
};
use deliveries::{AfterDeath, Batch, Burial, Fate, Lease, Policy, Return, Subscription};
use documents::{Document, Order, Page, Query, Selection};
use journal::{CommitError, Event, Expectation, Put, Receipt, Removal, Unit, Write};

/// Where the wakes go: the server inside the host.
const REDIS: &str = "redis://127.0.0.1:6379";

/// How an adapter reaches Redis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Redis {
    Reachable,
    /// Its address is known, and connecting to it fails.
    OutOfReach,
    /// Nobody said where it is.
    Unset,
}

/// A component that exports the platform contract.
pub struct Adapter {
    pub name: &'static str,
    /// What `maintenance.schema.adapter` says.
    pub short_name: &'static str,
    /// What the manifest grants it besides Redis.
    grants: &'static str,
}

/// Every adapter that this machine can run.
pub const ADAPTERS: [Adapter; 1] = [Adapter {
    name: "platform-sqlite",
    short_name: "sqlite",
    grants: "sqlite_databases = [\"default\"]",
}];

/// An adapter over a fresh database.
pub struct Platform {
    pub adapter: &'static Adapter,
    host: Host,
    clock: Clock,
    /// How far the clock is ahead.
    passed: Cell<Duration>,
    folder: TempDir,
}

/// Declares tests that every adapter has to pass.
#[macro_export]
macro_rules! conformance {
    ($(async fn $name:ident($platform:ident) $body:block)+) => {$(
        #[test]
        fn $name() {
            $crate::platform::for_every_adapter(async |$platform| $body);
        }
    )+};
}

/// Run `test` on each adapter.
pub fn for_every_adapter(test: impl AsyncFn(&Platform)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for adapter in &ADAPTERS {
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            test(&Platform::open(adapter, folder, Clock::default())).await;
        });
    }
}

impl Platform {
    fn open(adapter: &'static Adapter, folder: TempDir, clock: Clock) -> Self {
        let host = load(adapter, folder.path(), &clock, Redis::Reachable);
        Self {
            adapter,
            host,
            clock,
            passed: Cell::default(),
            folder,
        }
    }

    /// An instance of its own, as another service would have it.
    pub async fn instance(&self) -> Instance {
        instance(&self.host, self.adapter).await
    }

    /// An instance in another host on the same database. They share nothing but
    /// the files, as two processes do.
    pub async fn elsewhere(&self) -> Elsewhere {
        self.elsewhere_with(Redis::Reachable).await
    }

    /// As `elsewhere`, with another way to Redis.
    pub async fn elsewhere_with(&self, redis: Redis) -> Elsewhere {
        let host = load(self.adapter, self.folder.path(), &self.clock, redis);
        let instance = instance(&host, self.adapter).await;
        Elsewhere {
            instance,
            _host: host,
        }
    }

    /// Let time pass for every instance.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.passed.set(self.passed.get() + by);
    }

    /// What the instances take the time to be.
    pub fn now_ms(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time after 1970");
        ms(now + self.passed.get())
    }

    /// The wakes of a topic, from now on.
    pub async fn wakes(&self, topic: &str) -> Wakes {
        self.host
            .subscribe(REDIS, topic)
            .await
            .expect("a subscription")
    }

    /// Publish a message on the channel of a topic.
    pub async fn publish(&self, topic: &str, payload: &[u8]) {
        self.host
            .publish(REDIS, topic, payload.to_vec())
            .await
            .expect("published");
    }

    /// The database file, to do to it what no adapter would.
    pub fn database(&self) -> PathBuf {
        self.host.state().join("sqlite-default.db")
    }
}

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> u64 {
    duration
        .as_millis()
        .try_into()
        .expect("a time before the year 500,000,000")
}

fn load(adapter: &Adapter, folder: &Path, clock: &Clock, redis: Redis) -> Host {
    let hosts = match redis {
        Redis::Reachable => format!("{REDIS:?}"),
        Redis::OutOfReach | Redis::Unset => String::new(),
    };
    let variables = match redis {
        Redis::Reachable | Redis::OutOfReach => format!("redis_address = {REDIS:?}"),
        Redis::Unset => String::new(),
    };
    let text = format!(
        "spin_manifest_version = 2\n\
         [application]\n\
         name = \"conformance\"\n\
         [[trigger.http]]\n\
         route = \"/unused\"\n\
         component = \"{name}\"\n\
         [component.{name}]\n\
         source = {source:?}\n\
         allowed_outbound_hosts = [{hosts}]\n\
         {grants}\n\
         [component.{name}.variables]\n\
         {variables}\n",
        name = adapter.name,
        source = crate::component(adapter.name),
        grants = adapter.grants,
    );
    let source = Source::Text {
        text,
        base: folder.to_owned(),
    };
    let mut options = Options::new(source);
    options.state = folder.to_owned();
    // Compiling takes a second, and every test has a folder of its own.
    options.cache = crate::compiled();
    options.clock = clock.clone();
    options.tick = None;
    // Room for each instance is reserved, and a test has several hosts.
    options.limits.instances = 16;
    options.show_output = false;
    Host::load(options).expect("the adapter loads")
}

async fn instance(host: &Host, adapter: &Adapter) -> Instance {
    let (mut store, instance) = host.instance(adapter.name).await.expect("an instance");
    let exports = Exports::new(&mut store, &instance).expect("the exports of the contract");
    Instance { store, exports }
}
