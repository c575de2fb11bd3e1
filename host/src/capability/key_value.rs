//! `spin:key-value`: small values under a key, in SQLite or in a Redis server.

mod server;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::{Capability, CapabilityCtx, OPEN_LIMIT, rows::Rows};
use crate::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use crate::redis::Redis;
use crate::runtime_config::KeyValueStore;

/// The stores of an application.
pub(super) struct Stores {
    /// Those that nothing is said about.
    file: store::Stores,
    elsewhere: BTreeMap<String, Place>,
}

enum Place {
    File(store::Stores),
    Server(server::Store),
}

impl Stores {
    /// Stores in the file at `path`, except for those that say where they are;
    /// `redis` are the servers among those.
    pub(super) fn new(
        path: PathBuf,
        elsewhere: BTreeMap<String, KeyValueStore>,
        redis: &Redis,
    ) -> Self {
        let place = |(label, store)| {
            let place = match store {
                KeyValueStore::Spin { path } => Place::File(store::Stores::new(path?)),
                KeyValueStore::Redis { url } => {
                    Place::Server(server::Store::new(redis.clone(), url))
                }
            };
            Some((label, place))
        };
        Self {
            file: store::Stores::new(path),
            elsewhere: elsewhere.into_iter().filter_map(place).collect(),
        }
    }

    fn open(&self, label: &str) -> Result<Store, Error> {
        match self.elsewhere.get(label) {
            None => self.file.open(label).map(Store::File),
            Some(Place::File(file)) => file.open(label).map(Store::File),
            Some(Place::Server(server)) => Ok(Store::Server(server.clone())),
        }
    }
}

/// An open key-value store.
#[derive(Clone)]
#[expect(
    unreachable_pub,
    private_interfaces,
    reason = "the generated bindings export it again"
)]
pub enum Store {
    File(store::Store),
    Server(server::Store),
}

impl Host for CapabilityCtx<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl HostStore for CapabilityCtx<'_> {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        self.state.open.stores -= 1;
        Ok(())
    }
}

impl CapabilityCtx<'_> {
    pub(super) fn open_store(&mut self, label: &str) -> Result<Resource<Store>, Error> {
        let CapabilityCtx { state, table } = self;
        if !state.grants.key_value_stores.contains(label) {
            state
                .grants
                .refuse("open the key-value store", label, "key_value_stores");
            return Err(Error::AccessDenied);
        }
        if state.open.stores == OPEN_LIMIT {
            return Err(Error::StoreTableFull);
        }
        let store = state.shared.shared.key_value.open(label)?;
        let store = table.push(store).map_err(|_| Error::StoreTableFull)?;
        state.open.stores += 1;
        Ok(store)
    }
}

fn find<T>(accessor: &Accessor<T, Capability>, store: &Resource<Store>) -> Result<Store, Error> {
    accessor.with(|mut access| {
        access
            .get()
            .table
            .get(store)
            .cloned()
            .map_err(|_| Error::NoSuchStore)
    })
}

impl<T: Send> HostStoreWithStore<T> for Capability {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Resource<Store>, Error> {
        accessor.with(|mut access| access.get().open_store(&label))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        match find(accessor, &store)? {
            Store::File(store) => store.get(&key),
            Store::Server(store) => store.get(key).await,
        }
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        match find(accessor, &store)? {
            Store::File(store) => store.set(key, value).await,
            Store::Server(store) => store.set(key, value).await,
        }
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<(), Error> {
        match find(accessor, &store)? {
            Store::File(store) => store.delete(key).await,
            Store::Server(store) => store.delete(key).await,
        }
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<bool, Error> {
        match find(accessor, &store)? {
            Store::File(store) => store.exists(&key),
            Store::Server(store) => store.exists(key).await,
        }
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let store = match find(accessor, &store)? {
            Store::File(store) => store,
            Store::Server(store) => {
                let (keys, outcome) = match store.keys().await {
                    Ok(keys) => (keys, Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                return accessor.with(|mut access| {
                    let keys = StreamReader::new(&mut access, Rows::new(keys, None))?;
                    let outcome = async { wasmtime::error::Ok(outcome) };
                    Ok((keys, FutureReader::new(&mut access, outcome)?))
                });
            }
        };
        let (keys, outcome) = store.keys();
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            Ok((keys, FutureReader::new(&mut access, outcome)?))
        })
    }
}
