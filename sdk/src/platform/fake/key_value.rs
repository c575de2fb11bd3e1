//! The one key-value store that there is.

use spin_sdk::key_value::Error;

use super::with;

pub(crate) struct Store;

pub(crate) struct Keys(Vec<String>);

impl Store {
    pub(crate) async fn open(_: &str) -> Result<Self, Error> {
        Ok(Self)
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(with(|fake| fake.stored.get(key).cloned()))
    }

    pub(crate) async fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let value = value.as_ref().to_vec();
        with(|fake| fake.stored.insert(key.into(), value));
        Ok(())
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        with(|fake| fake.stored.remove(key));
        Ok(())
    }

    pub(crate) async fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(with(|fake| fake.stored.contains_key(key)))
    }

    pub(crate) async fn get_keys(&self) -> Keys {
        Keys(with(|fake| fake.stored.keys().cloned().collect()))
    }
}

impl Keys {
    pub(crate) async fn collect(self) -> Result<Vec<String>, Error> {
        Ok(self.0)
    }
}
