//! One instance of an adapter, with a verb for each function of the contract.

use wasmtime::{
    Store,
    component::{Accessor, ResourceAny},
};

use super::*;

/// An instance in a host of its own.
pub struct Elsewhere {
    pub instance: Instance,
    pub(super) host: Host,
}

/// One instance of an adapter. Dropping it is what a crash leaves behind.
pub struct Instance {
    pub(super) store: Store<State>,
    pub(super) exports: Exports,
}

impl Elsewhere {
    /// The wakes of a topic that this host sends, from now on.
    pub async fn wakes(&self, topic: &str) -> Wakes {
        let subscribed = self.host.subscribe(REDIS, topic).await;
        subscribed.expect("a subscription")
    }

    /// Publish a message on the channel of a topic.
    pub async fn publish(&self, topic: &str, payload: &[u8]) {
        let published = self.host.publish(REDIS, topic, payload.to_vec()).await;
        published.expect("published");
    }
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
        subscription: Subscription, worker: Option<String>, limit: u32, lease_ms: u32
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
    emporium_platform_dead_letters: replay = call_replay(
        deliveries: Vec<u64>, per_second: Option<u32>
    )
        -> Result<u32, dead_letters::Error>;
    emporium_platform_dead_letters: discard = call_discard(deliveries: Vec<u64>)
        -> Result<u32, dead_letters::Error>;
    emporium_platform_maintenance: migrate = call_migrate()
        -> Result<maintenance::Schema, maintenance::Error>;
    emporium_platform_maintenance: subscriptions = call_subscriptions()
        -> Result<Vec<maintenance::Status>, maintenance::Error>;
    emporium_platform_maintenance: events = call_events(after: Option<u64>, limit: u32)
        -> Result<Vec<maintenance::Event>, maintenance::Error>;
    emporium_platform_maintenance: pause_for = call_pause(
        service: String, topic: String, for_ms: Option<u64>
    ) -> Result<bool, maintenance::Error>;
    emporium_platform_maintenance: resume_one = call_resume(service: String, topic: String)
        -> Result<bool, maintenance::Error>;
    emporium_platform_maintenance: forget_one = call_forget(service: String, topic: String)
        -> Result<bool, maintenance::Error>;
    emporium_platform_maintenance: due = call_wake_due()
        -> Result<maintenance::Due, maintenance::Error>;
    emporium_platform_maintenance: sweep = call_sweep(retention: maintenance::Retention)
        -> Result<maintenance::Swept, maintenance::Error>;
    emporium_platform_workers: announce_for = call_announce(worker: Worker, for_ms: u32)
        -> Result<(), workers::Error>;
    emporium_platform_workers: leave_as = call_leave(id: String) -> Result<(), workers::Error>;
    emporium_platform_workers: list_workers = call_list() -> Result<Vec<Sighting>, workers::Error>;
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

    /// Wake what is due. Returns the topics.
    pub async fn wake_due(&mut self) -> Result<Vec<String>, maintenance::Error> {
        Ok(self.due().await?.topics)
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
        let claimed = self.claim_for(subscription.clone(), None, limit, LEASE_MS);
        claimed.await.expect("deliveries can be claimed")
    }

    /// Claim for a minute, as a consumer does: again while there is more at once.
    pub async fn claim_next(&mut self, subscription: &Subscription, limit: u32) -> Batch {
        loop {
            let batch = self.claim(subscription, limit).await;
            if !batch.deliveries.is_empty() || batch.next_due_in_ms != Some(0) {
                return batch;
            }
        }
    }

    /// Claim for a minute, or as long as a worker is there.
    pub async fn claim_as(
        &mut self,
        worker: &str,
        subscription: &Subscription,
        limit: u32,
    ) -> Vec<deliveries::Delivery> {
        let worker = Some(worker.to_owned());
        let claimed = self.claim_for(subscription.clone(), worker, limit, LEASE_MS);
        claimed.await.expect("deliveries can be claimed").deliveries
    }

    /// Pause a subscription that is there.
    pub async fn pause(&mut self, subscription: &Subscription, for_ms: Option<u64>) {
        let (service, topic) = (subscription.service.clone(), subscription.topic.clone());
        assert_eq!(self.pause_for(service, topic, for_ms).await, Ok(true));
    }

    /// Returns whether there was a pause.
    pub async fn resume(&mut self, subscription: &Subscription) -> bool {
        let (service, topic) = (subscription.service.clone(), subscription.topic.clone());
        self.resume_one(service, topic).await.expect("an answer")
    }

    /// Forget a subscription that is there.
    pub async fn forget(&mut self, subscription: &Subscription) {
        let (service, topic) = (subscription.service.clone(), subscription.topic.clone());
        assert_eq!(self.forget_one(service, topic).await, Ok(true));
    }

    /// Sweep until there is nothing more to look at. Returns the sum.
    pub async fn sweep_all(&mut self, retention: maintenance::Retention) -> maintenance::Swept {
        let mut total = maintenance::Swept {
            more: false,
            events: 0,
            deliveries: 0,
            blobs: 0,
            removals: 0,
            units: 0,
        };
        loop {
            let swept = self.sweep(retention).await.expect("a sweep");
            total.events += swept.events;
            total.deliveries += swept.deliveries;
            total.blobs += swept.blobs;
            total.removals += swept.removals;
            total.units += swept.units;
            if !swept.more {
                return total;
            }
        }
    }

    /// Say that a worker is there, for ten seconds.
    pub async fn announce(&mut self, worker: Worker) {
        self.announce_for(worker, 10_000).await.expect("announced");
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
