//! What becomes a span, and which spans are below which.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use opentelemetry_proto::tonic::trace::v1::Span;

use super::{Telemetry, context::SpanContext, export::Order, scope::Scope, tracer::Tracer};

/// A request from outside, in a trace that is recorded.
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn tracer() -> Arc<Tracer> {
    let telemetry = Telemetry::new("http://127.0.0.1:9/".parse().expect("a URL"));
    Tracer::new(telemetry, "w1")
}

/// A request to `media`, whose span has ended. Returns what the handler reads as
/// its position.
fn request(tracer: &Arc<Tracer>, caller: &'static str) -> (Scope, SpanContext) {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(caller));
    let (scope, _) = tracer.request("media", &Method::POST, &mut headers);
    let told = headers.get("traceparent").expect("a position");
    (scope, SpanContext::parse(told.as_bytes()).expect("valid"))
}

/// What the collector would be told.
fn ended(tracer: &Tracer) -> Vec<Span> {
    let mut exporter = tracer.exporter.lock().expect("the exporter");
    let exporter = exporter.as_mut().expect("not started");
    std::iter::from_fn(|| match exporter.orders.try_recv() {
        Ok(Order::Export(span)) => Some(*span),
        _ => None,
    })
    .collect()
}

fn execute(scope: &mut Scope, sql: &str, result: Result<(), &str>) {
    let statement = scope.statement("sqlite", sql);
    scope.executed(statement, &result);
}

#[test]
fn what_an_event_leads_to_is_below_the_request_that_published_it() {
    let tracer = tracer();
    let (scope, told) = request(&tracer, CALLER);
    let event = told.child().to_header();
    drop(scope.publish("image", event.as_bytes()));
    let (mut handling, span) = tracer.message("dithering", "image", event.as_bytes());
    execute(&mut handling, "SELECT commit($1)", Ok(()));
    drop(span);

    let spans = ended(&tracer);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "POST /...",
            "publish image",
            "SELECT commit",
            "deliver image"
        ]
    );
    let [http, publish, commit, deliver]: &[Span; 4] = spans.as_array().expect("four spans");
    let caller = SpanContext::parse(CALLER.as_bytes()).expect("valid");
    assert_eq!(http.parent_span_id, caller.span_id.to_be_bytes());
    assert_eq!(publish.parent_span_id, http.span_id);
    assert_eq!(deliver.parent_span_id, publish.span_id);
    assert_eq!(commit.parent_span_id, deliver.span_id);
    for span in &spans {
        assert_eq!(span.trace_id, caller.trace_id.to_be_bytes());
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
}

#[test]
fn a_transaction_is_one_span() {
    let tracer = tracer();
    let (mut scope, _) = request(&tracer, CALLER);
    for sql in ["BEGIN IMMEDIATE", "INSERT INTO x VALUES (?)", "COMMIT"] {
        execute(&mut scope, sql, Ok(()));
    }
    execute(&mut scope, "BEGIN IMMEDIATE", Err("busy"));
    execute(&mut scope, "SELECT 1", Ok(()));
    let spans = ended(&tracer);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["POST /...", "commit", "transaction", "SELECT"]);
    let failed = spans.iter().filter_map(|span| span.status.as_ref());
    assert_eq!(failed.count(), 1);
}

#[test]
fn what_is_not_recorded_is_passed_on_as_such() {
    let tracer = tracer();
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let (mut scope, told) = request(&tracer, caller);
    assert!(!told.sampled);
    execute(&mut scope, "SELECT 1", Ok(()));
    drop(scope.publish("image", told.child().to_header().as_bytes()));
    assert_eq!(ended(&tracer), []);
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let mut telemetry = Telemetry::new("http://127.0.0.1:9/".parse().expect("a URL"));
    telemetry.queue = 2;
    let tracer = Tracer::new(telemetry, "w1");
    for _ in 0..5 {
        request(&tracer, CALLER);
    }
    assert_eq!(tracer.dropped(), 3);
    assert_eq!(ended(&tracer).len(), 2);
}
