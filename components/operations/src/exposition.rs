//! Figures as OpenMetrics text, which Prometheus reads.

use std::{collections::BTreeMap, fmt};

use emporium_sdk::{
    maintenance::Status,
    workers::{Counter, Sighting},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use crate::latency::BOUNDS_MS;

/// The media type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is told.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) statuses: Vec<Status>,
    pub(crate) workers: Vec<Sighting>,
}

/// The names and values that tell a sample from the others of its family.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A counter of a host: the labels after that of the worker are in its name,
/// behind the family.
struct Family {
    counted_as: &'static str,
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

const COUNTED: [Family; 4] = [
    Family {
        counted_as: "http_requests",
        name: "http_requests",
        help: "HTTP requests answered",
        labels: &["component", "status"],
    },
    Family {
        counted_as: "http_failures",
        name: "http_failures",
        help: "HTTP requests whose handler trapped or ran out of time",
        labels: &["component"],
    },
    Family {
        counted_as: "redis_messages",
        name: "redis_messages",
        help: "Redis messages handled, or not",
        labels: &["component", "outcome"],
    },
    Family {
        counted_as: "spans_dropped",
        name: "spans_dropped",
        help: "Spans that the collector did not take",
        labels: &[],
    },
];

impl Figures {
    pub(crate) fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("emporium");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    fn subscriptions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Gauge = (&'static str, &'static str, fn(&Status) -> u64);
        let gauges: [Gauge; 5] = [
            ("pending", "Deliveries that are due", |status| {
                status.pending
            }),
            ("in_flight", "Deliveries being handled", |status| {
                status.leased
            }),
            ("delayed", "Deliveries that are due later", |status| {
                status.delayed
            }),
            ("dead", "Deliveries given up", |status| status.dead),
            ("paused", "1 while nothing is handed out", |status| {
                status.paused.is_some().into()
            }),
        ];
        for (name, help, value) in gauges {
            let name = format!("subscription_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for status in &self.statuses {
                gauge(&mut family, &labels_of(status), value(status) as f64)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "subscription_oldest_pending",
            "How long the oldest pending delivery has been due",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for status in &self.statuses {
            let seconds = status.oldest_pending_ms as f64 / 1000.0;
            gauge(&mut family, &labels_of(status), seconds)?;
        }
        let counters: [Gauge; 2] = [
            ("handled", "Deliveries settled", |status| status.settled),
            ("retried", "Attempts followed by another", |status| {
                status.retried
            }),
        ];
        for (name, help, value) in counters {
            let name = format!("subscription_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for status in &self.statuses {
                counter(&mut family, &labels_of(status), value(status))?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "subscription_latency",
            "From the moment a delivery fell due until it was settled",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for status in &self.statuses {
            let sum = status.latency.sum_ms as f64 / 1000.0;
            histogram(&mut family, &labels_of(status), &status.latency.counts, sum)?;
        }
        Ok(())
    }

    fn workers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "worker_in_flight",
            "Requests and messages that a host is handling",
            None,
            MetricType::Gauge,
        )?;
        for Sighting { worker, .. } in &self.workers {
            let labels = vec![("worker", worker.id.as_str())];
            gauge(&mut family, &labels, worker.in_flight.into())?;
        }
        let mut family = encoder.encode_descriptor(
            "worker_start_time",
            "When a host started, since the Unix epoch",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for Sighting { worker, .. } in &self.workers {
            let labels = vec![("worker", worker.id.as_str())];
            gauge(&mut family, &labels, worker.since_ms as f64 / 1000.0)?;
        }
        COUNTED
            .iter()
            .try_for_each(|counted| self.counted(encoder, counted))
    }

    fn counted(&self, encoder: &mut DescriptorEncoder<'_>, counted: &Family) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor(counted.name, counted.help, None, MetricType::Counter)?;
        for Sighting { worker, .. } in &self.workers {
            for Counter { name, value } in &worker.counters {
                let mut parts = name.split('/');
                if parts.next() != Some(counted.counted_as) {
                    continue;
                }
                let mut labels = vec![("worker", worker.id.as_str())];
                labels.extend(counted.labels.iter().copied().zip(parts));
                counter(&mut family, &labels, *value)?;
            }
        }
        Ok(())
    }

    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "http_request",
            "How long HTTP requests took to be answered",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for Sighting { worker, .. } in &self.workers {
            for (component, counts) in durations(&worker.counters) {
                let micros = format!("http_request_us/{component}");
                let sum = worker
                    .counters
                    .iter()
                    .find(|counter| counter.name == micros);
                let sum = sum.map_or(0.0, |sum| sum.value as f64 / 1e6);
                let labels = vec![("worker", worker.id.as_str()), ("component", component)];
                histogram(&mut family, &labels, &counts, sum)?;
            }
        }
        Ok(())
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.subscriptions(&mut encoder)?;
        self.workers(&mut encoder)?;
        self.requests(&mut encoder)
    }
}

/// The counts of `http_request_ms/{component}/{bound}`, in the order of the
/// bounds, by component.
fn durations(counters: &[Counter]) -> BTreeMap<&str, Vec<u64>> {
    let mut counts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for Counter { name, value } in counters {
        let Some((component, bound)) = name
            .strip_prefix("http_request_ms/")
            .and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let bounds = BOUNDS_MS.iter();
        let place = bounds.take_while(|known| Some(**known) != bound.parse().ok());
        let place = place.count();
        let counts = counts
            .entry(component)
            .or_insert_with(|| vec![0; BOUNDS_MS.len() + 1]);
        if let Some(count) = counts.get_mut(place) {
            *count = *value;
        }
    }
    counts
}

fn labels_of(status: &Status) -> Labels<'_> {
    let subscription = &status.subscription;
    vec![
        ("service", subscription.service.as_str()),
        ("topic", subscription.topic.as_str()),
    ]
}

fn gauge(family: &mut MetricEncoder<'_>, labels: &Labels<'_>, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(family.encode_family(labels)?)
}

fn counter(family: &mut MetricEncoder<'_>, labels: &Labels<'_>, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}

/// `counts` are those of the bounds of [`BOUNDS_MS`], and of what is over all.
fn histogram(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_>,
    counts: &[u64],
    sum_seconds: f64,
) -> fmt::Result {
    let bounds = BOUNDS_MS.iter().map(|bound| *bound as f64 / 1000.0);
    let buckets: Vec<_> = bounds
        .chain([f64::INFINITY])
        .zip(counts.iter().copied())
        .collect();
    let count = counts.iter().sum();
    family
        .encode_family(labels)?
        .encode_histogram::<NoLabelSet>(sum_seconds, count, &buckets, None)
}

#[cfg(test)]
mod tests {
    use emporium_sdk::workers::Worker;

    use super::*;

    #[test]
    fn what_hosts_counted_is_told_by_worker_and_component() -> fmt::Result {
        let counter = |name: &str, value| Counter {
            name: name.into(),
            value,
        };
        let text = Figures {
            statuses: Vec::new(),
            workers: vec![Sighting {
                worker: Worker {
                    id: "w\"1".into(),
                    address: None,
                    since_ms: 1500,
                    in_flight: 2,
                    counters: vec![
                        counter("http_requests/media/2xx", 7),
                        counter("http_request_ms/media/2", 5),
                        counter("http_request_ms/media/more", 2),
                        counter("http_request_us/media", 2_500_000),
                        counter("something_new/x", 1),
                    ],
                },
                seen_at_ms: 0,
            }],
        }
        .into_text()?;
        for line in [
            "# TYPE emporium_http_requests counter",
            r#"emporium_http_requests_total{worker="w\"1",component="media",status="2xx"} 7"#,
            r#"emporium_worker_start_time_seconds{worker="w\"1"} 1.5"#,
            r#"emporium_http_request_seconds_bucket{le="0.002",worker="w\"1",component="media"} 5"#,
            r#"emporium_http_request_seconds_bucket{le="+Inf",worker="w\"1",component="media"} 7"#,
            r#"emporium_http_request_seconds_sum{worker="w\"1",component="media"} 2.5"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("something_new"));
        Ok(())
    }
}
