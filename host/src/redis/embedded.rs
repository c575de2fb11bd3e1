//! A broker in the memory of the host.
//!
//! What it keeps is lost with the host, as with a Redis that persists nothing.
//! Every command takes microseconds and none waits, so they are executed under a
//! lock on whatever thread asks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::keyspace::Keyspace;
use super::subscription::{Queue, Subscription};
use super::{RedisAddress, RedisError, Reply, command};

/// How many servers there may be; a component that may connect anywhere must not
/// make ever more of them.
const SERVERS_LIMIT: usize = 64;

/// How many databases a server has; the figure is that of Redis.
const DATABASES: u32 = 16;

/// The servers by host and port, made when they are first connected to.
#[derive(Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<HashMap<Origin, Arc<Server>>>>);

/// The host and port of a server.
type Origin = (String, u16);

impl Servers {
    pub(super) fn connect(&self, address: &RedisAddress) -> Result<Client, RedisError> {
        if address.database >= DATABASES {
            return Err(RedisError::Other("ERR DB index is out of range".into()));
        }
        let mut servers = lock(&self.0);
        let origin = (address.host.clone(), address.port);
        if servers.len() == SERVERS_LIMIT && !servers.contains_key(&origin) {
            return Err(RedisError::TooManyServers);
        }
        let server = Arc::clone(servers.entry(origin).or_default());
        Ok(Client {
            server,
            database: address.database,
        })
    }
}

/// A server: databases, which are separate, and channels, which they share.
#[derive(Default)]
struct Server {
    databases: Mutex<HashMap<u32, Keyspace>>,
    channels: Mutex<HashMap<Vec<u8>, Vec<Weak<Queue>>>>,
}

/// A connection to one database of a server.
#[derive(Clone)]
pub(crate) struct Client {
    server: Arc<Server>,
    database: u32,
}

impl Client {
    pub(super) fn subscribe(&self, channel: &str) -> Subscription {
        let queue = Arc::new(Queue::new(channel));
        queue.push(&[]);
        let mut channels = lock(&self.server.channels);
        let queues = channels.entry(channel.into()).or_default();
        queues.retain(|queue| queue.strong_count() > 0);
        queues.push(Arc::downgrade(&queue));
        Subscription(queue)
    }

    pub(super) fn execute(
        &self,
        command: &str,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Reply, RedisError> {
        let command = command.to_ascii_uppercase();
        match (command.as_str(), arguments.as_slice()) {
            ("PUBLISH", [channel, message]) => Ok(Reply::Integer(self.publish(channel, message))),
            ("FLUSHALL", []) => {
                lock(&self.server.databases).clear();
                Ok(Reply::Status("OK".into()))
            }
            _ => {
                let mut databases = lock(&self.server.databases);
                let keyspace = databases.entry(self.database).or_default();
                command::execute(keyspace, &command, arguments, Instant::now())
            }
        }
    }

    /// The number of subscribers that the message was sent to.
    fn publish(&self, channel: &[u8], message: &[u8]) -> i64 {
        let mut channels = lock(&self.server.channels);
        let Some(queues) = channels.get_mut(channel) else {
            return 0;
        };
        let mut reached = 0;
        queues.retain(|queue| {
            let Some(queue) = queue.upgrade() else {
                return false;
            };
            queue.push(message);
            reached += 1;
            true
        });
        if queues.is_empty() {
            channels.remove(channel);
        }
        reached
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::Redis;
    use super::*;
    use crate::net::PermittedNetworks;

    async fn execute(redis: &Redis, address: &str, command: &str) -> Result<Reply, RedisError> {
        let mut words = command.split(' ');
        let command = words.next().unwrap_or_default();
        let arguments = words.map(Into::into).collect();
        redis
            .connect(address, PermittedNetworks::all())
            .await?
            .execute(command, arguments)
            .await
    }

    #[tokio::test]
    async fn a_message_reaches_every_subscriber_of_its_channel() {
        let redis = Redis::embedded();
        let mut ours = redis
            .subscribe("redis://h", "a")
            .await
            .expect("subscription");
        let mut theirs = redis
            .subscribe("redis://h:6379/2", "a")
            .await
            .expect("subscription");
        let _other = redis
            .subscribe("redis://h", "b")
            .await
            .expect("subscription");
        let reached = execute(&redis, "redis://h/1", "PUBLISH a message").await;
        assert_eq!(reached, Ok(Reply::Integer(2)));
        for subscription in [&mut ours, &mut theirs] {
            assert_eq!(subscription.next().await.as_deref(), Some(&[][..]));
        }
        assert_eq!(ours.next().await.as_deref(), Some(&b"message"[..]));
        assert_eq!(theirs.next().await.as_deref(), Some(&b"message"[..]));
    }

    #[tokio::test]
    async fn a_subscriber_that_left_is_forgotten() {
        let redis = Redis::embedded();
        drop(
            redis
                .subscribe("redis://h", "a")
                .await
                .expect("subscription"),
        );
        assert_eq!(
            execute(&redis, "redis://h", "publish a x").await,
            Ok(Reply::Integer(0))
        );
        let Redis::Embedded(Servers(servers)) = &redis else {
            unreachable!("it is embedded")
        };
        assert!(
            lock(servers)
                .values()
                .all(|server| lock(&server.channels).is_empty())
        );
    }

    #[tokio::test]
    async fn messages_keep_their_order() {
        let redis = Redis::embedded();
        let mut subscription = redis
            .subscribe("redis://h", "a")
            .await
            .expect("subscription");
        for message in [b"1", b"2", b"3"] {
            redis
                .publish("redis://h", "a", message.to_vec())
                .await
                .expect("publish");
        }
        assert_eq!(subscription.next().await.as_deref(), Some(&[][..]));
        for message in [b"1", b"2", b"3"] {
            assert_eq!(subscription.next().await.as_deref(), Some(&message[..]));
        }
    }

    #[tokio::test]
    async fn databases_and_servers_are_separate() {
        let redis = Redis::embedded();
        execute(&redis, "redis://h/1", "SET key value")
            .await
            .expect("set");
        for elsewhere in ["redis://h/2", "redis://h:1/1", "redis://g/1"] {
            assert_eq!(
                execute(&redis, elsewhere, "GET key").await,
                Ok(Reply::Nil),
                "{elsewhere}"
            );
        }
        execute(&redis, "redis://h/2", "FLUSHALL")
            .await
            .expect("flush");
        assert_eq!(
            execute(&redis, "redis://h/1", "GET key").await,
            Ok(Reply::Nil)
        );
    }

    #[tokio::test]
    async fn servers_and_databases_are_limited() {
        let redis = Redis::embedded();
        for port in 1..=SERVERS_LIMIT {
            execute(&redis, &format!("redis://h:{port}"), "PING")
                .await
                .expect("ping");
        }
        let further = execute(&redis, "redis://g", "PING").await;
        assert_eq!(further, Err(RedisError::TooManyServers));
        assert!(execute(&redis, "redis://h:1/16", "PING").await.is_err());
    }
}
