//! A subscription at a server, made again whenever it is lost.

use std::{
    ops::ControlFlow,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use rand::Rng as _;
use redis::aio::PubSub;
use rustls::ClientConfig;

use super::{
    RedisAddress, RedisError, Subscription,
    remote::{CONNECT_TIMEOUT, from_redis, takes_too_long},
    subscription::Queue,
};
use crate::net::PermittedNetworks;

/// How long to wait before connecting again: at first, and at most. A server is
/// found again within a second of its return.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How often a silent server is asked whether it is still there, and how long it
/// may take to say so.
const SILENCE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Receives the messages of a channel until the subscription is dropped.
///
/// What is published while there is no connection is lost, so that an empty
/// message stands for it once there is one.
pub(super) fn subscribe(
    address: RedisAddress,
    channel: &str,
    tls: Arc<ClientConfig>,
) -> Subscription {
    let queue = Arc::new(Queue::new(channel));
    let listener = Listener {
        address,
        tls,
        channel: channel.to_owned(),
        queue: Arc::downgrade(&queue),
    };
    tokio::spawn(listener.listen());
    Subscription(queue)
}

struct Listener {
    address: RedisAddress,
    tls: Arc<ClientConfig>,
    channel: String,
    queue: Weak<Queue>,
}

impl Listener {
    async fn listen(self) {
        let (mut pause, mut lost) = (FIRST_PAUSE, None);
        while self.queue.strong_count() > 0 {
            let error = match self.connect().await {
                Ok(messages) => {
                    if let Some(since) = lost.take() {
                        self.recovered(since);
                    }
                    if let Some(queue) = self.queue.upgrade() {
                        queue.push(&[]);
                    }
                    pause = FIRST_PAUSE;
                    match self.receive(messages).await {
                        ControlFlow::Break(()) => return,
                        ControlFlow::Continue(error) => error,
                    }
                }
                Err(error) => error,
            };
            if lost.is_none() {
                lost = Some(Instant::now());
                let (channel, host, port) = (&self.channel, &self.address.host, self.address.port);
                tracing::warn!(
                    channel,
                    "lost the subscription to {channel:?} at {host}:{port}: {error}; trying again"
                );
            }
            // Hosts that lost the server at once must not all come back at once.
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn connect(&self) -> Result<PubSub, RedisError> {
        let connecting = async {
            let stream = self
                .address
                .dial(&PermittedNetworks::all(), &self.tls)
                .await?;
            let settings = self.address.settings();
            let mut messages = PubSub::new(&settings, stream).await.map_err(from_redis)?;
            let subscribing = messages.subscribe(&self.channel);
            subscribing.await.map_err(from_redis)?;
            Ok(messages)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected.map_err(|_| takes_too_long())?
    }

    /// Passes messages on until the connection is lost, or nobody wants them.
    async fn receive(&self, messages: PubSub) -> ControlFlow<(), RedisError> {
        let (mut sink, mut messages) = messages.split();
        loop {
            match tokio::time::timeout(SILENCE, messages.next()).await {
                Ok(Some(message)) => match self.queue.upgrade() {
                    Some(queue) => queue.push(message.get_payload_bytes()),
                    None => return ControlFlow::Break(()),
                },
                Ok(None) => {
                    let closed = "the connection was closed".into();
                    return ControlFlow::Continue(RedisError::Unreachable(closed));
                }
                Err(_) if self.queue.strong_count() == 0 => return ControlFlow::Break(()),
                Err(_) => {
                    let asked = tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await;
                    if !matches!(asked, Ok(Ok(_))) {
                        let silent = "the server does not answer".into();
                        return ControlFlow::Continue(RedisError::Unreachable(silent));
                    }
                }
            }
        }
    }

    fn recovered(&self, since: Instant) {
        let (channel, after) = (&self.channel, since.elapsed());
        tracing::warn!(
            channel,
            "the subscription to {channel:?} is back after {after:.1?}"
        );
    }
}
