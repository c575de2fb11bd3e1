//! The adapters of the platform contract, as the conformance suite sees them:
//! real components in a real host, over a fresh database, with a clock that the
//! test moves.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use emporium_host::Subscription as Wakes;
use emporium_host::{Clock, Host, Options, Source, State};
use tempfile::TempDir;
use wasmtime::{
    Store,
    component::{Accessor, ResourceAny},
};

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
    share_compiled_code(folder);
    let source = Source::Text {
        text,
        base: folder.to_owned(),
    };
    let mut options = Options::new(source);
    options.state = folder.to_owned();
    options.clock = clock.clone();
    options.tick = None;
    // Room for each instance is reserved, and a test has several hosts.
    options.limits.instances = 16;
    options.show_output = false;
    Host::load(options).expect("the adapter loads")
}

/// Compiling takes a second, and every test has a folder of its own.
fn share_compiled_code(folder: &Path) {
    let shared = crate::target().join("conformance-code");
    fs::create_dir_all(&shared).expect("a folder");
    let link = folder.join("code");
    if !link.exists() {
        std::os::unix::fs::symlink(shared, link).expect("a link");
    }
}

async fn instance(host: &Host, adapter: &Adapter) -> Instance {
    let (mut store, instance) = host.instance(adapter.name).await.expect("an instance");
    let exports = Exports::new(&mut store, &instance).expect("the exports of the contract");
    Instance { store, exports }
}

/// An instance in a host of its own.
pub struct Elsewhere {
    pub instance: Instance,
    _host: Host,
}

/// One instance of an adapter. Dropping it is what a crash leaves behind.
pub struct Instance {
    store: Store<State>,
    exports: Exports,
}

/// Verbs that name their interface and function, and nothing else.
macro_rules! verbs {
    ($($interface:ident: $verb:ident = $function:ident($($name:ident: $type:ty),*) -> $result:ty;)+) => {
        impl Instance {$(
            pub async fn $verb(&mut self, $($name: $type),*) -> $result {
                self.call(async |accessor, exports| {
                    exports.$interface().$function(accessor, $($name),*).await
                }).await
            }
        )+}
    };
}

verbs! {
    emporium_platform_documents: get_many = call_get_many(collection: String, keys: Vec<String>)
        -> Result<Vec<Option<Document>>, documents::Error>;
    emporium_platform_documents: list = call_list(query: Query) -> Result<Page, documents::Error>;
    emporium_platform_journal: commit = call_commit(units: Vec<Unit>)
        -> Vec<Result<Receipt, CommitError>>;
    emporium_platform_deliveries: claim_for = call_claim(
        subscription: Subscription, limit: u32, lease_ms: u32
    ) -> Result<Batch, deliveries::Error>;
    emporium_platform_deliveries: extend = call_extend(leases: Vec<Lease>, lease_ms: u32)
        -> Vec<Result<(), deliveries::Error>>;
    emporium_platform_deliveries: release = call_release(returns: Vec<Return>)
        -> Vec<Result<Fate, deliveries::Error>>;
    emporium_platform_deliveries: bury = call_bury(burials: Vec<Burial>)
        -> Vec<Result<(), deliveries::Error>>;
    emporium_platform_deliveries: wake = call_wake(topic: String) -> Result<(), deliveries::Error>;
    emporium_platform_blobs: put_blob = call_put(content: Vec<u8>)
        -> Result<blobs::Blob, blobs::Error>;
    emporium_platform_blobs: stat = call_stat(digest: String)
        -> Result<Option<blobs::Blob>, blobs::Error>;
    emporium_platform_blobs: read = call_read(digest: String, offset: u64, length: u32)
        -> Result<Option<Vec<u8>>, blobs::Error>;
    emporium_platform_dead_letters: list_dead = call_list(
        filter: dead_letters::Filter, limit: u32, cursor: Option<String>
    ) -> Result<dead_letters::Page, dead_letters::Error>;
    emporium_platform_dead_letters: get_dead = call_get(delivery: u64)
        -> Result<Option<dead_letters::DeadLetter>, dead_letters::Error>;
    emporium_platform_dead_letters: replay = call_replay(deliveries: Vec<u64>)
        -> Result<u32, dead_letters::Error>;
    emporium_platform_dead_letters: discard = call_discard(deliveries: Vec<u64>)
        -> Result<u32, dead_letters::Error>;
    emporium_platform_maintenance: migrate = call_migrate()
        -> Result<maintenance::Schema, maintenance::Error>;
    emporium_platform_maintenance: subscriptions = call_subscriptions()
        -> Result<Vec<maintenance::Status>, maintenance::Error>;
    emporium_platform_maintenance: events = call_events(after: Option<u64>, limit: u32)
        -> Result<Vec<maintenance::Event>, maintenance::Error>;
    emporium_platform_maintenance: wake_due = call_wake_due()
        -> Result<Vec<String>, maintenance::Error>;
    emporium_platform_maintenance: sweep = call_sweep(retention: maintenance::Retention)
        -> Result<maintenance::Swept, maintenance::Error>;
}

impl Instance {
    /// Call exports, also several at once.
    pub async fn call<R>(
        &mut self,
        work: impl AsyncFnOnce(&Accessor<State>, &Exports) -> wasmtime::Result<R>,
    ) -> R {
        let Self { store, exports } = self;
        let called = store
            .run_concurrent(async |accessor| work(accessor, exports).await)
            .await;
        called
            .expect("the host runs the call")
            .expect("the adapter does not trap")
    }

    pub async fn get(
        &mut self,
        collection: &str,
        key: &str,
    ) -> Result<Option<Document>, documents::Error> {
        let (collection, key) = (collection.to_owned(), key.to_owned());
        self.call(async |accessor, exports| {
            exports
                .emporium_platform_documents()
                .call_get(accessor, collection, key)
                .await
        })
        .await
    }

    /// The value of a document that is there.
    pub async fn value(&mut self, collection: &str, key: &str) -> String {
        let document = self
            .get(collection, key)
            .await
            .expect("a document can be read");
        let document = document.unwrap_or_else(|| panic!("there is no {key:?} in {collection:?}"));
        String::from_utf8(document.value).expect("JSON is UTF-8")
    }

    pub async fn commit_one(&mut self, unit: Unit) -> Result<Receipt, CommitError> {
        let mut outcomes = self.commit(vec![unit]).await;
        assert_eq!(outcomes.len(), 1, "one unit has one outcome");
        outcomes.remove(0)
    }

    /// Commit a unit that has to succeed. Returns the versions.
    pub async fn committed(&mut self, unit: Unit) -> Vec<u64> {
        self.commit_one(unit)
            .await
            .expect("the unit is committed")
            .versions
    }

    /// Claim for a minute.
    pub async fn claim(&mut self, subscription: &Subscription, limit: u32) -> Batch {
        let claimed = self.claim_for(subscription.clone(), limit, LEASE_MS).await;
        claimed.expect("deliveries can be claimed")
    }

    /// Claim for a minute. Returns the ids of the events.
    pub async fn claimed_events(&mut self, subscription: &Subscription, limit: u32) -> Vec<String> {
        let batch = self.claim(subscription, limit).await;
        batch
            .deliveries
            .into_iter()
            .map(|delivery| delivery.event_id)
            .collect()
    }

    /// Claim the only delivery there has to be.
    pub async fn claim_one(&mut self, subscription: &Subscription) -> deliveries::Delivery {
        let mut deliveries = self.claim(subscription, 10).await.deliveries;
        assert_eq!(deliveries.len(), 1, "one delivery is due");
        deliveries.remove(0)
    }

    /// Store content part by part.
    pub async fn upload(
        &mut self,
        limit: u64,
        parts: &[&[u8]],
    ) -> Result<blobs::Blob, blobs::Error> {
        let upload = self.start_upload(limit).await?;
        for part in parts {
            if let Err(error) = self.write_upload(upload, part).await {
                self.drop_upload(upload).await;
                return Err(error);
            }
        }
        self.call(async |accessor, exports| {
            exports
                .emporium_platform_blobs()
                .upload()
                .call_finish(accessor, upload)
                .await
        })
        .await
    }

    pub async fn start_upload(&mut self, limit: u64) -> Result<ResourceAny, blobs::Error> {
        self.call(async |accessor, exports| {
            exports
                .emporium_platform_blobs()
                .upload()
                .call_start(accessor, limit)
                .await
        })
        .await
    }

    pub async fn write_upload(
        &mut self,
        upload: ResourceAny,
        part: &[u8],
    ) -> Result<(), blobs::Error> {
        let part = part.to_vec();
        self.call(async |accessor, exports| {
            exports
                .emporium_platform_blobs()
                .upload()
                .call_write(accessor, upload, part)
                .await
        })
        .await
    }

    pub async fn drop_upload(&mut self, upload: ResourceAny) {
        upload
            .resource_drop_async(&mut self.store)
            .await
            .expect("an upload can be dropped");
    }

    /// How the only subscription there has to be is doing.
    pub async fn status(&mut self) -> maintenance::Status {
        let mut statuses = self.subscriptions().await.expect("a report");
        assert_eq!(statuses.len(), 1, "there is one subscription");
        statuses.remove(0)
    }
}

/// The lease of `Instance::claim`.
pub const LEASE_MS: u32 = 60_000;

/// Longer than the lease of `Instance::claim`.
pub const LEASE_OVER: Duration = Duration::from_secs(61);

/// Longer than any wait of `subscription`.
pub const BACKOFF_OVER: Duration = Duration::from_secs(100);

pub fn put(collection: &str, key: &str, value: &str) -> Put {
    Put {
        collection: collection.into(),
        key: key.into(),
        expected: Expectation::Any,
        value: value.into(),
        entries: Vec::new(),
        blobs: Vec::new(),
    }
}

pub fn removal(collection: &str, key: &str) -> Removal {
    Removal {
        collection: collection.into(),
        key: key.into(),
        expected: Expectation::Any,
    }
}

pub fn entry(index: &str, value: &str) -> documents::Entry {
    documents::Entry {
        index: index.into(),
        value: value.into(),
    }
}

pub fn event(topic: &str, id: &str) -> Event {
    Event {
        id: id.into(),
        topic: topic.into(),
        kind: "thing.happened".into(),
        subject: None,
        not_before_ms: None,
        envelope: id.into(),
    }
}

/// An event with an ordering key.
pub fn keyed(topic: &str, id: &str, key: &str) -> Event {
    Event {
        subject: Some(key.into()),
        ..event(topic, id)
    }
}

pub fn puts(puts: impl IntoIterator<Item = Put>) -> Unit {
    let writes = puts.into_iter().map(Write::Put).collect();
    Unit {
        writes,
        events: Vec::new(),
        settles: None,
    }
}

pub fn removes(removal: Removal) -> Unit {
    Unit {
        writes: vec![Write::Remove(removal)],
        events: Vec::new(),
        settles: None,
    }
}

pub fn publishes(events: impl IntoIterator<Item = Event>) -> Unit {
    Unit {
        writes: Vec::new(),
        events: events.into_iter().collect(),
        settles: None,
    }
}

/// A unit that does nothing but end a delivery.
pub fn settles(lease: Lease) -> Unit {
    Unit {
        writes: Vec::new(),
        events: Vec::new(),
        settles: Some(lease),
    }
}

/// Three attempts, a second apart at first; nothing blocks.
pub fn subscription(service: &str, topic: &str) -> Subscription {
    Subscription {
        service: service.into(),
        topic: topic.into(),
        policy: Policy {
            max_attempts: 3,
            backoff_base_ms: 1000,
            backoff_cap_ms: 60_000,
            after_death: AfterDeath::Proceed,
        },
    }
}

/// As `subscription`, where a dead delivery blocks its key.
pub fn blocking_subscription(service: &str, topic: &str) -> Subscription {
    let mut subscription = subscription(service, topic);
    subscription.policy.after_death = AfterDeath::Block;
    subscription
}

pub fn back(lease: Lease, reason: &str) -> Return {
    Return {
        lease,
        retry_after_ms: None,
        reason: reason.into(),
    }
}

pub fn burial(lease: Lease, reason: &str) -> Burial {
    Burial {
        lease,
        reason: reason.into(),
    }
}

/// A query for all documents of a collection, ascending.
pub fn every(collection: &str) -> Query {
    Query {
        collection: collection.into(),
        selection: Selection::Every,
        order: Order::Ascending,
        limit: 100,
        cursor: None,
    }
}

/// All dead letters.
pub fn nothing_filtered() -> dead_letters::Filter {
    dead_letters::Filter {
        service: None,
        topic: None,
        kind: None,
    }
}
