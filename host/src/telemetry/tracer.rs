//! The tracer: decides what is recorded, begins the spans of requests and
//! messages, and hands over those that ended.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::{HeaderMap, HeaderValue, Method};
use opentelemetry_proto::tonic::trace::v1::{self as proto, span::SpanKind};
use tokio::sync::{mpsc, oneshot};

use super::{
    config::{Sampler, Telemetry},
    context::{SpanContext, new_span_id, new_trace_id},
    export::{Exporter, Order},
    scope::Scope,
    span::Span,
};

const TRACEPARENT: &str = "traceparent";

/// Present if spans are exported.
pub(crate) struct Tracer {
    sampler: Sampler,
    orders: mpsc::Sender<Order>,
    dropped: Arc<AtomicU64>,
    /// Until it is started.
    pub(super) exporter: Mutex<Option<Exporter>>,
}

impl Tracer {
    /// `instance` tells this host from others of its name.
    pub(crate) fn new(telemetry: Telemetry, instance: &str) -> Arc<Self> {
        let (orders, receiver) = mpsc::channel(telemetry.queue);
        let dropped = Arc::<AtomicU64>::default();
        Arc::new(Self {
            sampler: telemetry.sampler,
            orders,
            exporter: Mutex::new(Some(Exporter::new(
                telemetry,
                instance,
                receiver,
                dropped.clone(),
            ))),
            dropped,
        })
    }

    /// Sends what ends, on the runtime this is called on, as long as it lives.
    pub(crate) fn start(&self) {
        let mut exporter = self.exporter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exporter) = exporter.take() {
            tokio::spawn(exporter.run());
        }
    }

    /// Waits until what ended was sent.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.orders.send(Order::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// The spans that were lost, because the collector did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(super) fn send(&self, span: proto::Span) {
        // A request never waits for a collector.
        if self.orders.try_send(Order::Export(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// A request arrived. Its handler is told the position of the span.
    pub(crate) fn request(
        self: &Arc<Self>,
        component: &str,
        method: &Method,
        headers: &mut HeaderMap,
    ) -> (Scope, Option<Span>) {
        let parent = headers
            .get(TRACEPARENT)
            .and_then(|header| SpanContext::parse(header.as_bytes()));
        let context = self.below(parent);
        if let Ok(header) = HeaderValue::try_from(context.to_header()) {
            headers.insert(TRACEPARENT, header);
        }
        let span = context.sampled.then(|| {
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
            let route = text("spin-matched-route").unwrap_or("/...");
            let name = format!("{method} {route}");
            let mut span = self.begin(context, parent, SpanKind::Server, name);
            span.set("http.request.method", method.as_str());
            span.set("http.route", route);
            span.set("emporium.component", component);
            if let Some(url) = text("spin-full-url") {
                span.set("url.full", url);
            }
            if let Some((client, _)) = text("spin-client-addr").and_then(|at| at.rsplit_once(':')) {
                span.set("client.address", client);
            }
            span
        });
        (Scope::new(self.clone(), context), span)
    }

    /// A message arrived. A wake carries the position of the event it is for.
    pub(crate) fn message(
        self: &Arc<Self>,
        component: &str,
        channel: &str,
        payload: &[u8],
    ) -> (Scope, Option<Span>) {
        let parent = SpanContext::parse(payload);
        let context = self.below(parent);
        let span = context.sampled.then(|| {
            let name = format!("deliver {channel}");
            let mut span = self.begin(context, parent, SpanKind::Consumer, name);
            span.set("messaging.system", "redis");
            span.set("messaging.destination.name", channel);
            span.set("messaging.operation.name", "deliver");
            span.set("messaging.operation.type", "process");
            span.set("messaging.message.body.size", payload.len());
            span.set("emporium.component", component);
            span
        });
        (Scope::new(self.clone(), context), span)
    }

    fn begin(
        self: &Arc<Self>,
        context: SpanContext,
        parent: Option<SpanContext>,
        kind: SpanKind,
        name: String,
    ) -> Span {
        Span::begin(
            self,
            context,
            parent.map(|parent| parent.span_id),
            kind,
            name,
        )
    }

    /// A new position, in the trace of `parent` if there is one.
    fn below(&self, parent: Option<SpanContext>) -> SpanContext {
        let trace_id = parent.map_or_else(new_trace_id, |parent| parent.trace_id);
        let sampled = match parent {
            Some(parent) if self.sampler.follows_parent => parent.sampled,
            _ => self.sampler.takes(trace_id),
        };
        SpanContext {
            trace_id,
            span_id: new_span_id(),
            sampled,
        }
    }
}

impl Sampler {
    /// Whether a trace is recorded. Every host that has the same ratio decides
    /// alike.
    fn takes(&self, trace_id: u128) -> bool {
        // Half of the id is as random as all of it, and fits a float's range.
        let place = (trace_id as u64) as f64 / u64::MAX as f64;
        self.ratio >= 1.0 || place < self.ratio
    }
}
