//! Sends spans to a collector, many at once: OTLP over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{InstrumentationScope, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{config::Telemetry, span::attribute};
use crate::net::client::{Client, client};

/// How often a batch is sent before it is given up, and the first wait between.
const ATTEMPTS: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(500);

/// What of an answer is read, so that its connection can be used again.
const ANSWER_LIMIT: usize = 64 << 10;

/// What the exporter is told.
pub(super) enum Order {
    Export(Box<Span>),
    /// Send what there is, and answer.
    Flush(oneshot::Sender<()>),
}

/// Takes spans from the queue and posts them.
pub(super) struct Exporter {
    telemetry: Telemetry,
    resource: Resource,
    pub(super) orders: mpsc::Receiver<Order>,
    dropped: Arc<AtomicU64>,
    client: Client,
    failing: bool,
}

impl Exporter {
    pub(super) fn new(
        telemetry: Telemetry,
        instance: &str,
        orders: mpsc::Receiver<Order>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let text = |text: &str| Value::StringValue(text.into());
        let mut attributes = vec![
            attribute("service.name", text(&telemetry.service)),
            attribute("service.instance.id", text(instance)),
            attribute("service.version", text(env!("CARGO_PKG_VERSION"))),
            attribute("telemetry.sdk.name", text("emporium")),
            attribute("telemetry.sdk.language", text("rust")),
        ];
        let given = telemetry.attributes.iter();
        attributes.extend(given.map(|(name, value)| attribute(name, text(value))));
        Self {
            resource: Resource {
                attributes,
                ..Resource::default()
            },
            telemetry,
            orders,
            dropped,
            client: client(),
            failing: false,
        }
    }

    /// Until the tracer is gone.
    pub(super) async fn run(mut self) {
        while let Some(order) = self.orders.recv().await {
            let (spans, flushed) = self.gather(order).await;
            if !spans.is_empty() {
                self.export(spans).await;
            }
            if let Some(flushed) = flushed {
                let _ = flushed.send(());
            }
        }
    }

    /// Waits for a batch to be full, for the first span to have waited long
    /// enough, or for somebody who waits for the batch.
    async fn gather(&mut self, first: Order) -> (Vec<Span>, Option<oneshot::Sender<()>>) {
        let end = Instant::now() + self.telemetry.delay;
        let mut spans = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Export(span) => spans.push(*span),
                Order::Flush(flushed) => return (spans, Some(flushed)),
            }
            if spans.len() >= self.telemetry.batch {
                break;
            }
            next = timeout_at(end, self.orders.recv()).await.unwrap_or(None);
        }
        (spans, None)
    }

    async fn export(&mut self, spans: Vec<Span>) {
        let count = spans.len() as u64;
        let body = Bytes::from(self.request(spans).encode_to_vec());
        let mut wait = BACK_OFF;
        for attempt in 1..=ATTEMPTS {
            match self.post(body.clone()).await {
                Ok(()) => {
                    if std::mem::take(&mut self.failing) {
                        tracing::warn!("spans are exported again");
                    }
                    return;
                }
                Err(error) if !std::mem::replace(&mut self.failing, true) => {
                    // Said once, until it works again.
                    tracing::warn!("exporting spans to {}: {error:#}", self.telemetry.endpoint);
                }
                Err(_) => {}
            }
            if attempt < ATTEMPTS {
                sleep(wait).await;
                wait *= 2;
            }
        }
        self.dropped.fetch_add(count, Relaxed);
    }

    fn request(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "emporium".into(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            }],
        }
    }

    async fn post(&self, body: Bytes) -> Result<()> {
        let mut request = Request::post(self.telemetry.endpoint.as_str())
            .header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &self.telemetry.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT);
            // What it says does not matter.
            let _ = body.collect().await;
            anyhow::Ok(status)
        };
        let status = timeout(self.telemetry.timeout, exchange)
            .await
            .with_context(|| format!("no answer within {:?}", self.telemetry.timeout))??;
        match status.is_success() {
            true => Ok(()),
            false => bail!("the collector answers {status}"),
        }
    }
}
