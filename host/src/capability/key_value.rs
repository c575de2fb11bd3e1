//! `spin:key-value`: small values under a key, on SQLite.

mod store;

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

#[expect(unreachable_pub, reason = "the generated bindings export it again")]
pub use self::store::Store;
pub(super) use self::store::Stores;
use super::{Capability, CapabilityCtx, OPEN_LIMIT};
use crate::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};

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
        find(accessor, &store)?.get(&key)
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        find(accessor, &store)?.set(key, value).await
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<(), Error> {
        find(accessor, &store)?.delete(key).await
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<bool, Error> {
        find(accessor, &store)?.exists(&key)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let (keys, outcome) = find(accessor, &store)?.keys();
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            Ok((keys, FutureReader::new(&mut access, outcome)?))
        })
    }
}
