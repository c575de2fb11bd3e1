//! The adapters of the platform contract, as the conformance suite sees them:
//! real components in a real host, over a fresh database, with a clock that the
//! test moves.

use std::{
    cell::Cell,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use emporium_host::Pace;
pub use emporium_host::Subscription as Wakes;
use emporium_host::{Clock, Host, Options, Source, State};
use tempfile::TempDir;

mod builders;
mod database;
mod instance;

use crate::servers::Postgres;
pub use builders::*;
pub use database::Database;
pub use instance::{Elsewhere, Instance};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "platform",
        additional_derives: [PartialEq],
    });
}

pub use bindings::{
    Platform as Exports,
    exports::emporium::platform::{
        blobs, dead_letters, deliveries, documents, journal, maintenance, workers,
    },
};
use deliveries::{
    AfterDeath, Batch, Burial, Delivery, DuringRetry, Fate, Lease, Policy, Return, Subscription,
};
use documents::{Document, Order, Page, Query, Selection};
use journal::{CommitError, Event, Expectation, Put, Receipt, Removal, Settlement, Unit, Write};
use workers::{Sighting, Worker};

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
    /// Makes an empty database, for a host with this folder.
    create: fn(&Path) -> Database,
}

pub static SQLITE: Adapter = Adapter {
    name: "platform-sqlite",
    short_name: "sqlite",
    create: |folder| Database::Sqlite(folder.join("sqlite-default.db")),
};

pub static POSTGRES: Adapter = Adapter {
    name: "platform-postgres",
    short_name: "postgres",
    create: |_| Database::Postgres(Postgres::shared().database()),
};

/// An adapter over a fresh database.
pub struct Platform {
    pub adapter: &'static Adapter,
    host: Host,
    clock: Clock,
    /// How far the clock is ahead, in milliseconds.
    ahead_ms: Cell<i64>,
    pub database: Database,
    folder: TempDir,
}

/// Declares tests that every adapter has to pass. Each is one test per adapter.
#[macro_export]
macro_rules! conformance {
    ($(async fn $name:ident($platform:ident) $body:block)+) => {
        $crate::conformance_of!(sqlite, SQLITE, [$($name)+]);
        $crate::conformance_of!(postgres, POSTGRES, [$($name)+]);
        $(async fn $name($platform: &$crate::platform::Platform) $body)+
    };
}

/// Declares tests of one adapter, by the names of the functions that they run.
#[macro_export]
macro_rules! conformance_of {
    ($module:ident, $adapter:ident, [$($name:ident)+]) => {
        mod $module {$(
            #[test]
            fn $name() {
                let adapter = &$crate::platform::$adapter;
                $crate::platform::run(adapter, async |platform| super::$name(platform).await);
            }
        )+}
    };
}

/// What no test takes, however busy the machine is.
const LONGEST_TEST: Duration = Duration::from_secs(120);

/// Run a test on an adapter.
pub fn run(adapter: &'static Adapter, test: impl AsyncFnOnce(&Platform)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let platform = Platform::open(adapter, folder);
        tokio::time::timeout(LONGEST_TEST, test(&platform))
            .await
            .expect("the test ends");
    });
}

impl Platform {
    /// An adapter over a fresh database in this folder.
    pub fn open(adapter: &'static Adapter, folder: TempDir) -> Self {
        let clock = Clock::default();
        let database = (adapter.create)(folder.path());
        let host = load(
            adapter,
            &database,
            folder.path(),
            &clock,
            Redis::Reachable,
            Pace::default(),
        );
        Self {
            adapter,
            host,
            clock,
            ahead_ms: Cell::default(),
            database,
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
        self.another(redis, Pace::default()).await
    }

    /// As `elsewhere`, with statements on SQLite that wait for what the test says.
    pub async fn elsewhere_at(&self, pace: Pace) -> Elsewhere {
        self.another(Redis::Reachable, pace).await
    }

    async fn another(&self, redis: Redis, pace: Pace) -> Elsewhere {
        let host = load(
            self.adapter,
            &self.database,
            self.folder.path(),
            &self.clock,
            redis,
            pace,
        );
        let instance = instance(&host, self.adapter).await;
        Elsewhere { instance, host }
    }

    /// Let time pass for every instance.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.move_clock(i64::try_from(ms(by)).expect("a time"));
    }

    /// Set the clock of every instance back, as somebody does who finds it wrong.
    pub fn set_back(&self, by: Duration) {
        self.clock.set_back(by);
        self.move_clock(-i64::try_from(ms(by)).expect("a time"));
    }

    fn move_clock(&self, by_ms: i64) {
        self.ahead_ms.set(self.ahead_ms.get() + by_ms);
        self.database.set_clock(self.ahead_ms.get());
    }

    /// What the instances take the time to be.
    pub fn now_ms(&self) -> u64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a time after 1970");
        ms(now).saturating_add_signed(self.ahead_ms.get())
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
}

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> u64 {
    duration
        .as_millis()
        .try_into()
        .expect("a time before the year 500,000,000")
}

fn load(
    adapter: &Adapter,
    database: &Database,
    folder: &Path,
    clock: &Clock,
    redis: Redis,
    pace: Pace,
) -> Host {
    let (mut hosts, mut variables) = (Vec::new(), Vec::new());
    if redis == Redis::Reachable {
        hosts.push(REDIS.to_owned());
    }
    if redis != Redis::Unset {
        variables.push(format!("redis_address = {REDIS:?}"));
    }
    let grant = match database {
        Database::Sqlite(_) => "sqlite_databases = [\"default\"]",
        Database::Postgres(url) => {
            let port = Postgres::shared().port();
            hosts.push(format!("postgres://127.0.0.1:{port}"));
            variables.push(format!("postgres_url = {url:?}"));
            ""
        }
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
         allowed_outbound_hosts = {hosts:?}\n\
         {grant}\n\
         [component.{name}.variables]\n\
         {variables}\n",
        name = adapter.name,
        source = crate::component(adapter.name),
        variables = variables.join("\n"),
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
    options.pace = pace;
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
