//! Messages on their way to a subscriber.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many messages wait for a subscriber.
const MESSAGES_LIMIT: usize = 8192;

/// How large they may be together; Redis disconnects a subscriber at this.
const BYTES_LIMIT: usize = 32 << 20;

/// The messages of a channel since it was subscribed to.
///
/// A subscriber that is too slow misses messages, as Redis promises no delivery
/// either; publishing never waits for one.
pub struct Subscription(pub(super) Arc<Queue>);

impl Subscription {
    /// The next message; `None` if there will be no further one.
    ///
    /// A message is not lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.0.pop() {
                return Some(message);
            }
            self.0.arrived.notified().await;
        }
    }
}

/// The messages that wait for one subscriber.
pub(super) struct Queue {
    channel: String,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether messages were dropped since the queue was last empty.
    overflows: bool,
}

impl Queue {
    pub(super) fn new(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(super) fn push(&self, message: &[u8]) {
        let mut waiting = self.lock();
        let bytes = waiting.bytes + message.len();
        if waiting.messages.len() == MESSAGES_LIMIT || bytes > BYTES_LIMIT {
            if !waiting.overflows {
                waiting.overflows = true;
                tracing::warn!(
                    channel = self.channel,
                    "a subscriber is too slow and misses messages"
                );
            }
            return;
        }
        waiting.bytes = bytes;
        waiting.messages.push_back(message.to_vec());
        drop(waiting);
        self.arrived.notify_one();
    }

    fn pop(&self) -> Option<Vec<u8>> {
        let mut waiting = self.lock();
        let message = waiting.messages.pop_front()?;
        waiting.bytes -= message.len();
        waiting.overflows &= !waiting.messages.is_empty();
        Some(message)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_subscriber_does_not_fill_the_memory() {
        let queue = Queue::new("order.placed");
        for _ in 0..2 * MESSAGES_LIMIT {
            queue.push(b"wake");
        }
        assert_eq!(queue.lock().messages.len(), MESSAGES_LIMIT);
        let queue = Queue::new("order.placed");
        for _ in 0..100 {
            queue.push(&[0; 1 << 20]);
        }
        assert_eq!(queue.lock().bytes, BYTES_LIMIT);
        while queue.pop().is_some() {}
        assert_eq!(queue.lock().bytes, 0);
    }
}
