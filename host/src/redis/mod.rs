//! The message broker behind `spin:redis` and the Redis trigger.
//!
//! This is the seam between the host and a broker, which is either embedded, and
//! lives in the host's memory, or a server.

mod address;
mod command;
mod embedded;
mod keyspace;
mod listener;
mod remote;
mod subscription;

use std::{borrow::Cow, sync::Arc};

use rustls::ClientConfig;

pub(crate) use self::address::{InvalidRedisAddress, RedisAddress};
pub use self::subscription::Subscription;
use crate::net::PermittedNetworks;

/// The brokers of an application.
#[derive(Clone)]
pub(crate) enum Redis {
    /// One in-process server for every host and port.
    Embedded(embedded::Servers),
    /// Servers, at their addresses.
    Remote(remote::Servers),
}

/// A connection to one broker.
#[derive(Clone)]
pub(crate) enum Client {
    /// To an in-process server.
    Embedded(embedded::Client),
    /// To a server.
    Remote(remote::Client),
}

/// Why a broker refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedisError {
    #[error(transparent)]
    InvalidAddress(#[from] InvalidRedisAddress),
    #[error("too many servers")]
    TooManyServers,
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// There is no connection, or none any more.
    #[error("{0}")]
    Unreachable(String),
    /// Any other refusal, in the words of Redis.
    #[error("{0}")]
    Other(String),
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Status(Cow<'static, str>),
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Redis {
    /// Brokers in this process, empty.
    pub(crate) fn embedded() -> Self {
        Self::Embedded(embedded::Servers::default())
    }

    /// Servers, at their addresses, connected to like this where encrypted.
    pub(crate) fn remote(tls: Arc<ClientConfig>) -> Self {
        Self::Remote(remote::Servers::new(tls))
    }

    /// Connect to the broker at `address`, if these networks have it.
    pub(crate) async fn connect(
        &self,
        address: &str,
        networks: PermittedNetworks,
    ) -> Result<Client, RedisError> {
        let address = RedisAddress::parse(address)?;
        match self {
            Self::Embedded(servers) => servers.connect(&address).map(Client::Embedded),
            Self::Remote(servers) => {
                let client = servers.client(address, networks);
                client.connect().await?;
                Ok(Client::Remote(client))
            }
        }
    }

    /// Receive the messages of a channel from now on. A server may be away: what
    /// it publishes is received once it is back.
    ///
    /// An empty message stands for all that was missed: the first one for what
    /// was published before, a further one for each time the server was away.
    pub(crate) async fn subscribe(
        &self,
        address: &str,
        channel: &str,
    ) -> Result<Subscription, RedisError> {
        let address = RedisAddress::parse(address)?;
        match self {
            Self::Embedded(servers) => Ok(servers.connect(&address)?.subscribe(channel)),
            Self::Remote(servers) => Ok(listener::subscribe(address, channel, servers.tls())),
        }
    }

    /// Send a message to whoever is subscribed to a channel now.
    pub(crate) async fn publish(
        &self,
        address: &str,
        channel: &str,
        payload: Vec<u8>,
    ) -> Result<(), RedisError> {
        let client = self.connect(address, PermittedNetworks::all()).await?;
        client
            .execute("PUBLISH", vec![channel.into(), payload])
            .await
            .map(drop)
    }
}

impl Client {
    /// Execute a command.
    pub(crate) async fn execute(
        &self,
        command: &str,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Reply, RedisError> {
        match self {
            Self::Embedded(client) => client.execute(command, arguments),
            Self::Remote(client) => client.execute(command, arguments).await,
        }
    }
}
