//! The message broker behind `spin:redis` and the Redis trigger.
//!
//! This is the seam between the host and a broker: the embedded one, which lives
//! in the host's memory, is the only variant. One that talks to a real server is
//! a further variant of [`Redis`] and [`Client`].

mod address;
mod command;
mod embedded;
mod keyspace;
mod subscription;

pub(crate) use self::address::{InvalidRedisAddress, RedisAddress};
use self::embedded::Servers;
pub use self::subscription::Subscription;

/// The brokers of an application.
#[derive(Clone)]
pub(crate) enum Redis {
    /// One in-process server for every host and port.
    Embedded(Servers),
}

/// A connection to one broker.
#[derive(Clone)]
pub(crate) enum Client {
    /// To an in-process server.
    Embedded(embedded::Client),
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
    /// Any other refusal, in the words of Redis.
    #[error("{0}")]
    Other(String),
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Status(&'static str),
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Redis {
    /// Brokers in this process, empty.
    pub(crate) fn embedded() -> Self {
        Self::Embedded(Servers::default())
    }

    /// Connect to the broker at `address`.
    pub(crate) async fn connect(&self, address: &str) -> Result<Client, RedisError> {
        let address = RedisAddress::parse(address)?;
        match self {
            Self::Embedded(servers) => servers.connect(&address).map(Client::Embedded),
        }
    }

    /// Receive the messages of a channel from now on.
    pub(crate) async fn subscribe(
        &self,
        address: &str,
        channel: &str,
    ) -> Result<Subscription, RedisError> {
        match self.connect(address).await? {
            Client::Embedded(client) => Ok(client.subscribe(channel)),
        }
    }

    /// Send a message to whoever is subscribed to a channel now.
    pub(crate) async fn publish(
        &self,
        address: &str,
        channel: &str,
        payload: Vec<u8>,
    ) -> Result<(), RedisError> {
        let client = self.connect(address).await?;
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
        }
    }
}
