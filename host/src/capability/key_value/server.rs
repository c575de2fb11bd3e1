//! A key-value store in a Redis server, as Spin keeps one there: its keys are
//! those of the database.

use crate::bindings::spin::key_value::key_value::Error;
use crate::capability::REPLY_LIMIT;
use crate::net::PermittedNetworks;
use crate::redis::{Redis, Reply};

/// An open store.
#[derive(Clone)]
pub(in crate::capability) struct Store {
    redis: Redis,
    url: String,
}

impl Store {
    pub(super) fn new(redis: Redis, url: String) -> Self {
        Self { redis, url }
    }

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        match self.execute("GET", vec![key.into()]).await? {
            Reply::Bytes(value) if value.len() > REPLY_LIMIT => Err(Error::Other(format!(
                "query result exceeds limit of {REPLY_LIMIT} bytes"
            ))),
            Reply::Bytes(value) => Ok(Some(value)),
            Reply::Nil => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        let arguments = vec![key.into(), value];
        self.execute("SET", arguments).await.map(drop)
    }

    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        self.execute("DEL", vec![key.into()]).await.map(drop)
    }

    pub(super) async fn exists(&self, key: String) -> Result<bool, Error> {
        match self.execute("EXISTS", vec![key.into()]).await? {
            Reply::Integer(count) => Ok(count > 0),
            other => Err(unexpected(&other)),
        }
    }

    /// Every key that is text.
    pub(super) async fn keys(&self) -> Result<Vec<String>, Error> {
        let Reply::List(keys) = self.execute("KEYS", vec![b"*".to_vec()]).await? else {
            return Err(Error::Other("the server lists no keys".into()));
        };
        let texts = keys.into_iter().filter_map(|key| match key {
            Reply::Bytes(key) => String::from_utf8(key).ok(),
            _ => None,
        });
        Ok(texts.collect())
    }

    async fn execute(&self, command: &str, arguments: Vec<Vec<u8>>) -> Result<Reply, Error> {
        // The operator chose the address, which may be in any network.
        let networks = PermittedNetworks::all();
        let executed = match self.redis.connect(&self.url, networks).await {
            Ok(client) => client.execute(command, arguments).await,
            Err(error) => Err(error),
        };
        executed.map_err(|error| Error::Other(error.to_string()))
    }
}

fn unexpected(reply: &Reply) -> Error {
    Error::Other(format!("unexpected reply {reply:?}"))
}
