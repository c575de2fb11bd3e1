//! `spin:redis`: commands to a broker.

use wasmtime::component::{Accessor, Resource};

use super::{Capability, CapabilityCtx, OPEN_LIMIT, REPLY_LIMIT};
use crate::bindings::spin::redis::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use crate::net::{OutboundUrl, PermittedNetworks};
use crate::redis::{Client, Redis, RedisError, Reply};

/// A component's connection to a broker.
#[derive(Clone)]
#[expect(unreachable_pub, reason = "the generated bindings export it again")]
pub struct Connection(Client);

impl CapabilityCtx<'_> {
    /// The brokers, if the component may connect to `address`, and where it may
    /// lead.
    pub(super) fn brokers(&self, address: &str) -> Result<(Redis, PermittedNetworks), Error> {
        let grants = &self.state.grants;
        let url = OutboundUrl::parse(address, "redis").map_err(|_| Error::InvalidAddress)?;
        if !grants.allowed_outbound_hosts.allows(&url) {
            grants.refuse("connect to", &url.to_string(), "allowed_outbound_hosts");
            return Err(Error::InvalidAddress);
        }
        let networks = match self.state.shared.means(grants, &url) {
            true => self.state.shared.networks().for_named(),
            false => self.state.shared.networks().clone(),
        };
        Ok((self.state.shared.redis().clone(), networks))
    }

    pub(super) fn keep_connection(
        &mut self,
        client: Client,
    ) -> Result<Resource<Connection>, Error> {
        if self.state.open.redis == OPEN_LIMIT {
            return Err(Error::TooManyConnections);
        }
        let connection = self
            .table
            .push(Connection(client))
            .map_err(|_| Error::TooManyConnections)?;
        self.state.open.redis += 1;
        Ok(connection)
    }
}

impl Host for CapabilityCtx<'_> {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl HostConnection for CapabilityCtx<'_> {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.state.open.redis -= 1;
        Ok(())
    }
}

/// Execute a command on a component's connection.
async fn command<T>(
    accessor: &Accessor<T, Capability>,
    connection: &Resource<Connection>,
    command: &str,
    arguments: Vec<Vec<u8>>,
) -> Result<Reply, Error> {
    let Connection(client) = accessor
        .with(|mut access| access.get().table.get(connection).cloned())
        .map_err(|_| Error::Other("could not find connection for resource".into()))?;
    client
        .execute(command, arguments)
        .await
        .map_err(from_broker)
}

/// A key, and what else a command is about.
fn arguments(key: String, values: Vec<String>) -> Vec<Vec<u8>> {
    std::iter::once(key)
        .chain(values)
        .map(String::into_bytes)
        .collect()
}

impl<T: Send> HostConnectionWithStore<T> for Capability {
    async fn open(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> Result<Resource<Connection>, Error> {
        let (brokers, networks) = accessor.with(|mut access| access.get().brokers(&address))?;
        let client = brokers.connect(&address, networks).await;
        let client = client.map_err(from_broker)?;
        accessor.with(|mut access| access.get().keep_connection(client))
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let span = accessor.with(|mut access| {
            let scope = access.get().state.scope.as_ref();
            scope.and_then(|scope| scope.publish(&channel, &payload))
        });
        let arguments = vec![channel.into_bytes(), payload];
        let published = command(accessor, &connection, "PUBLISH", arguments).await;
        if let (Some(mut span), Err(error)) = (span, &published) {
            span.fail(format!("{error:?}"));
        }
        published.map(drop)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        match command(accessor, &connection, "GET", arguments(key, vec![])).await? {
            Reply::Nil => Ok(None),
            Reply::Bytes(value) if value.len() > REPLY_LIMIT => Err(too_large()),
            Reply::Bytes(value) => Ok(Some(value)),
            Reply::Status(_) | Reply::Integer(_) | Reply::List(_) => Err(Error::TypeError),
        }
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        command(accessor, &connection, "SET", vec![key.into_bytes(), value])
            .await
            .map(drop)
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        integer(command(accessor, &connection, "INCR", arguments(key, vec![])).await?)
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        let keys = keys.into_iter().map(String::into_bytes).collect();
        integer(command(accessor, &connection, "DEL", keys).await?)
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        integer(command(accessor, &connection, "SADD", arguments(key, values)).await?)
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let reply = command(accessor, &connection, "SMEMBERS", arguments(key, vec![])).await?;
        let members = flatten(reply)?.into_iter().map(|member| match member {
            RedisResult::Binary(member) => String::from_utf8(member).map_err(|_| Error::TypeError),
            RedisResult::Nil | RedisResult::Status(_) | RedisResult::Int64(_) => {
                Err(Error::TypeError)
            }
        });
        members.collect()
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        integer(command(accessor, &connection, "SREM", arguments(key, values)).await?)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        name: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let arguments = arguments.into_iter().map(|argument| match argument {
            RedisParameter::Int64(value) => value.to_string().into_bytes(),
            RedisParameter::Binary(value) => value,
        });
        flatten(command(accessor, &connection, &name, arguments.collect()).await?)
    }
}

fn integer<N: TryFrom<i64>>(reply: Reply) -> Result<N, Error> {
    match reply {
        Reply::Integer(value) => value.try_into().map_err(|_| Error::TypeError),
        Reply::Nil | Reply::Status(_) | Reply::Bytes(_) | Reply::List(_) => Err(Error::TypeError),
    }
}

/// Spin returns the elements of a list, and those of a list in it, in one list.
fn flatten(reply: Reply) -> Result<Vec<RedisResult>, Error> {
    fn append(
        results: &mut Vec<RedisResult>,
        bytes: &mut usize,
        reply: Reply,
    ) -> Result<(), Error> {
        *bytes += size_of::<RedisResult>();
        match reply {
            Reply::Nil => results.push(RedisResult::Nil),
            Reply::Status(status) => results.push(RedisResult::Status(status.into())),
            Reply::Integer(value) => results.push(RedisResult::Int64(value)),
            Reply::Bytes(value) => {
                *bytes += value.len();
                results.push(RedisResult::Binary(value));
            }
            Reply::List(replies) => {
                return replies
                    .into_iter()
                    .try_for_each(|reply| append(results, bytes, reply));
            }
        }
        if *bytes > REPLY_LIMIT {
            Err(too_large())
        } else {
            Ok(())
        }
    }
    let mut results = Vec::new();
    append(&mut results, &mut 0, reply)?;
    Ok(results)
}

fn too_large() -> Error {
    Error::Other(format!("query result exceeds limit of {REPLY_LIMIT} bytes"))
}

fn from_broker(error: RedisError) -> Error {
    match error {
        RedisError::InvalidAddress(_) => Error::InvalidAddress,
        RedisError::TooManyServers => Error::TooManyConnections,
        RedisError::WrongType | RedisError::NotAnInteger => Error::TypeError,
        RedisError::OutOfMemory | RedisError::Unreachable(_) | RedisError::Other(_) => {
            Error::Other(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_are_flattened_in_order() {
        let inner = Reply::List(vec![Reply::Integer(1), Reply::Nil]);
        let reply = Reply::List(vec![
            Reply::Status("OK".into()),
            inner,
            Reply::Bytes(vec![0]),
        ]);
        let results = flatten(reply).expect("results");
        let expected = [
            RedisResult::Status("OK".into()),
            RedisResult::Int64(1),
            RedisResult::Nil,
            RedisResult::Binary(vec![0]),
        ];
        assert_eq!(format!("{results:?}"), format!("{expected:?}"));
    }

    #[test]
    fn every_refusal_has_its_error() {
        for (refusal, error) in [
            (
                RedisError::InvalidAddress(crate::redis::InvalidRedisAddress),
                Error::InvalidAddress,
            ),
            (RedisError::TooManyServers, Error::TooManyConnections),
            (RedisError::WrongType, Error::TypeError),
            (RedisError::NotAnInteger, Error::TypeError),
            (
                RedisError::Other("ERR x".into()),
                Error::Other("ERR x".into()),
            ),
        ] {
            assert_eq!(format!("{:?}", from_broker(refusal)), format!("{error:?}"));
        }
    }
}
