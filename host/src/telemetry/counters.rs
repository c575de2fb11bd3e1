//! What the host counts: requests and messages, by component.
//!
//! Each thread counts for itself, so that counting costs no traffic between
//! cores; whoever asks adds it up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;

/// The bounds of the histograms in milliseconds, those of `maintenance.histogram`.
const BOUNDS_MS: [u64; 18] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 600_000,
];

/// All counters of a host.
#[derive(Default)]
pub(crate) struct Counters {
    http: Registered<HttpCounters>,
    redis: Registered<RedisCounters>,
}

/// The counters of a kind, with the component that each is about.
type Registered<T> = Mutex<Vec<(String, Arc<T>)>>;

/// The HTTP requests of one component on one thread.
#[derive(Default)]
pub(crate) struct HttpCounters {
    /// By the first digit of the status.
    classes: [AtomicU64; 5],
    /// Those that trapped or ran out of time.
    failed: AtomicU64,
    within: [AtomicU64; BOUNDS_MS.len() + 1],
    micros: AtomicU64,
}

/// The Redis messages of one component on one channel.
#[derive(Default)]
pub(crate) struct RedisCounters {
    begun: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Counters for the HTTP requests of `component` on another thread.
    pub(crate) fn http(&self, component: &str) -> Arc<HttpCounters> {
        register(&self.http, component)
    }

    /// Counters for the messages of `component` on another channel.
    pub(crate) fn redis(&self, component: &str) -> Arc<RedisCounters> {
        register(&self.redis, component)
    }

    /// The messages that are being handled.
    pub(crate) fn messages_in_flight(&self) -> u64 {
        let counters = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        let running = counters.iter().map(|(_, counters)| {
            let ended = counters.handled.load(Relaxed) + counters.failed.load(Relaxed);
            // One that ended between the two reads.
            counters.begun.load(Relaxed).saturating_sub(ended)
        });
        running.sum()
    }

    /// What was counted so far, by a name that consists of the family, the
    /// component, and what else tells it apart. What is 0 is left out.
    pub(crate) fn read(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        let mut add = |name: String, counter: &AtomicU64| {
            let value = counter.load(Relaxed);
            if value > 0 {
                *sums.entry(name).or_default() += value;
            }
        };
        let http = self.http.lock().unwrap_or_else(PoisonError::into_inner);
        for (component, counters) in &*http {
            for (class, counter) in (1..).zip(&counters.classes) {
                add(format!("http_requests/{component}/{class}xx"), counter);
            }
            add(format!("http_failures/{component}"), &counters.failed);
            let bounds = BOUNDS_MS.iter().map(u64::to_string);
            let bounds = bounds.chain(["more".to_owned()]);
            for (bound, counter) in bounds.zip(&counters.within) {
                add(format!("http_request_ms/{component}/{bound}"), counter);
            }
            add(format!("http_request_us/{component}"), &counters.micros);
        }
        drop(http);
        let redis = self.redis.lock().unwrap_or_else(PoisonError::into_inner);
        for (component, counters) in &*redis {
            add(
                format!("redis_messages/{component}/handled"),
                &counters.handled,
            );
            add(
                format!("redis_messages/{component}/failed"),
                &counters.failed,
            );
        }
        sums
    }
}

fn register<T: Default>(registered: &Registered<T>, component: &str) -> Arc<T> {
    let counters = Arc::<T>::default();
    registered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((component.to_owned(), counters.clone()));
    counters
}

impl HttpCounters {
    /// Counts an answer and how long it took.
    pub(crate) fn answered(&self, status: StatusCode, elapsed: Duration) {
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.partition_point(|bound| bound * 1000 < micros);
        if let Some(counter) = self.within.get(bucket) {
            counter.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
    }

    /// Counts a handler that trapped or ran out of time.
    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }
}

impl RedisCounters {
    /// Counts a message that begins to be handled.
    pub(crate) fn begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    /// Counts a message that was handled, or was not.
    pub(crate) fn ended<T, E>(&self, outcome: &Result<T, E>) {
        let counter = match outcome {
            Ok(_) => &self.handled,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_is_added_up_by_component() {
        let counters = Counters::default();
        for thread in [counters.http("media"), counters.http("media")] {
            thread.answered(StatusCode::OK, Duration::from_micros(2000));
        }
        counters
            .http("dithering")
            .answered(StatusCode::BAD_GATEWAY, Duration::from_secs(3600));
        let read = counters.read();
        for (name, value) in [
            ("http_requests/media/2xx", 2),
            ("http_request_ms/media/2", 2),
            ("http_request_us/media", 4000),
            ("http_requests/dithering/5xx", 1),
            ("http_request_ms/dithering/more", 1),
        ] {
            assert_eq!(read.get(name), Some(&value), "{name} in {read:?}");
        }
        assert!(!read.contains_key("http_requests/media/5xx"));
    }

    #[test]
    fn a_message_is_in_flight_until_it_ended() {
        let counters = Counters::default();
        let channel = counters.redis("media");
        channel.begun();
        assert_eq!(counters.messages_in_flight(), 1);
        channel.ended(&Err::<(), ()>(()));
        assert_eq!(counters.messages_in_flight(), 0);
        assert_eq!(counters.read().get("redis_messages/media/failed"), Some(&1));
    }
}
